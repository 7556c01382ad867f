"""Change requests: the pull request of a branch, what became of it, and what reviewers said."""

from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict


class ChangeState(StrEnum):
    """Where a change request stands."""

    OPEN = "open"
    MERGED = "merged"
    CLOSED = "closed"  # closed, or its branch deleted, without a merge


class ChangeRequest(BaseModel):
    """The pull request of a branch; on the local forge, the branch itself."""

    model_config = ConfigDict(frozen=True)

    repo: str
    branch: str
    head: str  # the branch's newest commit
    base: str  # the branch that it is to be merged into
    state: ChangeState
    number: int | None = None  # None where change requests have no numbers
    merge_commit: str = ""  # the commit that brought it into the base, "" when it is not merged
    merged_at: AwareDatetime | None = None
    reverted_at: AwareDatetime | None = None  # of the first revert, None when there is none
    url: str = ""


class Revert(BaseModel):
    """A commit on the base branch that says it takes another one back."""

    model_config = ConfigDict(frozen=True)

    commit: str  # the commit that reverts
    at: AwareDatetime


class ReviewVerdict(StrEnum):
    """What a reviewer concluded."""

    APPROVED = "approved"
    CHANGES_REQUESTED = "changes_requested"
    COMMENTED = "commented"


class Review(BaseModel):
    """A person's review of a change request."""

    model_config = ConfigDict(frozen=True)

    author: str
    verdict: ReviewVerdict
    commit: str  # the commit that was looked at
    at: AwareDatetime
