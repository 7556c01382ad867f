"""What is staked on a pair: the outcome d is the canary's score less the champion's, from -1 to 1.

Against the null "E[d] is on the wrong side of `gap`" one stakes a part of the wealth on each of three
alternatives, which `pair_rule` names. The factor of an outcome is `1 + slope * (d - gap)`, with a slope below
0 against "not worse" and above 0 against "worse by delta". Its expectation under the null is at most 1,
whatever the distribution of the outcomes (Waudby-Smith & Ramdas 2024, "Estimating means of bounded random
variables by betting").

The slopes may depend on what was known at dispatch. Here that is one number, the *discordance*: the mean
square of d so far, for scores of 0 and 1 the part of the pairs that only one version solved. The fewer pairs
decide anything, the more is staked on each. A wrong discordance makes the test slower, never wrong.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from harvest.evidence.evidence import OpenUnit
from harvest.evidence.wager import SMALLEST_FACTOR, Null, Stake, Wager

#: Stakes are computed for a discordance of at least this.
LEAST_DISCORDANCE = 0.01

_BISECTIONS = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenPair(OpenUnit):
    """A pair that is not settled, with its frozen bet. Its score is the canary's less the champion's."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    lowest_score: ClassVar[float] = -1.0

    discordance: Annotated[float, Field(gt=0, le=1)]

    def wager(self, null: Null) -> Wager:
        """What was staked on it."""
        return pair_wager(null, self.discordance)

    @property
    def terms(self) -> tuple[object, ...]:
        """The discordance at dispatch."""
        return (self.discordance,)


@lru_cache(maxsize=4096)
def pair_wager(null: Null, discordance: float) -> Wager:
    """The wager on a pair that is dispatched at a discordance in (0,1].

    Cached: discordances are rounded to 0.01, so most pairs repeat an earlier wager.
    """
    first, second, third = (_stake(null.gap, each, discordance) for each in null.alternatives)
    lowest = tuple(math.log(min(stake.factor(-1.0), stake.factor(1.0))) for stake in (first, second, third))
    return Wager(stakes=(first, second, third), lowest=(lowest[0], lowest[1], lowest[2]))


def _stake(gap: float, alternative: float, discordance: float) -> Stake:
    """The stake that grows wealth fastest if d is -1, 0 or 1 with the alternative's mean and mean square."""
    side = math.copysign(1.0, alternative - gap)
    alternative = min(max(alternative, -1.0), 1.0)
    square = min(max(discordance, LEAST_DISCORDANCE, abs(alternative)), 1.0)
    law = (((square - alternative) / 2, -1.0), (1.0 - square, 0.0), ((square + alternative) / 2, 1.0))

    def growth(stake: float) -> float:
        """The derivative of the expected logarithm of the factor; decreasing."""
        return sum(
            part * side * (outcome - gap) / (1.0 + stake * side * (outcome - gap)) for part, outcome in law
        )

    low, high = 0.0, (1.0 - SMALLEST_FACTOR) / (1.0 + side * gap)  # the worst outcome is d = -side
    if growth(high) >= 0:
        return Stake(slope=side * high, centre=gap)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if growth(middle) > 0 else (low, middle)
    return Stake(slope=side * low, centre=gap)
