"""What is staked on a job's score: the coefficients that make the factor of an outcome.

Against a null "the gap D between canary and champion is on the wrong side of `gap`" one bets that the
gap is one of three `alternatives`. The factor of a score y in arm A is `1 + a_A * (y - q_A)`, and
because `share * a_canary + (1 - share) * a_champion = 0` its expectation is
`1 + share * a_canary * (D - gap)`: at most 1 under the null, whatever the distribution of the scores
and however wrong the baseline (Waudby-Smith & Ramdas 2023; Turner, Ly & Grünwald 2024).

The slopes `a` and centres `q` are chosen to grow the wealth fast if the alternative is true and scores are 0
or 1; that choice affects the speed, never the error rate. docs/evidence.md derives them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

from pydantic import FiniteFloat

from routing.templates.trial import Arm

#: One number for each of the three alternatives.
Triple = tuple[FiniteFloat, FiniteFloat, FiniteFloat]

#: What part of the stake goes to each alternative.
WEIGHTS: Triple = (0.5, 0.25, 0.25)
#: No single outcome may take more than 95 % of what has been won.
SMALLEST_FACTOR = 0.05
#: Means that are bet on keep this distance from 0 and 1.
EDGE = 0.01

_BISECTIONS = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class Null:
    """A claim about the gap D = canary's mean - champion's mean, and the gaps that are bet on instead."""

    gap: FiniteFloat  # edge of the claim: D >= gap when the alternatives lie below it, D <= gap else
    alternatives: Triple  # all on the same side of `gap`

    @classmethod
    def not_worse(cls, *, margin: float, delta: float) -> Self:
        """H_R: D >= -margin. Rejecting it means that the canary is worse."""
        return cls(gap=-margin, alternatives=(-margin - delta, -margin - 2 * delta, -margin - 4 * delta))

    @classmethod
    def worse_by(cls, *, delta: float) -> Self:
        """H_G: D <= -delta. Rejecting it means that the canary is not worse by delta."""
        return cls(gap=-delta, alternatives=(0.0, delta, 2 * delta))


@dataclass(frozen=True, kw_only=True, slots=True)
class Stake:
    """The bet on one arm under one alternative: the factor of a score y is 1 + slope * (y - centre)."""

    slope: float  # a_A
    centre: float  # q_A, in (0,1): the score that neither wins nor loses

    def factor(self, score: float) -> float:
        """By what the wealth is multiplied when the job scores `score`."""
        return 1.0 + self.slope * (score - self.centre)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wager:
    """The stakes of one job in one arm, one for each alternative."""

    stakes: tuple[Stake, Stake, Stake]
    lowest: Triple  # ln of the smaller of the factors of scores 0 and 1: the worst that can still come

    def ln_factors(self, score: float) -> Triple:
        """The logarithms of the factors of a score."""
        first, second, third = self.stakes
        return math.log(first.factor(score)), math.log(second.factor(score)), math.log(third.factor(score))


def ln_mixture(ln_wealth: Triple) -> float:
    """The logarithm of the weighted sum of three wealths, safe where the wealths overflow."""
    top = max(ln_wealth)
    first, second, third = WEIGHTS
    return top + math.log(
        first * math.exp(ln_wealth[0] - top)
        + second * math.exp(ln_wealth[1] - top)
        + third * math.exp(ln_wealth[2] - top)
    )


@lru_cache(maxsize=8192)
def wager(null: Null, arm: Arm, share: float, baseline: float) -> Wager:
    """The wager on a job of `arm` that was drawn with `share` when the champion's mean was `baseline`.

    Cached: baselines are rounded to 0.01 and shares are few, so most jobs repeat an earlier wager.
    """
    first, second, third = (pair[arm] for pair in stake_pairs(baseline, share, null.gap, null.alternatives))
    lowest = tuple(math.log(min(stake.factor(0.0), stake.factor(1.0))) for stake in (first, second, third))
    return Wager(stakes=(first, second, third), lowest=(lowest[0], lowest[1], lowest[2]))


@lru_cache(maxsize=8192)
def stake_pairs(
    baseline: float, share: float, gap: float, alternatives: Triple
) -> tuple[dict[Arm, Stake], dict[Arm, Stake], dict[Arm, Stake]]:
    """For each alternative the stakes of both arms."""
    first, second, third = (_stake_pair(baseline, share, gap, alternative) for alternative in alternatives)
    return first, second, third


def _stake_pair(baseline: float, share: float, gap: float, alternative: float) -> dict[Arm, Stake]:
    """The stakes of both arms under one alternative; `_root` finds the centre that grows wealth fastest."""
    champion_mean = _inside(baseline)
    canary_mean = _inside(champion_mean + alternative)

    def pull(centre: float) -> float:
        """The sum that the side condition makes 0, when the champion's centre is `centre`; decreasing."""
        return share * _slope(canary_mean, centre + gap) + (1 - share) * _slope(champion_mean, centre)

    champion_centre = _root(pull, max(0.0, -gap), min(1.0, 1.0 - gap))
    canary_centre = champion_centre + gap
    canary_slope = _slope(canary_mean, canary_centre)
    if canary_slope * (alternative - gap) <= 0:
        # Near 0 and 1 the bound on the means can move the alternative to the null's side; staking on it
        # would give an expectation above 1 there, so nothing is staked.
        canary_slope = 0.0
    champion_slope = -share * canary_slope / (1 - share)
    shrink = _shrink((canary_slope, canary_centre), (champion_slope, champion_centre))
    return {
        Arm.CANARY: Stake(slope=canary_slope * shrink, centre=canary_centre),
        Arm.CHAMPION: Stake(slope=champion_slope * shrink, centre=champion_centre),
    }


def _inside(mean: float) -> float:
    """Keep a mean away from 0 and 1, where a likelihood ratio has no bound."""
    return min(max(mean, EDGE), 1.0 - EDGE)


def _slope(mean: float, centre: float) -> float:
    """The slope that turns a Bernoulli's likelihood ratio of `mean` to `centre` into a factor."""
    return (mean - centre) / (centre * (1.0 - centre))


def _root(decreasing: Callable[[float], float], low: float, high: float) -> float:
    """Bisection. Any centre gives a valid wager, the root the fastest one; so the ends may be left out."""
    inset = (high - low) * 1e-6
    low, high = low + inset, high - inset
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if decreasing(middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _shrink(*stakes: tuple[float, float]) -> float:
    """What all slopes are multiplied by, so that no factor is below SMALLEST_FACTOR."""
    loss = max(max(slope * centre, -slope * (1.0 - centre)) for slope, centre in stakes)
    allowed = 1.0 - SMALLEST_FACTOR
    return 1.0 if loss <= allowed else allowed / loss
