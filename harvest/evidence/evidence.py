"""The running evidence against one null: exact at every moment, at a cost of O(open jobs) an outcome.

Wealth is what a player has who began with 1 and bets against the null on each job: the product of the factors
of all jobs (`wager`). It is counted in the order of dispatch, never of arrival, because scores that arrive
early are not a random choice. An open job counts at its worst, and the evidence is the largest wealth after
any prefix of the dispatch order. So it never exceeds the largest wealth that the final scores will show, and
by Ville's inequality (1939) the chance that it ever reaches 1/level under the null is at most the level.
"""

import itertools
import math
from abc import ABC, abstractmethod
from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import ClassVar, Generic, Literal, Self, TypeVar

from pydantic import ConfigDict, FiniteFloat, NonNegativeInt

from harvest.evidence.segment import EMPTY, ZEROS, Segment, join, of_one, plus
from harvest.evidence.wager import Null, Triple, Wager
from routing.errors import ConflictError, CorruptRecordError, InvalidInputError

#: exp() of more than this overflows; evidence is shown as at most exp of this.
_LARGEST_LN = 700.0


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenUnit(ABC):
    """A job or a pair that is not settled, and the settled ones between it and the next open one.

    Only these have to be kept: what was settled before the first open one is one number per alternative. Each
    test has its own kind, with the frozen bet.
    """

    lowest_score: ClassVar[float] = 0.0  # the least that it can come to; the most is 1

    index: NonNegativeInt  # place in the order of dispatch
    score: FiniteFloat | None = None  # provisional score, None while it counts at its worst
    after: Segment = EMPTY

    @abstractmethod
    def wager(self, null: Null) -> Wager:
        """What was staked on it."""

    @property
    @abstractmethod
    def terms(self) -> tuple[object, ...]:
        """What its stakes are computed from: units with the same terms have the same wagers."""


Unit = TypeVar("Unit", bound=OpenUnit)


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence(Generic[Unit]):
    """Evidence against one null. Every operation returns a new state.

    A job (or pair) is dispatched, perhaps `provisional` any number of times, and then settled or excluded,
    once. Anything else is a ConflictError.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    v: Literal[1]  # form of this state
    null: Null
    dispatched: NonNegativeInt  # jobs so far; the index of the next one
    ln_wealth: Triple  # after all jobs before the first open one, per alternative
    ln_best: FiniteFloat  # largest mixture of wealths after any prefix of those
    open: tuple[Unit, ...]  # in the order of dispatch

    @classmethod
    def against(cls, null: Null) -> Self:
        """No evidence yet: wealth 1."""
        return cls(v=1, null=null, dispatched=0, ln_wealth=ZEROS, ln_best=0.0, open=())

    @property
    def ln_value(self) -> float:
        """The logarithm of the evidence; compare it with ln(1/level). Costs O(open jobs)."""
        best, wealth = self.ln_best, self.ln_wealth
        for job in self.open:
            wealth = plus(wealth, _ln_factors(job, self.null))
            best = _best(self.null, best, wealth, job.after)
            wealth = plus(wealth, job.after.total)
        return best

    @property
    def value(self) -> float:
        """The evidence, from 1 upwards."""
        return math.exp(min(self.ln_value, _LARGEST_LN))

    def dispatch(self, unit: Unit) -> Self:
        """Append a job or pair with its frozen bet. Its index is what `dispatched` was before."""
        if unit.index != self.dispatched:
            raise ConflictError(
                f"job {unit.index} of the trial was dispatched where {self.dispatched} is due"
            )
        return replace(self, dispatched=self.dispatched + 1, open=(*self.open, unit))

    def settle(self, index: int, score: float) -> Self:
        """Fix the score of an open job for good."""
        place = self._place(index)
        job = self.open[place]
        return self._close(place, job.wager(self.null).ln_factors(_checked(job, score)))

    def exclude(self, index: int) -> Self:
        """Take an open job out of the test: its factor is 1, for ever."""
        return self._close(self._place(index), ZEROS)

    def provisional(self, index: int, score: float) -> Self:
        """Count an open job at a score that can still change. Not used by strict policies.

        With it the evidence may fall again, so that the error rate holds for final scores only.
        """
        place = self._place(index)
        job = replace(self.open[place], score=_checked(self.open[place], score))
        return replace(self, open=(*self.open[:place], job, *self.open[place + 1 :]))

    def is_open(self, index: int) -> bool:
        """Whether the job was dispatched and is not settled or excluded."""
        place = bisect_left(self.open, index, key=_index)
        return place < len(self.open) and self.open[place].index == index

    def unit(self, index: int) -> Unit:
        """An open job or pair."""
        return self.open[self._place(index)]

    def checked(self) -> Self:
        """Return self, or raise CorruptRecordError when its parts contradict each other."""
        places = [job.index for job in self.open]
        ordered = all(earlier < later for earlier, later in itertools.pairwise(places))
        if not ordered or (places and places[-1] >= self.dispatched) or self.ln_best < 0:
            raise CorruptRecordError(
                f"the stored evidence of a trial has open jobs {places[:20]} of {self.dispatched} and a best "
                f"of {self.ln_best!r}, which cannot be; recompute it from the trial's ledger"
            )
        return self

    def _place(self, index: int) -> int:
        """The place of an open job in `open`, or ConflictError."""
        if not self.is_open(index):
            known = "already settled or excluded" if 0 <= index < self.dispatched else "not dispatched yet"
            raise ConflictError(f"job {index} of the trial is {known}; its score cannot be counted now")
        return bisect_left(self.open, index, key=_index)

    def _close(self, place: int, ln_factors: Triple) -> Self:
        """Remove an open job and join the settled jobs on both sides of it."""
        settled = join(of_one(ln_factors), self.open[place].after)
        rest = self.open[place + 1 :]
        if place == 0:
            best = _best(self.null, self.ln_best, self.ln_wealth, settled)
            return replace(self, ln_wealth=plus(self.ln_wealth, settled.total), ln_best=best, open=rest)
        before = self.open[place - 1]
        grown = replace(before, after=join(before.after, settled))
        return replace(self, open=(*self.open[: place - 1], grown, *rest))


def _best(null: Null, best: float, ln_wealth: Triple, segment: Segment) -> float:
    """The largest of `best` and the mixtures at the peaks of a segment that follows `ln_wealth`."""
    for peak in segment.peaks:
        reached = plus(ln_wealth, peak)
        if max(reached) > best:  # a mixture is at most its largest part
            best = max(best, null.ln_mixture(reached))
    return best


def _ln_factors(job: OpenUnit, null: Null) -> Triple:
    """What an open job or pair multiplies the wealth by."""
    staked = job.wager(null)
    return staked.lowest if job.score is None else staked.ln_factors(job.score)


def _index(job: OpenUnit) -> int:
    return job.index


def _checked(job: OpenUnit, score: float) -> float:
    if not job.lowest_score <= score <= 1.0:
        raise InvalidInputError(
            f"the score {score!r} of job {job.index} of the trial is not between {job.lowest_score:g} and 1"
        )
    return score
