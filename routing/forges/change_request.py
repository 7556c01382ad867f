"""Change requests: the pull request of a branch, what became of it, and what reviewers said."""

from collections.abc import Iterable
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict


class ChangeState(StrEnum):
    """Where a change request stands."""

    OPEN = "open"
    MERGED = "merged"
    CLOSED = "closed"  # closed, or its branch deleted, without a merge


class ChangeRequest(BaseModel):
    """The pull request of a branch; on the local forge, the branch itself."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    repo: str
    branch: str
    head: str  # the branch's newest commit
    base: str  # the branch that it is to be merged into
    state: ChangeState
    number: int | None = None  # None where change requests have no numbers
    merge_commit: str = ""  # the commit that brought it into the base, "" when it is not merged
    merged_at: AwareDatetime | None = None
    reverted_at: AwareDatetime | None = None  # when it was taken back, None while it is there
    looked: bool = True  # False: the main branch could not be read, so that only the forge's word is known
    url: str = ""


class RequestText(BaseModel):
    """What a change request says of itself: anybody's text."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    number: int
    title: str
    body: str


class Revert(BaseModel):
    """A commit on the base branch that takes the content of another one back."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    commit: str  # the commit that reverts
    at: AwareDatetime


class ReviewVerdict(StrEnum):
    """What a reviewer concluded."""

    APPROVED = "approved"
    CHANGES_REQUESTED = "changes_requested"
    COMMENTED = "commented"


class Review(BaseModel):
    """A person's review of a change request."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    author: str
    verdict: ReviewVerdict
    commit: str  # the commit that was looked at, "" when the forge does not say
    at: AwareDatetime
    round: int = 1  # of review: it grows when new work is looked at after changes were requested


def in_rounds(reviews: Iterable[Review]) -> tuple[Review, ...]:
    """The reviews, oldest first, each with the round that it belongs to.

    A round ends when a commit is reviewed that nobody had seen when changes were last requested: several
    people who ask for changes of one commit are one round.
    """
    counted: list[Review] = []
    round_, seen, requested = 1, set[str](), False
    for review in sorted(reviews, key=lambda one: one.at):
        if requested and review.commit not in seen:
            round_, requested = round_ + 1, False
        seen.add(review.commit)
        requested = requested or review.verdict is ReviewVerdict.CHANGES_REQUESTED
        counted.append(review.model_copy(update={"round": round_}))
    return tuple(counted)
