"""One team of a Linear."""

from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from pydantic import BaseModel

from routing.errors import InvalidInputError
from routing.forges.errors import ForgeGoneError, ForgeMovedError, ForgeRefusedError
from routing.forges.forge import Access, Permission
from routing.forges.stage import Stage
from routing.issues.issue import Comment, Issue, IssueListing, IssueProblem, IssueRef
from routing.trackers.linear import queries
from routing.trackers.linear.asking import LinearApi
from routing.trackers.linear.kind import LinearConfig
from routing.trackers.linear.wire import (
    ENDS,
    LinearChange,
    LinearComment,
    LinearId,
    LinearIssue,
    LinearLabel,
    LinearPage,
    LinearRelation,
    LinearState,
    LinearUser,
)
from routing.trackers.tracker import with_hidden_mark, with_visible_mark

Sent = TypeVar("Sent", bound=BaseModel)


@dataclass(kw_only=True, slots=True)
class _KnownOfLinear:
    """What does not change while this process runs."""

    login: str = ""
    labels: dict[str, str] = field(default_factory=dict)  # ids, by name in lower case


@dataclass(frozen=True, slots=True)
class LinearTracker:
    """Implements `routing.trackers.tracker.Tracker`. Safe to share between threads.

    The id of a comment is a UUID there, which we have as its number.
    """

    config: LinearConfig
    api: LinearApi
    _known: _KnownOfLinear = field(default_factory=_KnownOfLinear)

    @property
    def name(self) -> str:
        """As it is configured."""
        return self.config.name

    def close_connections(self) -> None:
        """Give the sockets back."""
        self.api.client.close()

    def own_login(self) -> str:
        """Whose token it is; it is asked once."""
        if not self._known.login:
            self._known.login = self._parsed(LinearId, self.api.ask(queries.VIEWER).get("viewer")).id
        return self._known.login

    def access(self, repo: str) -> Access:
        """Ask whose the token is, and for the team. What a token may write Linear does not say before."""
        self.own_login()
        try:
            self._team(repo)
        except ForgeGoneError as error:
            return Access(readable=False, writable=False, note=str(error))
        return Access(readable=True, writable=True, note=f"Linear, team {repo}")

    def repositories_of(self, owner: str) -> tuple[str, ...]:
        """A tracker has no owners."""
        del owner
        return ()

    def list_issues(self, repo: str, label: str | None) -> IssueListing:
        """Those in a state that ends none; an empty answer is what Linear also says of no team."""
        wanted: dict[str, Any] = {"team": {"key": {"eq": repo}}, "state": {"type": {"nin": list(ENDS)}}}
        if label is not None:
            wanted["labels"] = {"some": {"name": {"eqIgnoreCase": label}}}
        found, complete = self.api.pages(LinearIssue, queries.ISSUES, "issues", filter=wanted)
        if not found:
            self._team(repo)
        issues, problems = [], []
        for sent in found:
            try:
                issues.append(self._issue(sent))
            except (InvalidInputError, ValueError) as error:
                problems.append(IssueProblem(where=sent.key[:80], message=f"cannot be read: {error}"[:500]))
        ordered = sorted(issues, key=lambda issue: issue.ref.number)
        return IssueListing(issues=tuple(ordered), problems=tuple(problems), complete=complete)

    def read_issue(self, ref: IssueRef) -> Issue:
        """Read the issue with its comments."""
        sent = self._sent(ref)
        found, _ = self.api.pages(LinearComment, queries.COMMENTS, "issue", "page", id=sent.id)
        comments = sorted(map(self._comment, found), key=_written_at)
        return self._issue(sent).model_copy(update={"comments": tuple(comments)})

    def requested_by(self, ref: IssueRef, label: str | None) -> str:
        """By the history of the issue; what it was made with, its creator gave it."""
        sent = self._sent(ref)
        creator = sent.creator.id if sent.creator else ""
        if label is not None and label.casefold() not in {one.name.casefold() for one in sent.labels.nodes}:
            return ""
        changes, complete = self.api.pages(LinearChange, queries.HISTORY, "issue", "page", id=sent.id)
        if not complete:  # half of it would name a wrong person
            message = f"{ref.key} has more pages of history than are read; raise http.max_pages"
            raise ForgeRefusedError(message)
        who = creator
        for change in sorted(changes, key=lambda one: one.created):
            by = change.actor.id if change.actor is not None else ""
            if label is not None:
                added = {one.name.casefold() for one in change.added or ()}
                who = by if label.casefold() in added else who
            elif change.assignee and change.assignee == sent.assignee and by != self.own_login():
                who = by
        return who

    def comment(self, ref: IssueRef, body: str) -> Comment:
        """Write a comment."""
        made = {"issueId": self._sent(ref).id, "body": with_visible_mark(body)}
        done = self.api.change(queries.WRITE_COMMENT, repeatable=False, input=made)
        return self._comment(self._parsed(LinearComment, done.get("comment")))

    def edit_comment(self, ref: IssueRef, comment_id: int, body: str) -> Comment:
        """Replace it, if it is ours."""
        identifier = str(UUID(int=comment_id)) if 0 <= comment_id < 1 << 128 else ""
        said = self.api.ask(queries.COMMENT, id=identifier).get("comment")
        if said is None:
            message = f"{ref.key} has no comment {identifier}"
            raise ForgeGoneError(message)
        there = self._comment(self._parsed(LinearComment, said))
        if not there.is_by(self.own_login()):
            message = f"the comment {identifier} of {ref.key} is {there.author}'s, and was not changed"
            raise ForgeRefusedError(message)
        done = self.api.change(queries.EDIT_COMMENT, id=identifier, input={"body": with_visible_mark(body)})
        return self._comment(self._parsed(LinearComment, done.get("comment")))

    def add_label(self, ref: IssueRef, label: str) -> None:
        """Put it on; one that the team does not have is made."""
        sent = self._sent(ref)
        if label.casefold() not in {one.name.casefold() for one in sent.labels.nodes}:
            self.api.change(queries.ADD_LABEL, id=sent.id, label=self._label(ref.repo, label))

    def remove_label(self, ref: IssueRef, label: str) -> None:
        """Take it off, in the spelling that the issue has."""
        sent = self._sent(ref)
        for one in sent.labels.nodes:
            if one.name.casefold() == label.casefold():
                self.api.change(queries.REMOVE_LABEL, id=sent.id, label=one.id)

    def assign(self, ref: IssueRef, user: str) -> None:
        """Assign it, unless it is somebody's: there is one assignee only."""
        sent = self._sent(ref)
        if sent.assignee is None:
            self.api.change(queries.CHANGE, id=sent.id, input={"assigneeId": user})

    def close(self, ref: IssueRef) -> None:
        """Move it to the state for done work."""
        self.show_stage(ref, Stage.DONE)

    def dependencies(self, ref: IssueRef) -> tuple[IssueRef, ...]:
        """Those whose relation to it is that they block it."""
        sent = self._sent(ref)
        found, _ = self.api.pages(LinearRelation, queries.BLOCKERS, "issue", "page", id=sent.id)
        keys = [one.issue.key for one in found if one.type == "blocks" and one.issue is not None]
        return tuple(self._ref(key) for key in dict.fromkeys(keys))

    def permission(self, repo: str, user: str) -> Permission:
        """Members of the workspace may put agents to work, guests may not."""
        del repo
        try:
            said = self.api.ask(queries.USER, id=user).get("user") if user.strip() else None
        except ForgeGoneError:
            return Permission.NONE
        if said is None:
            return Permission.NONE
        found = self._parsed(LinearUser, said)
        if not found.active or found.id != user:
            return Permission.NONE
        return Permission.READ if found.guest else Permission.WRITE

    def missing_states(self) -> tuple[str, ...]:
        """Ask for the states of the team."""
        there = {state.name.casefold() for state in self._states(self.config.project or "")}
        named = [*self.config.states.model_dump().values(), *self.config.stop_states]
        return tuple(name for name in dict.fromkeys(named) if name and name.casefold() not in there)

    def show_stage(self, ref: IssueRef, stage: Stage) -> None:
        """Move it; ForgeRefusedError when the team has no such state."""
        wanted: str = getattr(self.config.states, stage.value)
        sent = self._sent(ref)
        now = sent.state
        if now.is_end if stage is Stage.DONE else not wanted or now.name.casefold() == wanted.casefold():
            return
        states = self._states(ref.repo)
        fits = [one for one in states if one.name.casefold() == wanted.casefold()]
        if not fits and not wanted:
            fits = sorted((one for one in states if one.type == ENDS[0]), key=lambda one: one.position)
        if not fits:
            there = ", ".join(one.name for one in states)
            message = (
                f"the team {ref.repo} has no state {wanted or 'that is completed'} (there are: {there}); "
                f"correct tracker.{self.name}.states.{stage.value}"
            )
            raise ForgeRefusedError(message)
        self.api.change(queries.CHANGE, id=sent.id, input={"stateId": fits[0].id})

    def link_work(self, ref: IssueRef, *, url: str, title: str) -> None:
        """An attachment; Linear has one for each address of an issue."""
        made = {"issueId": self._sent(ref).id, "url": url, "title": title[:255]}
        self.api.change(queries.ATTACH, input=made)

    def _team(self, key: str) -> str:
        """The id of a team."""
        teams = self._nodes(LinearId, self.api.ask(queries.TEAM, key=key).get("teams"))
        if not teams:
            message = f"there is no team {key}, or not for this token; correct `project`, or what it may see"
            raise ForgeGoneError(message)
        return teams[0].id

    def _states(self, team: str) -> list[LinearState]:
        return self._nodes(LinearState, self.api.ask(queries.STATES, key=team).get("workflowStates"))

    def _label(self, team: str, name: str) -> str:
        """The id of a label that the team can use, which is made where there is none."""
        known = self._known.labels.get(name.casefold())
        if known is not None:
            return known
        found = self._nodes(LinearLabel, self.api.ask(queries.LABELS, name=name).get("issueLabels"))
        usable = [one.id for one in found if one.team is None or one.team.get("key") == team]
        if not usable:
            made = {"name": name, "teamId": self._team(team)}
            done = self.api.change(queries.MAKE_LABEL, repeatable=False, input=made)
            usable = [self._parsed(LinearId, done.get("issueLabel")).id]
        self._known.labels[name.casefold()] = usable[0]
        return usable[0]

    def _sent(self, ref: IssueRef) -> LinearIssue:
        """The issue as it is; ForgeMovedError when it has another key, as it moved to another team."""
        if ref.forge != self.name:
            message = f"{ref} is an issue of another tracker than {self.name}"
            raise ForgeRefusedError(message)
        said = self.api.ask(queries.ISSUE, id=ref.key).get("issue")
        if said is None:
            message = f"{ref.key} does not exist, or not for this token"
            raise ForgeGoneError(message)
        sent = self._parsed(LinearIssue, said)
        if sent.trashed:
            message = f"{ref.key} was deleted"
            raise ForgeGoneError(message)
        if sent.key != ref.key:
            message = f"{ref.key} is called {sent.key[:80]} now: it was moved to another team"
            raise ForgeMovedError(message, state="closed" if sent.state.is_end else "open")
        return sent

    def _parsed(self, model: type[Sent], value: Any) -> Sent:
        return self.api.client.parsed(model, value)

    def _nodes(self, model: type[Sent], value: Any) -> list[Sent]:
        return [self._parsed(model, one) for one in self._parsed(LinearPage, value).nodes]

    def _ref(self, key: str) -> IssueRef:
        team, _, number = key.rpartition("-")
        return IssueRef(forge=self.name, repo=team, number=int(number))

    def _issue(self, sent: LinearIssue) -> Issue:
        ref = self._ref(sent.key)
        return Issue(
            ref=ref,
            title=sent.title.strip() or ref.key,
            body=(sent.description or "").strip(),
            labels=tuple(dict.fromkeys(one.name for one in sent.labels.nodes)),
            state="closed" if sent.state.is_end else "open",
            author=sent.creator.id if sent.creator else "",
            assignees=(sent.assignee.id,) if sent.assignee else (),
            updated_at=sent.updated,
            url=sent.url,
            status=sent.state.name,
            parts=(sent.project.name,) if sent.project else (),
        )

    def _comment(self, sent: LinearComment) -> Comment:
        return Comment(
            id=UUID(sent.id).int,
            author=sent.user.id if sent.user else "",
            body=with_hidden_mark(sent.body),
            created_at=sent.created,
        )


def _written_at(comment: Comment) -> float:
    return comment.created_at.timestamp() if comment.created_at is not None else 0.0
