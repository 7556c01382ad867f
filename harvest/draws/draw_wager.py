"""What is staked on a job that was drawn: the coefficients that make the factor of its score.

The factor of a score y in arm A is `1 + a_A * (y - q_A)`, and because
`share * a_canary + (1 - share) * a_champion = 0` its expectation is `1 + share * a_canary * (D - gap)`: at
most 1 under the null, whatever the distribution of the scores and however wrong the baseline (Waudby-Smith &
Ramdas 2023; Turner, Ly & Grünwald 2024).

The slopes `a` and centres `q` are chosen to grow the wealth fast if the alternative is true and scores are 0
or 1; that choice affects the speed, never the error rate. docs/evidence.md derives them.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Self

from pydantic import ConfigDict, FiniteFloat

from harvest.evidence.evidence import OpenUnit
from harvest.evidence.policy import Fraction, TrialPolicy
from harvest.evidence.wager import SMALLEST_FACTOR, TIMES, Null, Stake, Triple, Wager
from routing.templates.trial import Arm, Bet

#: Means that are bet on keep this distance from 0 and 1.
EDGE = 0.01

_BISECTIONS = 50

#: By the version of a trial's policy: by how many times delta a canary is bet to be worse. A trial goes on,
#: and is replayed, with what it was opened with.
_WORSE: Mapping[int, Triple] = {1: (1.0, 2.0, 4.0), 2: TIMES, 3: TIMES}


def draw_not_worse(policy: TrialPolicy, *, margin: float) -> Null:
    """H_R: D >= -margin, with the alternatives of trials by draw."""
    return Null.not_worse(margin=margin, delta=policy.delta, times=_WORSE[policy.v])


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenJob(OpenUnit):
    """A job whose score is not settled, with its frozen bet."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    arm: Arm
    share: Fraction
    baseline: FiniteFloat

    @classmethod
    def of(cls, index: int, bet: Bet) -> Self:
        """The job that is dispatched at this place with this bet."""
        return cls(index=index, arm=bet.arm, share=bet.share, baseline=bet.baseline)

    def wager(self, null: Null) -> Wager:
        """What was staked on it."""
        return wager(null, self.arm, self.share, self.baseline)

    @property
    def terms(self) -> tuple[object, ...]:
        """Arm, share and the champion's mean at dispatch."""
        return self.arm, self.share, self.baseline


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
