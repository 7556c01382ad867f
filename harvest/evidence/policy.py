"""The policy of a trial: what is asked of the canary, how sure the answer must be, and the share it gets.

A policy is frozen when its trial is opened and stored with it as JSON; a change of the settings touches no
open trial. The share of the next draw may follow the evidence (the ramp): a test stays exact under any share
that depends on earlier outcomes alone, because each wager is computed from the share of its own draw.
"""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from routing.errors import CorruptRecordError, InvalidInputError
from routing.setting_types import Switch
from routing.templates.trial import Mode

GuardrailName = Literal["cost_usd", "tokens", "duration_seconds", "fix_forwards"]
#: A number strictly between 0 and 1.
Fraction = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
#: What a job is worth.
Score = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
#: A place in the order of dispatch.
Index = Annotated[int, Field(ge=0)]
#: An amount in its own unit: USD, tokens, seconds or turns.
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]

#: Shares of the second and third step of the ramp; the first is the policy's own share.
SECOND_SHARE = 0.30
THIRD_SHARE = 0.50
#: Progress towards graduation at which the second and the third step begin.
SECOND_STEP = 0.1
THIRD_STEP = 0.3
#: Progress towards rollback above which the share falls back to the first step.
RETREAT = 0.3


class Guardrail(BaseModel):
    """Something that a canary may not spend more of than the champion, whatever its scores are.

    It is tested like a score, on its own share of alpha: see `verdict`.
    """

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    name: GuardrailName  # what is spent: USD, tokens, seconds, or fix-forward turns
    cap: Annotated[float, Field(gt=0, allow_inf_nan=False)]  # in its own unit; this much or more is worth 0
    margin: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = (
        0.0  # on the scale 0 to 1, accepted loss
    )

    def score(self, spent: float) -> float:
        """Map an amount to [0,1]: 1 when nothing was spent, 0 at the cap or above."""
        return 1.0 - min(max(spent, 0.0) / self.cap, 1.0)


class TrialPolicy(BaseModel):
    """What a trial asks and when it ends. The nulls of its questions are made in `wager.Null`."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    v: Literal[1, 2, 3] = 3  # form of this record: which alternatives are bet on (`draw_wager`, `pair_rule`)
    margin: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = (
        0.0  # mean score it may lose and be as good
    )
    delta: Fraction = 0.10  # loss of mean score that must not graduate
    alpha: Fraction = 0.05  # chance of rolling back a canary that is not worse
    beta: Fraction = 0.05  # chance of graduating a canary that is worse by delta or more
    max_canary_jobs: Annotated[int, Field(ge=1)] = 500  # then a person is asked; also pairs left out
    max_days: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 30.0  # days after which a person is asked
    budget_usd: Annotated[float, Field(ge=0, allow_inf_nan=False)] = (
        0.0  # that the jobs of both versions may cost before the same happens; 0: no limit
    )
    mode: Mode = Mode.DRAW  # one version a job, or both versions on the same issue
    share: Fraction = 0.10  # part of the jobs that goes to the canary; where a ramp begins
    pair_share: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = (
        1.0  # part of the issues that both versions work on
    )
    ramp: Switch = False  # whether the share follows the evidence
    strict: Switch = True  # False: a merge counts before its revert window has passed
    revert_window_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 86_400.0
    settle_deadline_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 7 * 86_400.0
    prior_mean: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.6  # champion's score before any
    prior_weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 4.0  # in jobs
    stratum_weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = (
        4.0  # in jobs, pull to the overall mean
    )
    strata: Literal["none", "repository", "difficulty"] = "none"
    guardrails: tuple[Guardrail, ...] = ()

    @property
    def scoring(self) -> Literal["strict", "provisional"]:
        """`strict` or `provisional`, the words of the pages."""
        return "strict" if self.strict else "provisional"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """With delta at most margin both nulls could hold, and no evidence would ever answer a question."""
        if self.delta <= self.margin:
            raise ValueError(f"delta ({self.delta:g}) must be larger than margin ({self.margin:g})")
        names = [guardrail.name for guardrail in self.guardrails]
        if len(set(names)) < len(names):
            raise ValueError("each guardrail may be named once")
        return self

    @classmethod
    def checked(cls, **fields: Any) -> Self:
        """Build a policy from outside data, or raise InvalidInputError naming every wrong field."""
        try:
            policy = cls(**fields)
        except ValidationError as error:
            raise InvalidInputError(
                f"the trial's policy was refused and nothing was written: {_problems(error)}"
            ) from error
        return policy

    def to_json(self) -> str:
        """The policy as a trial stores it."""
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a stored policy, or raise CorruptRecordError."""
        try:
            policy = cls.model_validate_json(text)
        except ValidationError as error:
            raise CorruptRecordError(
                f"a stored trial policy cannot be read ({_problems(error)}); stop the trial and open it again"
            ) from error
        return policy


def progress(ln_evidence: float, level: float) -> float:
    """How near evidence is to a verdict, on the scale of logarithms: 0 is none, 1 is the verdict."""
    return ln_evidence / math.log(1.0 / level)


def next_share(policy: TrialPolicy, *, towards_graduation: float, towards_rollback: float) -> float:
    """The share to compare the next draw to; both arguments are `progress`.

    It never falls below the policy's own, and goes back to that when the canary looks worse.
    """
    if not policy.ramp or towards_rollback > RETREAT or towards_graduation < SECOND_STEP:
        return policy.share
    step = SECOND_SHARE if towards_graduation < THIRD_STEP else THIRD_SHARE
    return max(policy.share, step)


def _problems(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, part['loc'])) or 'policy'}: {part['msg']}" for part in error.errors()
    )
