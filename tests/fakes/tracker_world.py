"""One project of a tracker, in memory: what people do there, as Jira and Linear both show it."""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from tests.fakes.forge_world import OWN_LOGIN, PERSON


class StateKind(StrEnum):
    """What kind of state one of a workflow is."""

    NEW = "new"
    BEGUN = "begun"
    DONE = "done"
    DROPPED = "dropped"

    @property
    def ends(self) -> bool:
        """Whether an issue in it counts as closed."""
        return self in {StateKind.DONE, StateKind.DROPPED}


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackedChange:
    """What somebody changed of an issue at once."""

    by: str
    at: datetime
    before: tuple[str, ...] = ()  # labels
    after: tuple[str, ...] = ()
    assignee: str | None = None  # whom it was assigned to

    @property
    def added(self) -> list[str]:
        """Labels that it has since."""
        return [label for label in self.after if label not in self.before]


@dataclass(kw_only=True, slots=True)
class TrackedComment:
    """A comment; `body` is what the tracker keeps of it: a text, or a document."""

    number: int
    author: str
    body: object
    at: datetime


@dataclass(kw_only=True, slots=True)
class TrackedIssue:
    """An issue of the project."""

    number: int
    title: str
    body: str
    labels: list[str]
    creator: str
    state: str
    updated_at: datetime
    part: str = ""  # the component of Jira, the project of Linear
    assignee: str = ""
    key: str = ""  # when it has moved elsewhere
    is_deleted: bool = False
    blocked_by: list[int] = field(default_factory=list)
    comments: list[TrackedComment] = field(default_factory=list)
    changes: list[TrackedChange] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)  # titles by address


class TrackerWorld:
    """The project SHOP, the people who may edit its issues, and its workflow."""

    def __init__(self, project: str = "SHOP") -> None:
        self.project = project
        self.states = {
            "To Do": StateKind.NEW,
            "In Progress": StateKind.BEGUN,
            "In Review": StateKind.BEGUN,
            "Blocked": StateKind.BEGUN,
            "Done": StateKind.DONE,
            "Won't Do": StateKind.DROPPED,
        }
        self.ways: dict[str, set[str]] = {}  # where a state leads, if not everywhere
        self.editors = {PERSON, OWN_LOGIN}
        self.guests = {"greta"}
        self.lacks: set[str] = set()  # permissions that the token does not have, by Jira's keys
        self.issues: dict[int, TrackedIssue] = {}
        self.label_names: list[str] = []
        #: What the filter of the tests, `priority = High`, selects.
        self.selects: Callable[[TrackedIssue], bool] = lambda _: True
        self._comment_numbers = itertools.count(501)
        self._seconds = itertools.count()
        self._began = datetime.now(UTC).replace(microsecond=0)

    def now(self) -> datetime:
        """The time, which is another one each time that somebody does something."""
        return self._began.replace(microsecond=1000 * (next(self._seconds) % 999 + 1))

    def open_issue(
        self, title: str = "Cart is slow", body: str = "It is slow.", *, labels: Iterable[str] = (),
        blocked_by: Iterable[int] = (), author: str = PERSON, state: str = "To Do", part: str = "",
    ) -> TrackedIssue:  # fmt: skip
        """Somebody opens an issue."""
        issue = TrackedIssue(
            number=len(self.issues) + 12, title=title, body=body, labels=list(labels), creator=author,
            state=state, updated_at=self.now(), part=part, blocked_by=list(blocked_by),
        )  # fmt: skip
        self.label_names += [label for label in issue.labels if label not in self.label_names]
        self.issues[issue.number] = issue
        return issue

    def key(self, issue: TrackedIssue) -> str:
        """`SHOP-12`."""
        return issue.key or f"{self.project}-{issue.number}"

    def find(self, key: str) -> TrackedIssue | None:
        """By its key, also by one that it had before it moved."""
        project, _, number = key.rpartition("-")
        issue = self.issues.get(int(number)) if project == self.project and number.isdigit() else None
        return None if issue is None or issue.is_deleted else issue

    def is_open(self, issue: TrackedIssue) -> bool:
        """Whether its state does not end it."""
        return not self.states[issue.state].ends

    def relabel(self, issue: TrackedIssue, labels: Iterable[str], by: str = PERSON) -> None:
        """Somebody changes which labels it has."""
        after = list(dict.fromkeys(labels))
        if after != issue.labels:
            change = TrackedChange(by=by, at=self.now(), before=tuple(issue.labels), after=tuple(after))
            issue.changes.append(change)
            issue.labels, issue.updated_at = after, change.at
            self.label_names += [label for label in after if label not in self.label_names]

    def assign(self, issue: TrackedIssue, user: str, by: str = PERSON) -> None:
        """Somebody assigns it."""
        now = self.now()
        labels = tuple(issue.labels)
        issue.changes.append(TrackedChange(by=by, at=now, before=labels, after=labels, assignee=user))
        issue.assignee, issue.updated_at = user, now

    def move(self, issue: TrackedIssue, state: str) -> None:
        """Somebody moves it to another state."""
        issue.state, issue.updated_at = state, self.now()

    def rewrite(self, issue: TrackedIssue, body: str) -> None:
        """Somebody changes its text."""
        issue.body, issue.updated_at = body, self.now()

    def comment(self, issue: TrackedIssue, author: str, body: object) -> TrackedComment:
        """Somebody comments on it."""
        made = TrackedComment(number=next(self._comment_numbers), author=author, body=body, at=self.now())
        issue.comments.append(made)
        issue.updated_at = made.at
        return made

    def find_comment(self, number: int) -> tuple[TrackedIssue, TrackedComment] | None:
        """A comment, and the issue that it is on."""
        found = ((issue, one) for issue in self.issues.values() for one in issue.comments)
        return next((pair for pair in found if pair[1].number == number), None)

    def leads(self, issue: TrackedIssue) -> list[str]:
        """The states that it may be moved to."""
        ways = self.ways.get(issue.state, set(self.states))
        return [name for name in self.states if name in ways and name != issue.state]
