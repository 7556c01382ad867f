"""The difference of the two means with its interval: the tests of a trial, asked for every gap.

A gap θ is rejected from above when the evidence against "D is at most θ" reaches 1/beta, and from below when
that against "D is at least θ" reaches 1/alpha. Evidence and stakes are those of the trial's own questions,
with their edge moved to θ. So the lower end passes -delta when the trial graduates, and the upper end falls
below -margin when it is rolled back. Each end is wrong, at any look ever, with at most its level: a
confidence sequence made by betting (Waudby-Smith & Ramdas 2024).

As evidence is a maximum over the dispatch order, the ends only move towards each other.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from harvest.evidence.evidence import OpenUnit
from harvest.evidence.explanation import counting
from harvest.evidence.policy import TrialPolicy
from harvest.evidence.segment import ZEROS
from harvest.evidence.trial_test import AnyTest, parted
from harvest.evidence.wager import Null, Triple

#: Gaps that are asked for: hundredths, strictly between the ends of the scale.
_GAPS = tuple(place / 100 for place in range(-99, 100))

#: Gaps of which a course says when they were rejected: tenths; and places of it at which the means are taken.
_COURSE_GAPS = tuple(place / 10 for place in range(-9, 10))
_COURSE_PLACES = 40


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """D, the canary's mean score less the champion's, from -1 to 1, as far as it is known."""

    value: float | None  # of the settled jobs or pairs; None before both arms have one
    units: int  # that the value rests on: settled pairs, or settled jobs of the arm that has fewer
    lower: float  # D is at least this, wrong with probability `beta` at all looks together
    upper: float  # D is at most this, wrong with probability `alpha`
    alpha: float
    beta: float

    @property
    def contradicts(self) -> bool:
        """Whether no gap is left: something has changed while the trial ran, or an end is wrong."""
        return self.lower > self.upper

    def document(self) -> dict[str, Any]:
        """For scripts; `value` is null while it is unknown."""
        return {
            "value": self.value,
            "units": self.units,
            "lower": self.lower,
            "upper": self.upper,
            "lower_level": self.beta,
            "upper_level": self.alpha,
        }

    @classmethod
    def stored(cls, found: dict[str, Any]) -> Self:
        """What `document` gave; KeyError for another form."""
        return cls(
            value=found["value"], units=found["units"], lower=found["lower"], upper=found["upper"],
            alpha=found["upper_level"], beta=found["lower_level"],
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class DifferenceStep:
    """The difference as the units up to one of them show it, by what is known of them now."""

    unit: int  # how many were dispatched, it included
    value: float | None  # of those that are settled; None before both arms have one
    lower: float
    upper: float


@dataclass(frozen=True, kw_only=True, slots=True)
class _Units:
    """Units in the order of dispatch: each by its place among the distinct ones with their scores."""

    distinct: Sequence[tuple[OpenUnit, float | None]]  # None: open, at its worst
    order: Sequence[int]
    numbers: Sequence[int]  # of each in `order`: how many were dispatched, it included
    scored: Sequence[tuple[int, OpenUnit, float]]  # those that are settled, with that number

    def reaches(self, null: Null, level: float) -> bool:
        """Whether the evidence against a null ever reached 1/level."""
        return self.first(null, level) is not None

    def first(self, null: Null, level: float) -> int | None:
        """After how many dispatches the evidence against a null reached 1/level; None: never."""
        factors: list[Triple] = []
        for unit, score in self.distinct:
            staked = unit.wager(null)
            factors.append(staked.lowest if score is None else staked.ln_factors(score))
        threshold = math.log(1.0 / level)
        first, second, third = ZEROS
        for number, place in zip(self.numbers, self.order, strict=True):
            one, two, three = factors[place]
            first += one
            second += two
            third += three
            if (first >= threshold or second >= threshold or third >= threshold) and (
                null.ln_mixture((first, second, third)) >= threshold
            ):
                return number
        return None


def difference_of(test: type[AnyTest], policy: TrialPolicy, ledger: Iterable[object]) -> Difference:
    """The difference with its interval, from a trial's ledger or the lines of some of its units.

    Units may be chosen by what was known before their dispatch (their repository), and by nothing else. Costs
    O(units), times the logarithm of the number of gaps.
    """
    units = _units(test, policy, ledger)

    def below(gap: float) -> bool:
        """Whether "D is at most the gap" is rejected."""
        return units.reaches(test.worse_null(policy, gap=gap), policy.beta)

    def above(gap: float) -> bool:
        """Whether "D is at least the gap" is rejected."""
        return units.reaches(test.not_worse_null(policy, margin=-gap), policy.alpha)

    value, number = test.mean_difference([(unit, score) for _, unit, score in units.scored])
    gaps = sorted({*_GAPS, -policy.delta, -policy.margin or 0.0})
    return Difference(
        value=value,
        units=number,
        lower=_end(gaps, below, -1.0),
        upper=_end(gaps[::-1], above, 1.0),
        alpha=policy.alpha,
        beta=policy.beta,
    )


def difference_course(
    test: type[AnyTest], policy: TrialPolicy, ledger: Iterable[object], end: Difference
) -> list[DifferenceStep]:
    """How the difference came to its `end`, with an entry wherever an end of its interval moved by a tenth.

    The interval only becomes narrower, so each gap has one place at which it was rejected: O(units) a gap.
    """
    units = _units(test, policy, ledger)
    if not units.order:
        return []
    last = units.numbers[-1]
    lower, upper = [(1, -1.0)], [(1, 1.0)]
    for gap in (*(gap for gap in _COURSE_GAPS if gap < end.lower), end.lower):
        found = units.first(test.worse_null(policy, gap=gap), policy.beta) if gap > -1.0 else None
        lower += [(found, gap)] if found is not None else []
    for gap in (*(gap for gap in reversed(_COURSE_GAPS) if gap > end.upper), end.upper):
        found = units.first(test.not_worse_null(policy, margin=-gap), policy.alpha) if gap < 1.0 else None
        upper += [(found, gap)] if found is not None else []
    scored, ends = [(unit, score) for _, unit, score in units.scored], [at for at, _, _ in units.scored]
    spread = {round(last ** (place / _COURSE_PLACES)) for place in range(_COURSE_PLACES + 1)}
    places = sorted({number for number, _ in (*lower, *upper)} | spread)
    return [
        DifferenceStep(
            unit=place,
            value=test.mean_difference(scored[: bisect_right(ends, place)])[0],
            lower=max(gap for number, gap in lower if number <= place),
            upper=min(gap for number, gap in upper if number <= place),
        )
        for place in places
    ]


def _units(test: type[AnyTest], policy: TrialPolicy, ledger: Iterable[object]) -> _Units:
    """The units of a ledger that count."""
    dispatches, settlements = parted(test, ledger)
    settled = counting(policy, settlements)
    places: dict[tuple[Any, ...], int] = {}
    distinct: list[tuple[OpenUnit, float | None]] = []
    order, numbers, scored = [], [], []
    for number, line in enumerate(dispatches, start=1):
        settlement = settled.get(line.index)
        score = None if settlement is None else test.outcome(policy, settlement).score
        if settlement is not None and score is None:
            continue  # it counts for neither arm
        unit, _ = test.units(policy, line)
        if score is not None:
            scored.append((number, unit, score))
        key = (*unit.terms, score)
        if key not in places:
            places[key] = len(distinct)
            distinct.append((unit, score))
        order.append(places[key])
        numbers.append(number)
    return _Units(distinct=distinct, order=order, numbers=numbers, scored=scored)


def _end(gaps: Sequence[float], is_rejected: Callable[[float], bool], outermost: float) -> float:
    """The last gap that is rejected, the gaps nearer to `outermost` with it; that itself if none is."""
    low, high = 0, len(gaps)  # gaps before `low` are rejected, those from `high` on are not
    while low < high:
        middle = (low + high) // 2
        if is_rejected(gaps[middle]):
            low = middle + 1
        else:
            high = middle
    return gaps[low - 1] if low else outermost
