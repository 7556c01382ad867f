"""The bet of a job: all that a trial's test may know of it, frozen before anything of it is known."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Arm(StrEnum):
    """The side of a trial that a job was drawn to."""

    CHAMPION = "champion"
    CANARY = "canary"


@dataclass(frozen=True, kw_only=True, slots=True)
class Bet:
    """Frozen at dispatch; the factor of the job's score is computed from it and from nothing else."""

    arm: Arm
    share: float  # the share in (0,1) that the job's draw was compared to
    baseline: float  # the champion's mean score as far as it was settled at dispatch, rounded to 0.01
    stratum: str = ""  # known before dispatch (repository, difficulty); "" when strata are off
    guardrail_baselines: Mapping[str, float] = field(default_factory=dict)  # the same mean per guardrail
