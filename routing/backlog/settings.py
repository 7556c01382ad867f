"""Settings of the backlog: the section `forge.backlog`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from routing.setting_types import Count, Days, Seconds


class BacklogSettings(BaseModel):
    """What blockers outside of the backlog count as, and how long finished items are remembered."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    unknown_blocker: Literal["satisfied", "blocked"] = "satisfied"  # a blocker that its forge does not know
    ask_again_seconds: Seconds = 60.0  # between two questions about a blocker that is not in the backlog
    retention_days: Days = 30.0  # for which completed and cancelled items are remembered
    most_finished: Count = 10_000  # of them that are remembered at most
