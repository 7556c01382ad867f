"""How many jobs of an arm are open, settled, excluded and rerouted.

The counts are shown beside the evidence and limit a trial's length; the test itself does not use them.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from pydantic import ConfigDict, FiniteFloat, NonNegativeInt


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmCounts:
    """Jobs of one arm of a trial. Each dispatched job is open until it is exactly one of the other three.

    Each `add_…` returns new counts, and does not check that the job was open: the evidence beside it does,
    and both are advanced together.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    dispatched: NonNegativeInt = 0
    settled: NonNegativeInt = 0  # with a final score
    excluded: NonNegativeInt = 0  # the fault was not the agent's
    rerouted: NonNegativeInt = 0  # ran the champion because the canary was rejected; left the trial
    total: FiniteFloat = 0.0  # sum of the final scores

    @property
    def open(self) -> int:
        """Jobs whose score is not final."""
        return self.dispatched - self.settled - self.excluded - self.rerouted

    @property
    def mean(self) -> float | None:
        """The mean final score, None while there is none."""
        return self.total / self.settled if self.settled else None

    def add_dispatched(self) -> "ArmCounts":
        """One more job was drawn to the arm."""
        return replace(self, dispatched=self.dispatched + 1)

    def add_settled(self, score: float) -> "ArmCounts":
        """One more job has its final score."""
        return replace(self, settled=self.settled + 1, total=self.total + score)

    def add_excluded(self) -> "ArmCounts":
        """One more job was excluded."""
        return replace(self, excluded=self.excluded + 1)

    def add_rerouted(self) -> "ArmCounts":
        """One more job was rerouted to the champion."""
        return replace(self, rerouted=self.rerouted + 1)
