"""The ledger of a trial: what was dispatched and what became of it, from which its evidence is recomputed.

Two lists that only grow: dispatches in the order of dispatch, settlements in the order of arrival. A line is
written in the same step as the change of the job that it records. The forms here are what is stored.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from harvest.evidence.ledger_line import AGED_KIND
from harvest.evidence.policy import Amount, Fraction, Index, Score
from routing.templates.trial import Arm, Bet


class Dispatched(BaseModel):
    """A job was drawn: its bet, frozen before anything was known about its outcome."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    v: Literal[1] = 1  # form of this record
    index: Index  # place in the order of dispatch, from 0
    job_id: str
    arm: Arm
    share: Fraction  # what the draw was compared to
    draw: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
    baseline: Score  # the champion's mean, of the jobs settled by then
    stratum: str = ""
    guardrail_baselines: dict[str, Score] = Field(default_factory=dict)  # by guardrail, mapped to [0,1]

    @model_validator(mode="after")
    def _drawn(self) -> Self:
        """A record whose draw contradicts its arm would bias the test without a trace."""
        if (self.draw < self.share) != (self.arm is Arm.CANARY):
            raise ValueError(
                f"a draw of {self.draw!r} with share {self.share!r} does not give the {self.arm} arm"
            )
        return self

    @classmethod
    def of(cls, bet: Bet, *, index: int, job_id: str, draw: float) -> Self:
        """The record of a job with its bet."""
        return cls(
            index=index,
            job_id=job_id,
            draw=draw,
            arm=bet.arm,
            share=bet.share,
            baseline=bet.baseline,
            stratum=bet.stratum,
            guardrail_baselines=dict(bet.guardrail_baselines),
        )

    @property
    def subject(self) -> str:
        """Id of the job."""
        return self.job_id

    @property
    def words(self) -> str:
        """What it is, for people."""
        return f"job {self.index + 1}, {self.arm.value}"

    @property
    def bet(self) -> Bet:
        """The bet that was frozen."""
        return Bet(
            arm=self.arm,
            share=self.share,
            baseline=self.baseline,
            stratum=self.stratum,
            guardrail_baselines=self.guardrail_baselines,
        )


class Settlement(BaseModel):
    """What became of a job. Only a `provisional` or an `aged` one may be followed by another that counts.

    An `aged` one has no score: the job is open, and its trial's health counts it as late.
    """

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    v: Literal[1] = 1  # form of this record
    index: Index  # of the job, in the order of dispatch
    kind: Literal["settled", "provisional", "excluded", "rerouted", "aged"]
    score: Score | None = None  # None when excluded, rerouted or aged
    guardrails: dict[str, Amount] = Field(default_factory=dict)  # spent: USD, seconds or turns, by guardrail
    age_seconds: Amount | None = None  # of the job when this was written; None in records of before
    waited: bool = False  # whether it had to wait for a limit of its account
    reason: str = ""  # the signal that settled it, in words
    at: Annotated[float, Field(allow_inf_nan=False)] = 0.0  # seconds since the epoch

    @model_validator(mode="after")
    def _scored(self) -> Self:
        if (self.score is not None) != self.scored:
            expected = "needs a score" if self.scored else "has no score"
            raise ValueError(f"a settlement of kind {self.kind!r} {expected}")
        return self

    @property
    def scored(self) -> bool:
        """Whether the job counts with a score."""
        return self.kind in {"settled", "provisional"}

    @property
    def final(self) -> bool:
        """Whether the job is closed by it."""
        return self.kind not in {"provisional", AGED_KIND}


#: A line of the ledger.
Entry = Dispatched | Settlement
