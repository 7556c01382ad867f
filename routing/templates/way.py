"""The way of a version to champion: steps that it passes one by one, each with a record of its own. Pure.

A step is a trial (by draw, or in shadow) or a backtest. While a way goes on, its template has one record of
it: which steps, which of them was opened last, and by what policy. It ends with a step that does not pass,
with the last one, and whenever the champion changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from routing.errors import ConflictError, CorruptRecordError
from routing.templates.step import StepKind, StepPlace, Steps
from routing.templates.version import version_id


class StepTakenError(ConflictError):
    """Its version, or what else its template has open, allows no trial and no step now; see the message."""


class Way(BaseModel):
    """A way that goes on, as its template keeps it."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    v: Literal[1] = 1  # form of this record
    template: str
    version: int  # number of the version that is on it
    steps: Steps
    at: Annotated[int, Field(ge=1)] = 1  # the step that was opened last, from 1
    run: str = ""  # id of its trial or backtest
    policy: str  # JSON of the policy that the whole way was begun with, opaque on this floor
    by: str = ""  # who began it

    @classmethod
    def parse(cls, text: str, template: str) -> Self:
        """Read a stored way, or raise CorruptRecordError."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            message = (
                f"the way of a version of {template} to champion cannot be read; end it with "
                f"`coalmine trial stop {template}` and begin it again"
            )
            raise CorruptRecordError(message) from error

    @property
    def step(self) -> StepKind:
        """The step that was opened last."""
        return self.steps[self.at - 1]

    @property
    def place(self) -> StepPlace:
        """Which of its steps that is."""
        return StepPlace(number=self.at, steps=self.steps)

    @property
    def canary_id(self) -> str:
        """`implementer@v3`."""
        return version_id(self.template, self.version)

    @property
    def mark(self) -> str:
        """Version and run, as the store's steps compare them."""
        return f"{self.version} {self.run}"

    @property
    def words(self) -> str:
        """Where it is, in words: `implementer@v3 is at step 1 of 3 (backtest implementer-b1)`."""
        where = self.place.words or "its only step"
        kind = "backtest" if self.step is StepKind.BACKTEST else "trial"
        return f"{self.canary_id} is at {where} ({self.step}: {kind} {self.run})"

    def document(self) -> dict[str, object]:
        """For scripts."""
        return {
            "version": self.canary_id, "number": self.at, "of": len(self.steps),
            "steps": [step.value for step in self.steps], "step": self.step.value, "run": self.run,
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class WayMove:
    """A step that is to be opened: its way as it was read, and as it is then."""

    before: str = ""  # as stored; "" for the first step
    after: Way  # without its run, whose id is known when it is opened

    def to(self, run: str) -> Way:
        """The way once that run is open."""
        return self.after.model_copy(update={"run": run})


def written(move: WayMove | None, run: str) -> dict[str, str]:
    """What a script is given of the way that a run is a step of; empty texts without one."""
    if move is None:
        return dict.fromkeys(("way_before", "way", "mark", "step", "steps"), "")
    after = move.to(run)
    fields = after.place.fields()
    return {"way_before": move.before, "way": after.model_dump_json(), "mark": after.mark, **fields}


def goes_a_way(steps: Sequence[StepKind]) -> bool:
    """Whether it takes the record of a way: a single trial decides by itself, a backtest does not."""
    return len(steps) > 1 or steps[0] is StepKind.BACKTEST
