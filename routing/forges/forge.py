"""The forge: where issues come from and where work is judged.

`Forge` is all that the product asks of one, and `IssueTracker` the half of it that is about issues. Each kind
implements it in its own folder; the contract suites (`tests/contract/test_forge.py`, and `test_trackers.py`)
hold them to it.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from routing.base import Base
from routing.forges.change_request import ChangeRequest, RequestText, Revert, Review
from routing.forges.commit_status import CombinedStatus
from routing.forges.feedback import Feedback
from routing.issues.issue import Comment, Issue, IssueListing, IssueRef


class Permission(StrEnum):
    """What a user may do in a repository."""

    NONE = "none"
    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    @property
    def can_write(self) -> bool:
        """Whether the user is trusted to put agents to work."""
        return self in {Permission.WRITE, Permission.ADMIN}


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """What may be done in a repository with what Coalmine was given, as its forge says."""

    readable: bool  # the repository and its issues are there to be seen
    writable: bool  # issues can be commented and labelled, and branches pushed
    note: str  # for people: which forge this is, what is missing, and what to do
    knows_people: bool = True  # what people may do there can be asked; else nobody is trusted with agents


@runtime_checkable
class RunsCi(Protocol):
    """A forge whose CI we run ourselves."""

    def run_ci(self, commit: str) -> object:
        """Judge a commit, unless it is judged already; what CI says becomes a status of the commit."""
        ...


@runtime_checkable
class KnowsRequests(Protocol):
    """A forge that knows by which change request a commit came to its branch."""

    def requests_of(self, repo: str, commit: str) -> tuple[RequestText, ...]:
        """What the merged requests say that brought the commit there; () where it knows of none."""
        ...


@runtime_checkable
class HoldsConnections(Protocol):
    """A forge that keeps sockets open between two calls."""

    def close_connections(self) -> None:
        """Give them back; the next call opens new ones."""
        ...


@runtime_checkable
class FollowsNames(Protocol):
    """A forge whose repositories may be renamed, or moved to another owner."""

    def name_now(self, repo: str) -> str:
        """What a repository is called by now; the name that was asked for where nothing else is known.

        ForgeReplacedError where another one has taken its name and it cannot be gone on with;
        ForgeUnreachableError where that is not known.
        """
        ...


class Deed(StrEnum):
    """What people do with an issue that may end the work on it."""

    CLOSE = "close"
    UNLABEL = "unlabel"  # the label that makes it one for agents is taken off
    ASSIGN = "assign"  # or taken from somebody


@runtime_checkable
class RemembersDeeds(Protocol):
    """A forge that keeps who did what with an issue."""

    def last_to(self, deed: Deed, ref: IssueRef, label: str | None) -> str:
        """Name who did it last, and has not been followed by the opposite; "" when it cannot tell.

        `label` is the one that is meant where a label is. Of assignments our own do not count.
        """
        ...

    def last_to_drop(self, change: ChangeRequest) -> str:
        """Name who closed a change request that is not merged; "" when it cannot tell, or is open."""
        ...


class IssueTracker(Protocol):
    """Where issues are: the half of a forge that a tracker such as Jira has too.

    Every method raises a `routing.forges.errors.ForgeError`: gone, refused, invalid, or unreachable.
    Unreachable is never returned as an empty answer. Every writing method may be repeated: what is already
    so stays so. In a tracker, `repo` is the project that an issue is in.
    """

    @property
    def name(self) -> str:
        """The configured name, as it stands in an issue's name (`local`, `github`)."""
        ...

    def own_login(self) -> str:
        """Under which name our own comments appear: a comment by anybody else is not ours."""
        ...

    def access(self, repo: str) -> Access:
        """Say what may be done in the repository; one that is not there, or not for us, is not readable."""
        ...

    def repositories_of(self, owner: str) -> tuple[str, ...]:
        """Name the repositories of an owner that we can see, without archived ones."""
        ...

    def list_issues(self, repo: str, label: str | None) -> IssueListing:
        """List the open issues that carry the label, or with None all that are open."""
        ...

    def read_issue(self, ref: IssueRef) -> Issue:
        """Return the issue as it is now, with its comments."""
        ...

    def requested_by(self, ref: IssueRef, label: str | None) -> str:
        """Name the person who asked for agents, as the forge remembers it: "" when it cannot tell.

        With a label: who put it on last, if it is on the issue now. With None: who made the newest assignment
        that still stands, our own not counted; the author when there is none.
        """
        ...

    def comment(self, ref: IssueRef, body: str) -> Comment:
        """Write a comment. The one method that, repeated, does its work twice."""
        ...

    def edit_comment(self, ref: IssueRef, comment_id: int, body: str) -> Comment:
        """Replace the text of a comment of our own; anyone else's is refused."""
        ...

    def add_label(self, ref: IssueRef, label: str) -> None:
        """Put a label on the issue."""
        ...

    def remove_label(self, ref: IssueRef, label: str) -> None:
        """Take a label off the issue."""
        ...

    def assign(self, ref: IssueRef, user: str) -> None:
        """Assign the issue to a user, beside those who have it."""
        ...

    def close(self, ref: IssueRef) -> None:
        """Close the issue."""
        ...

    def dependencies(self, ref: IssueRef) -> tuple[IssueRef, ...]:
        """Name the issues that block this one, as the forge's own fields say; closed ones are listed too."""
        ...

    def permission(self, repo: str, user: str) -> Permission:
        """Say what the user may do, asked of the forge and never guessed from what a message claims."""
        ...


class Forge(IssueTracker, Protocol):
    """What Coalmine needs of a forge: where its issues are, and where work is judged.

    Its methods answer and raise as those of an `IssueTracker` do.
    """

    def repository_fault(self, repo: str) -> str:
        """Why no job can be done there, and what to do; "" when nothing is known to be wrong.

        Found before an agent is paid: a repository that is gone, archived, empty, or not to be pushed to.
        """
        ...

    def statuses(self, repo: str, commit: str, *, base: Base | None = None) -> CombinedStatus:
        """Return all statuses and checks of the commit, and those that must pass.

        The latter are those of the branch that work from `base` goes to, see `newest`.
        """
        ...

    def failing_log(self, repo: str, commit: str, *, most_characters: int) -> str:
        """Return the end of what each failed check printed, for the agent that fixes it; "" when none failed.

        Best effort: some forges know no more than a line and an address. Text from outside, printable, in
        several lines, and never longer than `most_characters`.
        """
        ...

    def contains(self, repo: str, commit: str, *, base: Base | None = None) -> bool:
        """Whether the branch that work from `base` goes to holds the commit itself.

        A squash or a rebase makes others of it.
        """
        ...

    def newest(self, repo: str, base: Base | None) -> Base:
        """Return the branch that work from `base` goes to, with its newest commit."""
        ...

    def bring_up_to_date(self, change: ChangeRequest, *, onto: Base, base: Base | None = None) -> str:
        """Have the branch of an open change hold `onto.commit`, by a merge commit of ours.

        Returns the branch's head: `change.head` when it held that already, else a commit that nobody has
        judged. ForgeRefusedError for conflicts, ForgeUnreachableError while the forge is at it.
        """
        ...

    def conflicts(self, change: ChangeRequest, *, onto: Base) -> tuple[str, ...]:
        """Name the files in which the change and `onto.commit` say otherwise, so that git merges neither.

        () when they merge cleanly; ForgeUnreachableError when that is not known.
        """
        ...

    def change_of_branch(self, repo: str, branch: str) -> ChangeRequest | None:
        """Return the change request of a branch; None when there is, and was, none.

        MERGED when the work is on the main branch by whatever way, `reverted_at` when it was taken back by
        whatever way: judged by content.
        """
        ...

    def open_change(
        self, repo: str, branch: str, *, title: str, body: str, base: Base | None = None
    ) -> ChangeRequest:
        """Ask for the branch to be merged; the open change when there is one.

        It goes to the branch of `base`, or to the main branch when that is gone, or not known. Raises
        ForgeBaseGoneError when commits that are not the branch's own would come along.
        """
        ...

    def merge(
        self, change: ChangeRequest, *, issue: IssueRef | None = None, base: Base | None = None,
        onto: Base | None = None,
    ) -> ChangeRequest:  # fmt: skip
        """Merge the change at exactly its `head`; refused where the settings leave that to people.

        `base` is as for `open_change`. With `onto` only while the branch that it goes to is still there, as
        far as the forge can promise that; ForgeUnreachableError otherwise. ForgeQueuedError: it is in a merge
        queue, and nothing more needs to be asked for. ForgeOutdatedError: bring it up to date first.
        """
        ...

    def withdraw_merge(self, change: ChangeRequest) -> None:
        """Have a merge that was asked for, and has not been made yet, not be made; done when none is."""
        ...

    def why_dequeued(self, change: ChangeRequest) -> str:
        """Say why a merge queue took an open change out by itself; "" unless it did, at this head."""
        ...

    def delete_branch(self, change: ChangeRequest) -> None:
        """Delete the branch of a merged change of ours, at exactly its `head`; done when it is gone already.

        ForgeRefusedError, and it is kept: it is not ours, not merged, taken back, protected, or has moved on.
        ForgeHeldError: a person has it checked out.
        """
        ...

    def reverts_of(self, repo: str, commit: str, *, base: Base | None = None) -> tuple[Revert, ...]:
        """Find the commit that took this one back, by content; () while it is there.

        `base` is where the work began, where it has more commits than this; the branch that such work goes to
        is looked at. A revert that was taken back counts no longer, and what a message says counts for
        nothing.
        """
        ...

    def reviews(self, change: ChangeRequest) -> tuple[Review, ...]:
        """Return the verdicts of reviewers, oldest first."""
        ...

    def feedback(self, change: ChangeRequest) -> tuple[Feedback, ...]:
        """Return what others than we wrote about the change, oldest first, without what was taken back."""
        ...

    def answer(self, change: ChangeRequest, feedback: Feedback, body: str, *, resolved: bool = False) -> None:
        """Answer feedback where it stands, and ask who requested changes to look again; repeated, no more.

        `resolved`: a commit has dealt with it, so its threads are marked so where the forge has that.
        """
        ...
