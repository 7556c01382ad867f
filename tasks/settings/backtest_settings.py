"""Settings of backtests: versions on past issues."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from routing.sandbox.profile import HostPattern
from routing.setting_types import Count, NotNegative


class BacktestSettings(BaseModel):
    """How much a backtest takes, and what its agents reach."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    cases: Path = Path("coalmine-cases")  # folder of the cases, on each host that serves the queue control
    pairs_at_once: Annotated[Count, Field(le=50)] = 1  # cases that are at work, over all backtests
    keep_days: Annotated[NotNegative, Field(le=180)] = 1.0  # for which the champion's results are used again
    allow: Annotated[tuple[HostPattern, ...], Field(max_length=100)] = ()  # hosts beside the APIs of models
