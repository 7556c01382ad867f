"""A forge that is reached over HTTP: the protocol's methods, each done by one of six parts.

The one decision here: a reference to an issue of another forge is refused. What the methods
promise is in `routing.forges.forge`, how they keep it in the parts.
"""

from dataclasses import dataclass
from typing import Protocol

from routing.base import Base
from routing.forges.change_request import ChangeRequest, RequestText, Revert, Review
from routing.forges.commit_status import CombinedStatus
from routing.forges.errors import ForgeGoneError, ForgeInvalidError
from routing.forges.feedback import Feedback
from routing.forges.forge import Access, Deed, Permission
from routing.forges.rest.access import RestAccess
from routing.forges.rest.changes import RestChanges
from routing.forges.rest.client import ForgeClient
from routing.forges.rest.clone import RepositoryNames
from routing.forges.rest.issues import RestIssues
from routing.forges.skip_marker import skip_marker
from routing.forges.work_branch import checked_commit
from routing.issues.issue import Comment, Issue, IssueListing, IssueRef


class ReadsStatuses(Protocol):
    """Reads statuses and checks of a commit. GitHub has two APIs for them, Gitea one."""

    def of(self, repo: str, commit: str, branch: str = "") -> CombinedStatus:
        """Return all of it, with what the branch requires ("": the main one), or raise ForgeGoneError."""
        ...

    def failing_log(self, repo: str, commit: str, *, most_characters: int) -> str:
        """Return what failed checks say, at most so many characters; "" when none failed."""
        ...


class HearsFeedback(Protocol):
    """Reads what was said of a request, and answers."""

    def of(self, change: ChangeRequest) -> tuple[Feedback, ...]:
        """Return it without our own words, oldest first."""
        ...

    def answer(self, change: ChangeRequest, feedback: Feedback, body: str, *, resolved: bool) -> None:
        """Answer one piece of it, once; with `resolved` its threads are marked so where they can be."""
        ...


class HoldsSockets(Protocol):
    """What keeps connections between two calls."""

    def close(self) -> None:
        """Give them back; a later call opens new ones."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class RestForge:
    """Implements `routing.forges.forge.Forge`.

    Its parts share one client, and with it one rate limit and one circuit breaker. Safe to share between
    threads.
    """

    name: str  # as it is configured
    client: ForgeClient
    issues: RestIssues
    checks: ReadsStatuses
    changes: RestChanges
    rights: RestAccess
    said: HearsFeedback
    names: RepositoryNames
    beside: tuple[HoldsSockets, ...] = ()  # what asks by itself: an App for its tokens

    def close_connections(self) -> None:
        """Give the sockets back; the next call opens new ones."""
        for one in (self.client, *self.beside):
            one.close()

    def name_now(self, repo: str) -> str:
        """What a repository is called by now."""
        return self.names.now(repo)

    def own_login(self) -> str:
        """Whose token it is."""
        return self.issues.own_login()

    def access(self, repo: str) -> Access:
        """Ask what may be done in the repository."""
        return self.rights.of(repo)

    def repository_fault(self, repo: str) -> str:
        """Ask what would keep our branches from it."""
        return self.rights.fault_of(repo)

    def repositories_of(self, owner: str) -> tuple[str, ...]:
        """List those of an organisation, or of a user."""
        return self.rights.repositories_of(owner)

    def list_issues(self, repo: str, label: str | None) -> IssueListing:
        """List the open issues that carry the label."""
        return self.issues.list(repo, label)

    def read_issue(self, ref: IssueRef) -> Issue:
        """Return the issue as it is now, with its comments."""
        return self.issues.read(self._ours(ref))

    def requested_by(self, ref: IssueRef, label: str | None) -> str:
        """Name the person who asked for agents."""
        return self.issues.requested_by(self._ours(ref), label)

    def last_to(self, deed: Deed, ref: IssueRef, label: str | None) -> str:
        """Name who did last what may end the work on an issue."""
        return self.issues.last_to(deed, self._ours(ref), label)

    def last_to_drop(self, change: ChangeRequest) -> str:
        """Name who closed a change request."""
        return self.issues.last_to_drop(change.repo, change.number) if change.number is not None else ""

    def comment(self, ref: IssueRef, body: str) -> Comment:
        """Write a comment."""
        return self.issues.comment(self._ours(ref), body)

    def edit_comment(self, ref: IssueRef, comment_id: int, body: str) -> Comment:
        """Replace the text of a comment of our own."""
        return self.issues.edit_comment(self._ours(ref), comment_id, body)

    def add_label(self, ref: IssueRef, label: str) -> None:
        """Put a label on the issue."""
        self.issues.add_label(self._ours(ref), label)

    def remove_label(self, ref: IssueRef, label: str) -> None:
        """Take a label off the issue."""
        self.issues.remove_label(self._ours(ref), label)

    def assign(self, ref: IssueRef, user: str) -> None:
        """Assign the issue to a user."""
        self.issues.assign(self._ours(ref), user)

    def close(self, ref: IssueRef) -> None:
        """Close the issue."""
        self.issues.close(self._ours(ref))

    def dependencies(self, ref: IssueRef) -> tuple[IssueRef, ...]:
        """Name the issues that block this one."""
        return self.issues.dependencies(self._ours(ref))

    def permission(self, repo: str, user: str) -> Permission:
        """Ask what the user may do."""
        return self.rights.permission(repo, user)

    def statuses(self, repo: str, commit: str, *, base: Base | None = None) -> CombinedStatus:
        """Return all statuses and checks of the commit, and why there may be none."""
        branch = self.changes.target(repo, base) if base is not None else ""
        said = self.checks.of(repo, commit, branch)
        if said.has_real_ci or said.failed:
            return said
        marker = skip_marker(self.changes.message_of(repo, commit))
        return said.model_copy(update={"keeps_ci_away": marker}) if marker else said

    def failing_log(self, repo: str, commit: str, *, most_characters: int) -> str:
        """Return what checks that failed say of it."""
        return self.checks.failing_log(repo, commit, most_characters=most_characters)

    def contains(self, repo: str, commit: str, *, base: Base | None = None) -> bool:
        """Whether the branch that work goes to holds the commit."""
        return self.changes.contains(repo, commit, base)

    def newest(self, repo: str, base: Base | None) -> Base:
        """Return the branch that work goes to, as it is now."""
        return self.changes.newest(repo, base)

    def bring_up_to_date(self, change: ChangeRequest, *, onto: Base, base: Base | None = None) -> str:
        """Have the forge merge the newest of the branch that it goes to into the change's branch."""
        return self.changes.bring_up_to_date(change, onto, base)

    def conflicts(self, change: ChangeRequest, *, onto: Base) -> tuple[str, ...]:
        """Have git merge the two, in a repository of ours."""
        return self.changes.conflicts(change, onto)

    def change_of_branch(self, repo: str, branch: str) -> ChangeRequest | None:
        """Return the pull request of a branch."""
        return self.changes.of_branch(repo, branch)

    def requests_of(self, repo: str, commit: str) -> tuple[RequestText, ...]:
        """Return what the merged requests of a commit say; none of one that is not there."""
        try:
            pulls = self.changes.requests_of(repo, checked_commit(commit))
        except ForgeGoneError:
            return ()
        return tuple(
            RequestText(number=pull.number, title=pull.title, body=pull.body)
            for pull in pulls
            if pull.merged_at is not None
        )

    def open_change(
        self, repo: str, branch: str, *, title: str, body: str, base: Base | None = None
    ) -> ChangeRequest:
        """Open a pull request, or return the one that is open."""
        return self.changes.open(repo, branch, title, body, base)

    def merge(
        self, change: ChangeRequest, *, issue: IssueRef | None = None, base: Base | None = None,
        onto: Base | None = None,
    ) -> ChangeRequest:  # fmt: skip
        """Merge the change at exactly its head; neither forge can hold still the branch that it goes to."""
        del onto
        return self.changes.merge(change, issue, base)

    def withdraw_merge(self, change: ChangeRequest) -> None:
        """Take the change out of the forge's merge queue, where it has one."""
        self.changes.withdraw_merge(change)

    def why_dequeued(self, change: ChangeRequest) -> str:
        """Say why the forge's merge queue took the change out, where it has one."""
        return self.changes.why_dequeued(change)

    def delete_branch(self, change: ChangeRequest) -> None:
        """Delete the branch of merged work, unless the forge has done that by itself."""
        self.changes.delete_branch(change)

    def reverts_of(self, repo: str, commit: str, *, base: Base | None = None) -> tuple[Revert, ...]:
        """Find the commit on the branch that work goes to that took this one back."""
        return self.changes.reverts_of(repo, commit, base)

    def reviews(self, change: ChangeRequest) -> tuple[Review, ...]:
        """Return the verdicts of reviewers."""
        return self.changes.reviews(change)

    def feedback(self, change: ChangeRequest) -> tuple[Feedback, ...]:
        """Return what people wrote about the change."""
        return self.said.of(change)

    def answer(self, change: ChangeRequest, feedback: Feedback, body: str, *, resolved: bool = False) -> None:
        """Answer it, and ask who requested changes to look again."""
        self.said.answer(change, feedback, body, resolved=resolved)

    def _ours(self, ref: IssueRef) -> IssueRef:
        """The reference, if it names an issue of this forge: numbers of two forges must never be mixed up."""
        if ref.forge != self.name:
            message = f"{ref} is an issue of another forge than {self.name}"
            raise ForgeInvalidError(message)
        return ref
