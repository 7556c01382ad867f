"""Issues of a forge over HTTP: what GitHub and Gitea do alike, and what each must add.

GitHub: https://docs.github.com/rest/issues. Gitea has the same paths; labels go by ids there, and
dependencies and histories are at other places.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from pydantic import ValidationError

from routing.forges.errors import ForgeGoneError, ForgeMovedError, ForgeRefusedError
from routing.forges.forge import Deed
from routing.forges.rest.asking import (
    IssueMark,
    last_to_assign,
    last_to_close,
    last_to_label,
    last_to_reassign,
    last_to_unlabel,
)
from routing.forges.rest.client import ForgeClient, problems_of
from routing.forges.rest.path import repository_path
from routing.forges.rest.wire import WireComment, WireIssue, WireRepository, WireUser
from routing.forges.written_text import checked_name, checked_text
from routing.issues.issue import Comment, Issue, IssueListing, IssueProblem, IssueRef


class RestIssues(ABC):
    """The issues of one forge.

    Each call asks the forge; nothing is remembered but our own login. All writes but `comment` may be
    repeated: they bring the issue into a state rather than add to it.
    """

    #: The shapes of bodies, where a forge has other words for the same.
    issue_model: type[WireIssue] = WireIssue
    comment_model: type[WireComment] = WireComment
    user_model: type[WireUser] = WireUser
    repository_model: type[WireRepository] = WireRepository
    #: With which method a comment is edited.
    edit_method = "PATCH"

    def __init__(self, client: ForgeClient, *, forge: str, login: str) -> None:
        self._client = client
        self._forge = forge
        self._login = login  # our own; "" until the forge was asked

    def list(self, repo: str, label: str | None) -> IssueListing:
        """List the open issues that carry the label; those that cannot be read are among the problems.

        On GitHub a listing holds pull requests too; they are left out. `complete` is False when there were
        more pages than are read: then an issue that is missing may still be there.
        """
        query = {"state": "open", **self._listing(), **({"labels": checked_name(label)} if label else {})}
        listing = self._client.read_all(f"{self.repository(repo)}/issues", query)
        issues: dict[int, Issue] = {}  # an issue may be on two pages when others are closed meanwhile
        problems: list[IssueProblem] = []
        for item in listing.items:
            try:
                wire = self.issue_model.model_validate(item)
            except ValidationError as error:
                where = f"{repo}#{self._number(item)}" if isinstance(item, Mapping) else repo
                problems.append(IssueProblem(where=where, message=problems_of(error)))
                continue
            if wire.pull_request is None and wire.state == "open" and self.carries(wire, label):
                issues[wire.number] = self._issue(repo, wire)
        return IssueListing(
            issues=tuple(issues[number] for number in sorted(issues)),
            problems=tuple(problems),
            complete=listing.complete,
        )

    def read(self, ref: IssueRef) -> Issue:
        """Return the issue as it is now, with its comments, oldest first by their ids.

        ForgeGoneError when it does not exist, ForgeMovedError when it is in another repository now.
        """
        wire = self.wire(ref)
        said = tuple(_comment(one) for one in sorted(self._comments(ref), key=lambda one: one.id))
        return self._issue(ref.repo, wire).model_copy(update={"comments": said})

    def wire(self, ref: IssueRef) -> WireIssue:
        """The issue as the forge sends it, without comments.

        Forges redirect from an issue that was moved to the new one: ForgeMovedError. It is noticed by its
        number, or by its repository, as the numbers may be the same. A repository that was merely renamed is
        the same one.
        """
        issue = self._client.parsed(self.issue_model, self._client.get(self.path(ref)))
        if issue.number != ref.number or self._is_elsewhere(issue, ref.repo):
            message = f"{ref} was moved: it is {_repository(issue) or 'elsewhere'}#{issue.number} now"
            raise ForgeMovedError(message, state=issue.state)
        return issue

    def _is_elsewhere(self, issue: WireIssue, repo: str) -> bool:
        """Whether an issue that was asked for in one repository is in another; asked only of another name."""
        there = _repository(issue).casefold()
        if not there or there == repo.casefold():
            return False
        now = self._client.parsed(self.repository_model, self._client.get(self.repository(repo)))
        return now.full_name.casefold() != there

    def comment(self, ref: IssueRef, body: str) -> Comment:
        """Write a comment: never twice, so that a lost answer is ForgeOutcomeUnknownError."""
        text = {"body": self._text(body)}
        written = self._client.write("POST", self._comments_path(ref), text, repeatable=False)
        return _comment(self._client.parsed(self.comment_model, written))

    def edit_comment(self, ref: IssueRef, comment_id: int, body: str) -> Comment:
        """Replace the text of one of our comments; a token that may edit all of them changes nothing.

        Ids of comments are counted over the whole repository, so it is checked that this one is on this
        issue.
        """
        text = {"body": self._text(body)}
        path = self._comment_path(ref, int(comment_id))
        known = self._client.parsed(self.comment_model, self._client.get(path))
        if not self._is_on(ref, known):
            message = f"{ref} has no comment {comment_id}"
            raise ForgeGoneError(message)
        if not _comment(known).is_by(self.own_login()):
            message = f"comment {comment_id} of {ref} is not ours; only its author may change it"
            raise ForgeRefusedError(message)
        written = self._client.write(self.edit_method, path, text, repeatable=True)
        return _comment(self._client.parsed(self.comment_model, written))

    def requested_by(self, ref: IssueRef, label: str | None) -> str:
        """Name who put the label on last, or with None who assigned the issue, else its author.

        "" when nobody can be named; then no agent starts. Where the forge keeps no history, an assigned issue
        has nobody, because anyone may have assigned it.
        """
        issue = self.wire(ref)
        if label is not None and not self.carries(issue, label):
            return ""
        marks = self._marks(ref)
        if marks is None:
            return "" if label is not None or issue.assignees else issue.user
        if label is not None:
            return last_to_label(marks, self.compared(label))
        if not issue.assignees:
            return issue.user
        assigned = {one.login.casefold() for one in issue.assignees}
        who = last_to_assign(marks, assigned, own=self.own_login())
        return issue.user if who is None else who

    def last_to(self, deed: Deed, ref: IssueRef, label: str | None) -> str:
        """Name who closed the issue, took the label off, or changed its assignment, last; "" for nobody."""
        marks = self._marks(ref) or ()
        match deed:
            case Deed.CLOSE:
                return last_to_close(marks)
            case Deed.UNLABEL:
                return last_to_unlabel(marks, self.compared(label)) if label is not None else ""
            case Deed.ASSIGN:
                return last_to_reassign(marks, own=self.own_login())

    def last_to_drop(self, repo: str, number: int) -> str:
        """Name who closed a change request; here it is an issue, with its history."""
        return self.last_to(Deed.CLOSE, IssueRef(forge=self._forge, repo=repo, number=number), None)

    def own_login(self) -> str:
        """Whose token it is: as it is configured, else as the forge says, asked once."""
        if not self._login:
            self._login = self._client.parsed(self.user_model, self._client.get("/user")).login
        return self._login

    def carries(self, issue: WireIssue, label: str | None) -> bool:
        """Whether it has the label; a forge that does not know the label may have ignored it."""
        return label is None or self.compared(label) in {self.compared(one.name) for one in issue.labels}

    @staticmethod
    def compared(label: str) -> str:
        """A label's name so that two spellings of one label are equal; here the forge tells cases apart."""
        return label

    def close(self, ref: IssueRef) -> None:
        """Close the issue; closing a closed one changes nothing."""
        self._client.write("PATCH", self.path(ref), {"state": "closed"}, repeatable=True)

    def dependencies(self, ref: IssueRef) -> tuple[IssueRef, ...]:
        """The issues that block this one, closed ones too, each once; () where the forge has no dependencies.

        They may be in other repositories of the same forge.
        """
        try:
            listing = self._client.read_all(self._blockers(ref))
        except ForgeGoneError:
            self.wire(ref)  # gone itself, or on a forge where dependencies are switched off
            return ()
        blockers = self._client.parsed_all(self.issue_model, listing)
        named = [
            IssueRef(forge=self._forge, repo=_repository(one) or ref.repo, number=one.number)
            for one in blockers
            if self._blocks(one)
        ]
        return tuple(dict.fromkeys(named))

    @abstractmethod
    def add_label(self, ref: IssueRef, label: str) -> None:
        """Put a label on the issue, which the repository may not know yet; again changes nothing."""

    @abstractmethod
    def remove_label(self, ref: IssueRef, label: str) -> None:
        """Take a label off the issue, if it is there."""

    @abstractmethod
    def assign(self, ref: IssueRef, user: str) -> None:
        """Assign the issue to a user, in addition to those who have it.

        ForgeInvalidError where the forge ignores users that have no access. Again changes nothing.
        """

    @abstractmethod
    def _marks(self, ref: IssueRef) -> Sequence[IssueMark] | None:
        """Labels and assignees that came or went, and ends, oldest first; None without a history."""

    @abstractmethod
    def _listing(self) -> Mapping[str, str]:
        """What else a listing of issues is asked by, beside state and label."""

    @abstractmethod
    def _blockers(self, ref: IssueRef) -> str:
        """The path of the issues that block one."""

    def repository(self, repo: str) -> str:
        """The path of a repository."""
        return repository_path(repo)

    def path(self, ref: IssueRef) -> str:
        """The path of an issue."""
        return f"{self.repository(ref.repo)}/issues/{ref.number}"

    def _comments_path(self, ref: IssueRef) -> str:
        return f"{self.path(ref)}/comments"

    def _comment_path(self, ref: IssueRef, comment_id: int) -> str:
        return f"{self.repository(ref.repo)}/issues/comments/{comment_id}"

    def _comments(self, ref: IssueRef) -> Sequence[WireComment]:
        """What was said on an issue, in any order."""
        return self._client.parsed_all(self.comment_model, self._client.read_all(self._comments_path(ref)))

    def _is_on(self, ref: IssueRef, comment: WireComment) -> bool:
        """Whether a comment is on the issue."""
        on = urlsplit(comment.issue_url or comment.pull_request_url).path.rpartition("/")[2]
        return on == str(ref.number)

    def _text(self, body: str) -> str:
        """A comment as it may be sent."""
        return checked_text(body)

    def _blocks(self, linked: WireIssue) -> bool:
        """Whether an issue that `_blockers` lists blocks the one asked for."""
        del linked
        return True

    @staticmethod
    def _number(item: Mapping[str, object]) -> object:
        """The number of an issue that could not be read."""
        return item.get("number", "?")

    def _issue(self, repo: str, wire: WireIssue) -> Issue:
        """Our record of an issue, with the forge's name; line ends are made those of Unix."""
        return Issue(
            ref=IssueRef(forge=self._forge, repo=repo, number=wire.number),
            title=wire.title,
            body=wire.body.replace("\r\n", "\n"),
            labels=tuple(dict.fromkeys(label.name for label in wire.labels)),
            state=wire.state,
            author=wire.user,
            assignees=tuple(user.login for user in wire.assignees),
            updated_at=wire.updated_at,
            url=wire.html_url,
        )


def _comment(wire: WireComment) -> Comment:
    body = wire.body.replace("\r\n", "\n")
    return Comment(id=wire.id, author=wire.user, body=body, created_at=wire.created_at)


def _repository(wire: WireIssue) -> str:
    """`owner/name` of an issue that may be in another repository."""
    if wire.repository is not None:
        return wire.repository.full_name
    return "/".join(wire.repository_url.rsplit("/", 2)[-2:]) if "/repos/" in wire.repository_url else ""
