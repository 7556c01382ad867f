"""Who solved what: the pairs of a trial by outcome, as people read them.

The counts are shown beside the evidence and limit a trial's length; the test uses the mean square alone.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from pydantic import ConfigDict, FiniteFloat, NonNegativeInt

from harvest.evidence.arm_counts import ArmCounts
from harvest.pairs.pair_rule import Belief
from harvest.pairs.pair_wager import LEAST_DISCORDANCE

#: A score from which on an issue counts as solved in the picture of who solved what.
SOLVED = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class PairCounts:
    """Pairs of one trial. Each dispatched pair is open until it is settled or excluded."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    dispatched: NonNegativeInt = 0
    excluded: NonNegativeInt = 0  # a fault that was not the agents' on either side
    both: NonNegativeInt = 0  # settled pairs that both solved, like the next three
    champion_only: NonNegativeInt = 0
    canary_only: NonNegativeInt = 0
    neither: NonNegativeInt = 0
    champion_total: FiniteFloat = 0.0  # sum of its scores in settled pairs
    canary_total: FiniteFloat = 0.0

    @property
    def settled(self) -> int:
        """Pairs with both scores."""
        return self.both + self.champion_only + self.canary_only + self.neither

    @property
    def open(self) -> int:
        """Pairs that are neither settled nor excluded."""
        return self.dispatched - self.settled - self.excluded

    @property
    def difference(self) -> float | None:
        """The mean of canary less champion, None while no pair is settled."""
        return (self.canary_total - self.champion_total) / self.settled if self.settled else None

    def arm(self, total: float) -> ArmCounts:
        """The same counts for the jobs of one version, the sum of whose scores is `total`."""
        return ArmCounts(
            dispatched=self.dispatched, settled=self.settled, excluded=self.excluded, total=total
        )

    def add_dispatched(self) -> "PairCounts":
        """One more pair was dispatched."""
        return replace(self, dispatched=self.dispatched + 1)

    def add_excluded(self) -> "PairCounts":
        """One more pair was excluded."""
        return replace(self, excluded=self.excluded + 1)

    def add_settled(self, champion: float, canary: float) -> "PairCounts":
        """One more pair has both scores."""
        solved = champion >= SOLVED, canary >= SOLVED
        return replace(
            self,
            both=self.both + (solved == (True, True)),
            champion_only=self.champion_only + (solved == (True, False)),
            canary_only=self.canary_only + (solved == (False, True)),
            neither=self.neither + (solved == (False, False)),
            champion_total=self.champion_total + champion,
            canary_total=self.canary_total + canary,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Discordance:
    """The mean square of the settled differences, from which the next stakes are computed."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    pairs: NonNegativeInt = 0
    total: FiniteFloat = 0.0  # of the squares

    def add(self, difference: float) -> "Discordance":
        """Count one more settled pair."""
        return Discordance(pairs=self.pairs + 1, total=self.total + difference * difference)

    def value(self, belief: Belief) -> float:
        """What the next bet freezes: drawn towards the belief, rounded to 0.01 so that wagers repeat."""
        mean = (self.total + belief.discordance * belief.pairs) / (self.pairs + belief.pairs)
        return max(round(mean, 2), LEAST_DISCORDANCE)
