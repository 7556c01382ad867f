"""The steps in which a version may come to be champion, and which of them a trial or a backtest is. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator


class StepKind(StrEnum):
    """One mode in a way, in the order in which a way has them. The values are stored, and in settings."""

    BACKTEST = "backtest"  # both versions on past issues
    SHADOW = "shadow"  # both on the same live issue; the champion's work is delivered
    DRAW = "draw"  # one version a job, by chance


def _in_order(steps: tuple[StepKind, ...]) -> tuple[StepKind, ...]:
    if not steps or list(steps) != [step for step in StepKind if step in steps]:
        known = ", ".join(StepKind)
        raise ValueError(f"steps are one or more of {known}, each once and in this order")
    return steps


#: The steps of a way: some of all, in their order.
Steps = Annotated[tuple[StepKind, ...], AfterValidator(_in_order)]


@dataclass(frozen=True, kw_only=True, slots=True)
class StepPlace:
    """Which step of its way a trial or a backtest is. Without a way it is the only step there is."""

    number: int = 1  # from 1
    steps: tuple[StepKind, ...] = ()  # of the whole way; () without one

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> Self:
        """As a record has it; one from before there were steps is one step. ValueError."""
        steps = tuple(StepKind(name) for name in fields.get("steps", "").split())
        return cls(number=int(fields.get("step") or 1), steps=steps)

    @property
    def total(self) -> int:
        """How many steps the way has."""
        return len(self.steps) or 1

    @property
    def is_last(self) -> bool:
        """Whether a version that passes it becomes champion."""
        return self.number >= self.total

    @property
    def words(self) -> str:
        """`step 2 of 3`; "" where it is the only one."""
        return f"step {self.number} of {self.total}" if self.total > 1 else ""

    @property
    def whole(self) -> str:
        """The same with all steps by their names: `2 of 3 (backtest, shadow, draw)`."""
        return f"{self.number} of {self.total} ({', '.join(self.steps)})" if self.total > 1 else ""

    def fields(self) -> dict[str, str]:
        """What a record keeps of it: nothing without a way."""
        return {"step": str(self.number), "steps": " ".join(self.steps)} if self.steps else {}

    def document(self) -> dict[str, object]:
        """For scripts, reviews and events."""
        return {"number": self.number, "of": self.total, "steps": [step.value for step in self.steps]}


#: Of a trial or a backtest outside of ways.
NO_WAY = StepPlace()
