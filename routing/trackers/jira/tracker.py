"""One project of a Jira."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote

from routing.errors import InvalidInputError
from routing.forges.errors import ForgeGoneError, ForgeMovedError, ForgeRefusedError
from routing.forges.forge import Access, Permission
from routing.forges.rest.client import ForgeClient
from routing.forges.stage import Stage
from routing.http.settings import HttpLimits
from routing.issues.issue import Comment, Issue, IssueListing, IssueProblem, IssueRef
from routing.trackers.jira.document import as_markdown
from routing.trackers.jira.kind import JiraConfig
from routing.trackers.jira.wire import (
    FIELDS,
    JiraChanges,
    JiraComment,
    JiraComments,
    JiraHistory,
    JiraIssue,
    JiraPage,
    JiraPermissions,
    JiraTransitions,
    JiraType,
    JiraUser,
)
from routing.trackers.jira.writing import as_document
from routing.trackers.tracker import with_hidden_mark, with_visible_mark

#: What the user whose token it is must be allowed to do in the project, and what that is called in Jira.
_NEEDED = {
    "BROWSE_PROJECTS": "Browse projects",
    "EDIT_ISSUES": "Edit issues",
    "ADD_COMMENTS": "Add comments",
    "TRANSITION_ISSUES": "Transition issues",
    "LINK_ISSUES": "Link issues",
}

#: What it must be allowed to do to ask what others may do.
_PEOPLE = "ADMINISTER_PROJECTS"

#: Users of a site among whom one is looked for: Jira looks no further.
_MOST_USERS = 1000


@dataclass(kw_only=True, slots=True)
class _KnownOfJira:
    """What does not change while this process runs."""

    login: str = ""


@dataclass(frozen=True, slots=True)
class JiraTracker:
    """Implements `routing.trackers.tracker.Tracker`. Safe to share between threads."""

    config: JiraConfig
    client: ForgeClient
    limits: HttpLimits
    _known: _KnownOfJira = field(default_factory=_KnownOfJira)

    @property
    def name(self) -> str:
        """As it is configured."""
        return self.config.name

    def close_connections(self) -> None:
        """Give the sockets back."""
        self.client.close()

    def own_login(self) -> str:
        """Whose token it is; it is asked once."""
        if not self._known.login:
            self._known.login = self.client.parsed(JiraUser, self.client.get("/myself")).id
        return self._known.login

    def access(self, repo: str) -> Access:
        """Ask for the project, and for what the token may do in it."""
        try:
            self.client.get(f"/project/{quote(repo, safe='')}")
        except ForgeGoneError:
            note = f"there is no project {repo}, or not for this token; correct `project`, or what it may see"
            return Access(readable=False, writable=False, note=note)
        asked = ",".join([*_NEEDED, _PEOPLE])
        said = self.client.get("/mypermissions", {"projectKey": repo, "permissions": asked})
        have = {key for key, one in self.client.parsed(JiraPermissions, said).permissions.items() if one.have}
        lacks = [title for key, title in _NEEDED.items() if key not in have]
        notes = (
            [f"the user whose token it is needs {', '.join(lacks)} in the project {repo}"] if lacks else []
        )
        if _PEOPLE not in have:
            notes.append("it needs Administer projects, to ask who may edit issues")
        return Access(
            readable="BROWSE_PROJECTS" in have,
            writable=not lacks,
            note="; ".join(notes) or f"Jira Cloud, project {repo}",
            knows_people=_PEOPLE in have,
        )

    def repositories_of(self, owner: str) -> tuple[str, ...]:
        """A tracker has no owners."""
        del owner
        return ()

    def list_issues(self, repo: str, label: str | None) -> IssueListing:
        """Search for what is not done."""
        wanted = [f"project = {_quoted(repo)}", "statusCategory != Done"]
        if label is not None:
            wanted.append(f"labels = {_quoted(label)}")
        found, complete = self._search([*wanted, *self._filter()])
        issues, problems = [], []
        for value in found:
            sent = self.client.parsed(JiraIssue, value)
            try:
                issues.append(self._issue(sent))
            except (InvalidInputError, ValueError) as error:
                problems.append(IssueProblem(where=sent.key[:80], message=f"cannot be read: {error}"[:500]))
        ordered = sorted(issues, key=lambda issue: issue.ref.number)
        return IssueListing(issues=tuple(ordered), problems=tuple(problems), complete=complete)

    def read_issue(self, ref: IssueRef) -> Issue:
        """Read the issue with its comments, and ask whether the filter selects it."""
        sent = self._sent(ref)
        selected = True
        if self.config.filter:
            found, _ = self._search([f"key = {_quoted(ref.key)}", *self._filter()])
            selected = bool(found)
        comments = tuple(self._comment(one) for one in self._comments(ref))
        return self._issue(sent).model_copy(update={"comments": comments, "selected": selected})

    def requested_by(self, ref: IssueRef, label: str | None) -> str:
        """By the history of the issue; what it was made with, its creator gave it."""
        fields = self._sent(ref).fields
        creator, assignee = (user.id if user else "" for user in (fields.creator, fields.assignee))
        if label is None:
            makers = [
                change.author.id
                for change in self._changes(ref)
                for item in change.items
                if item.field == "assignee" and item.to == assignee and change.author is not None
            ]
            others = [maker for maker in makers if maker != self.own_login()]
            return others[-1] if assignee and others else creator
        if label.casefold() not in {name.casefold() for name in fields.labels}:
            return ""
        who = creator
        for change in self._changes(ref):
            for item in change.items:
                if item.field == "labels" and _gains(item.before, item.after, label):
                    who = change.author.id if change.author is not None else ""
        return who

    def comment(self, ref: IssueRef, body: str) -> Comment:
        """Write a comment, as a document."""
        path = f"{_path(ref)}/comment"
        said = self.client.write("POST", path, {"body": _document_of(body)}, repeatable=False)
        return self._comment(self.client.parsed(JiraComment, said))

    def edit_comment(self, ref: IssueRef, comment_id: int, body: str) -> Comment:
        """Replace it, if it is ours: an administrator's token might change anybody's."""
        path = f"{_path(ref)}/comment/{comment_id}"
        there = self._comment(self.client.parsed(JiraComment, self.client.get(path)))
        if not there.is_by(self.own_login()):
            message = f"the comment {comment_id} of {ref.key} is {there.author}'s, and was not changed"
            raise ForgeRefusedError(message)
        said = self.client.write("PUT", path, {"body": _document_of(body)}, repeatable=True)
        return self._comment(self.client.parsed(JiraComment, said))

    def add_label(self, ref: IssueRef, label: str) -> None:
        """Add it to those that are there."""
        self._change_label(ref, "add", label)

    def remove_label(self, ref: IssueRef, label: str) -> None:
        """Take it off, in the spelling that the issue has."""
        for name in self._sent(ref).fields.labels:
            if name.casefold() == label.casefold():
                self._change_label(ref, "remove", name)

    def assign(self, ref: IssueRef, user: str) -> None:
        """Assign it, unless it is somebody's: there is one assignee only."""
        if self._sent(ref).fields.assignee is None:
            self.client.write("PUT", f"{_path(ref)}/assignee", {"accountId": user}, repeatable=True)

    def close(self, ref: IssueRef) -> None:
        """Move it to the state for done work."""
        self.show_stage(ref, Stage.DONE)

    def dependencies(self, ref: IssueRef) -> tuple[IssueRef, ...]:
        """Those that it "is blocked by"."""
        links = self._sent(ref).fields.links
        keys = [one.inward.key for one in links if one.inward and "blocked by" in one.type.inward.casefold()]
        return tuple(self._ref(key) for key in dict.fromkeys(keys))

    def permission(self, repo: str, user: str) -> Permission:
        """Who may edit issues of the project may put agents to work.

        Jira takes a range of its users and leaves out those who may not, so all that it looks through are
        asked for at once.
        """
        if not user.strip():
            return Permission.NONE
        asked = {
            "permissions": "EDIT_ISSUES", "projectKey": repo, "accountId": user,
            "maxResults": str(_MOST_USERS),
        }  # fmt: skip
        said = self.client.get("/user/permission/search", asked)
        people = [self.client.parsed(JiraUser, one).id for one in said] if isinstance(said, list) else []
        return Permission.WRITE if user in people else Permission.NONE

    def missing_states(self) -> tuple[str, ...]:
        """Ask for the statuses of the project's workflows."""
        said = self.client.get(f"/project/{quote(self.config.project or '', safe='')}/statuses")
        types = [self.client.parsed(JiraType, one) for one in (said if isinstance(said, list) else [])]
        there = {status.name.casefold() for each in types for status in each.statuses}
        named = [*self.config.states.model_dump().values(), *self.config.stop_states]
        return tuple(name for name in dict.fromkeys(named) if name and name.casefold() not in there)

    def show_stage(self, ref: IssueRef, stage: Stage) -> None:
        """By the transition that leads there from where the issue is now; ForgeRefusedError without one."""
        wanted: str = getattr(self.config.states, stage.value)
        now = self._sent(ref).fields.status
        if now.is_done if stage is Stage.DONE else not wanted or now.name.casefold() == wanted.casefold():
            return
        said = self.client.get(f"{_path(ref)}/transitions")
        ways = self.client.parsed(JiraTransitions, said).transitions
        fits = [way for way in ways if way.to.name.casefold() == wanted.casefold()]
        if not fits and not wanted:
            fits = [way for way in ways if way.to.is_done]
        if not fits:
            there = ", ".join(dict.fromkeys(way.to.name for way in ways)) or "none"
            message = (
                f"no transition leads from {now.name} to {wanted or 'an end'} for {ref.key} (there are those "
                f"to: {there}); add one to its workflow, or correct tracker.{self.name}.states.{stage.value}"
            )
            raise ForgeRefusedError(message)
        body = {"transition": {"id": fits[0].id}}
        self.client.write("POST", f"{_path(ref)}/transitions", body, repeatable=False)

    def link_work(self, ref: IssueRef, *, url: str, title: str) -> None:
        """A remote link, which has the address for its name, so that there is one."""
        body = {"globalId": url[:255], "object": {"url": url, "title": title[:255]}}
        self.client.write("POST", f"{_path(ref)}/remotelink", body, repeatable=True)

    def _filter(self) -> list[str]:
        return [f"({self.config.filter})"] if self.config.filter else []

    def _search(self, wanted: list[str]) -> tuple[list[Any], bool]:
        """What matches, and whether that is all, within the bound of pages."""
        asked = {"jql": f"{' AND '.join(wanted)} ORDER BY key ASC", "fields": FIELDS}
        asked["maxResults"] = str(self.limits.page_size)
        found: list[Any] = []
        for _ in range(self.limits.max_pages):
            page = self.client.parsed(JiraPage, self.client.get("/search/jql", asked))
            found += page.issues
            if not page.next:
                return found, True
            asked["nextPageToken"] = page.next
        return found, False

    def _sent(self, ref: IssueRef) -> JiraIssue:
        """The issue as it is; ForgeMovedError when Jira gives another one's key, as it moved there."""
        self._check(ref)
        sent = self.client.parsed(JiraIssue, self.client.get(_path(ref), {"fields": FIELDS}))
        if sent.key != ref.key:
            state: Literal["open", "closed"] = "closed" if sent.fields.status.is_done else "open"
            message = f"{ref.key} is called {sent.key[:80]} now: it was moved to another project"
            raise ForgeMovedError(message, state=state)
        return sent

    def _comments(self, ref: IssueRef) -> Iterator[JiraComment]:
        at = 0
        for _ in range(self.limits.max_pages):
            asked = {"orderBy": "created", "startAt": str(at), "maxResults": str(self.limits.page_size)}
            page = self.client.parsed(JiraComments, self.client.get(f"{_path(ref)}/comment", asked))
            yield from page.comments
            at += len(page.comments)
            if not page.comments or at >= page.total:
                return

    def _changes(self, ref: IssueRef) -> Iterator[JiraChanges]:
        """Its history, the oldest change first; all of it, as half of it would name a wrong person."""
        at = 0
        for _ in range(self.limits.max_pages):
            asked = {"startAt": str(at), "maxResults": str(self.limits.page_size)}
            page = self.client.parsed(JiraHistory, self.client.get(f"{_path(ref)}/changelog", asked))
            yield from page.values
            at += len(page.values)
            if page.is_last or not page.values:
                return
        message = f"{ref.key} has more than {self.limits.max_pages} pages of history; raise http.max_pages"
        raise ForgeRefusedError(message)

    def _change_label(self, ref: IssueRef, how: str, label: str) -> None:
        self._check(ref)
        body = {"update": {"labels": [{how: label}]}}
        self.client.write("PUT", _path(ref), body, repeatable=True)

    def _check(self, ref: IssueRef) -> None:
        if ref.forge != self.name:
            message = f"{ref} is an issue of another tracker than {self.name}"
            raise ForgeRefusedError(message)

    def _ref(self, key: str) -> IssueRef:
        project, _, number = key.rpartition("-")
        return IssueRef(forge=self.name, repo=project, number=int(number))

    def _issue(self, sent: JiraIssue) -> Issue:
        fields, ref = sent.fields, self._ref(sent.key)
        return Issue(
            ref=ref,
            title=(fields.summary or "").strip() or ref.key,
            body=as_markdown(fields.description),
            labels=tuple(dict.fromkeys(fields.labels)),
            state="closed" if fields.status.is_done else "open",
            author=fields.creator.id if fields.creator else "",
            assignees=(fields.assignee.id,) if fields.assignee else (),
            updated_at=fields.updated,
            url=f"{self.config.site_url or self.config.address}/browse/{ref.key}",
            status=fields.status.name,
            parts=tuple(one.name for one in fields.components),
        )

    def _comment(self, sent: JiraComment) -> Comment:
        return Comment(
            id=sent.id,
            author=sent.author.id if sent.author else "",
            body=with_hidden_mark(as_markdown(sent.body)),
            created_at=sent.created,
        )


def _path(ref: IssueRef) -> str:
    return f"/issue/{quote(ref.key, safe='')}"


def _quoted(text: str) -> str:
    """A value of JQL, which ends where it ends here."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _document_of(body: str) -> dict[str, Any]:
    return as_document(with_visible_mark(body))


def _gains(before: str | None, after: str | None, label: str) -> bool:
    """Whether a change put the label on; the history has labels with spaces between them."""
    had, has = ((text or "").casefold().split() for text in (before, after))
    return label.casefold() in has and label.casefold() not in had
