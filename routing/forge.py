"""The forge: where issues come from and where work is judged. Adapters live in `routing/forges/`."""

from enum import StrEnum
from typing import Protocol

from routing.change_request import ChangeRequest, Revert, Review
from routing.commit_status import CombinedStatus
from routing.issue import Comment, Issue, IssueListing, IssueRef


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


class Forge(Protocol):
    """What Coalmine needs of a forge.

    Every method raises a `routing.forge_errors.ForgeError`: gone, refused, invalid, or unreachable.
    Unreachable is never returned as an empty answer. Every writing method may be repeated: what is already
    so stays so.
    """

    @property
    def name(self) -> str:
        """The configured name, as it stands in an issue's name (`local`, `github`)."""
        ...

    def list_issues(self, repo: str, label: str | None) -> IssueListing:
        """List the open issues that carry the label, or with None all that are open."""
        ...

    def read_issue(self, ref: IssueRef) -> Issue:
        """Return the issue as it is now, with its comments."""
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

    def statuses(self, repo: str, commit: str) -> CombinedStatus:
        """Return all statuses and checks of the commit."""
        ...

    def change_of_branch(self, repo: str, branch: str) -> ChangeRequest | None:
        """Return the change request of a branch; None when there is, and was, none."""
        ...

    def open_change(self, repo: str, branch: str, *, title: str, body: str) -> ChangeRequest:
        """Ask for the branch to be merged into the main branch; the open change when there is one."""
        ...

    def merge(self, change: ChangeRequest, *, issue: IssueRef | None = None) -> ChangeRequest:
        """Merge the change at exactly its `head`; refused where the settings leave that to people."""
        ...

    def reverts_of(self, repo: str, commit: str) -> tuple[Revert, ...]:
        """Find the commits on the main branch that take this one back, oldest first."""
        ...

    def reviews(self, change: ChangeRequest) -> tuple[Review, ...]:
        """Return the verdicts of reviewers, oldest first."""
        ...
