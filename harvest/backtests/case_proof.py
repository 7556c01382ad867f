"""Whether a case can be believed: what the judge said before and after its true change. Pure.

A case is kept when the hidden tests fail at the base commit and pass at the true change, both times that each
was judged. One that is flaky, slow or broken would be noise in every later run, on both sides.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from harvest.pairs.pair_counts import SOLVED


class Dropped(StrEnum):
    """Why a past change makes no case."""

    NO_ISSUE = "no issue"  # it closes none that can be read
    NO_TESTS = "no tests"  # it touches no test, or nothing but tests and words
    CHANGED_LATER = "issue changed later"  # or nobody can say when: its text may hold the answer
    TOO_LARGE = "too large"
    NOT_READABLE = "not readable"  # git or the issue says what a case cannot hold
    IN_HISTORY = "answer in its history"  # the same change was made before, and taken back
    BROKEN = "judge broken"
    SLOW = "too slow"
    PASSES_BEFORE = "passes before its change"
    FAILS_AFTER = "fails after its change"
    FLAKY = "flaky"

    @property
    def words(self) -> str:
        """What it means, for people."""
        return _WORDS[self]


_WORDS = {
    Dropped.NO_ISSUE: "it closes no issue that can be read",
    Dropped.NO_TESTS: "it has no tests beside code that they could be about",
    Dropped.CHANGED_LATER: "its issue was changed after it and may hold the answer; see --keep-changed",
    Dropped.TOO_LARGE: "its tests are too large to be laid over other work",
    Dropped.NOT_READABLE: "its issue or its files cannot be part of a case",
    Dropped.IN_HISTORY: "the same change was made before and taken back, so an agent finds it in the history",
    Dropped.BROKEN: "the judge could not be run",
    Dropped.SLOW: "the judge took too long",
    Dropped.PASSES_BEFORE: "its tests pass without the change",
    Dropped.FAILS_AFTER: "its tests fail with the true change",
    Dropped.FLAKY: "the judge says one thing now and another thing later of the same files",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgeLook:
    """What the judge said once."""

    value: float | None  # in [0,1]; None: it could not be run
    overdue: bool = False


#: How often the judge looks at each of the two commits.
LOOKS = 2


def drop_of(before: Sequence[JudgeLook], after: Sequence[JudgeLook]) -> Dropped | None:
    """Why a case is not kept, by what was seen so far; None while nothing speaks against it.

    The most telling reason comes first, so that one look at each commit is enough where it decides.
    """
    every = (*before, *after)
    if any(look.overdue for look in every):
        return Dropped.SLOW
    if any(look.value is None for look in every):
        return Dropped.BROKEN
    solved_before = {(look.value or 0.0) >= SOLVED for look in before}
    solved_after = {(look.value or 0.0) >= SOLVED for look in after}
    if len(solved_before) > 1 or len(solved_after) > 1:
        return Dropped.FLAKY
    if solved_before == {True}:
        return Dropped.PASSES_BEFORE
    return Dropped.FAILS_AFTER if solved_after == {False} else None
