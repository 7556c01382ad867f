"""What a bet against a null is made of: stakes, one for each alternative, and the mixture of their wealths.

Against a null "the gap D between canary and champion is on the wrong side of `gap`" one bets that the gap is
one of three `alternatives`, with a part of the wealth each. The factor of an outcome y is
`1 + slope * (y - centre)`. What is staked on a job that was drawn stands in `draws.draw_wager`, on a pair in
`pairs.pair_wager`.
"""

import math
from dataclasses import dataclass
from typing import Self

from pydantic import FiniteFloat

#: One number for each of the three alternatives.
Triple = tuple[FiniteFloat, FiniteFloat, FiniteFloat]

#: What part of the wealth goes to each alternative where nothing else is said.
WEIGHTS: Triple = (0.5, 0.25, 0.25)
#: The alternatives where nothing else is said, in multiples of delta beyond the edge of the null.
TIMES: Triple = (1.0, 2.0, 3.0)
#: No single outcome may take more than 95 % of what has been won.
SMALLEST_FACTOR = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Null:
    """A claim about the gap D = canary's mean - champion's mean, and the gaps that are bet on instead."""

    gap: FiniteFloat  # edge of the claim: D >= gap when the alternatives lie below it, D <= gap else
    alternatives: Triple  # all on the same side of `gap`
    weights: Triple = WEIGHTS  # what part of the wealth each alternative begins with; 1 together

    @classmethod
    def not_worse(
        cls, *, margin: float, delta: float, times: Triple = TIMES, weights: Triple = WEIGHTS
    ) -> Self:
        """H_R: D >= -margin. Rejecting it means that the canary is worse: one bets by `times` delta."""
        first, second, third = (-margin - each * delta for each in times)
        return cls(gap=-margin, alternatives=(first, second, third), weights=weights)

    @classmethod
    def at_most(cls, gap: float, *, delta: float, times: Triple = TIMES, weights: Triple = WEIGHTS) -> Self:
        """D <= gap: H_G where the gap is -delta. One bets that D is larger by `times` delta."""
        # In this order the sums are exact at -delta, so that what was stored of a trial is computed again.
        first, second, third = ((gap + delta) + (each - 1.0) * delta for each in times)
        return cls(gap=gap, alternatives=(first, second, third), weights=weights)

    def ln_mixture(self, ln_wealth: Triple) -> float:
        """The logarithm of the weighted sum of three wealths, safe where the wealths overflow."""
        top = max(ln_wealth)
        first, second, third = self.weights
        return top + math.log(
            first * math.exp(ln_wealth[0] - top)
            + second * math.exp(ln_wealth[1] - top)
            + third * math.exp(ln_wealth[2] - top)
        )


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
