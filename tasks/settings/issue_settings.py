"""Settings of what is made of issues, whichever forge they come from."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from routing.backlog.settings import BacklogSettings
from routing.forges.config import Label
from routing.issues.model_settings import ModelSettings
from routing.setting_types import Count, Seconds


class WatchSettings(BaseModel):
    """For how long pushed work is corrected, and with which labels an issue shows where it stands."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    fix_forwards: Annotated[int, Field(ge=0, le=100)] = 5  # corrective turns a job may have; 0: none
    fix_forward_seconds: Seconds = 3600.0  # after the first push, in which one may begin
    review_rounds: Annotated[int, Field(ge=0, le=100)] = 3  # turns a job may have for reviews; 0: none
    merge_rounds: Annotated[int, Field(ge=0, le=100)] = 2  # turns a job may have for conflicts; 0: none
    on_edit: Literal["turn", "anew"] = "turn"  # what a changed text leads to: one more turn of the job, or
    # the end of the job, also in the middle of a turn, and another one
    in_progress_label: Label = "agent-in-progress"
    in_review_label: Label = "agent-in-review"  # in its place, while a person is to merge the change request
    escalation_label: Label = "ready-for-human"  # an issue with it is left alone until it is taken off

    @model_validator(mode="after")
    def _labels_differ(self) -> Self:
        if len({self.in_progress_label, self.in_review_label, self.escalation_label}) < 3:  # noqa: PLR2004
            raise ValueError("in_progress_label, in_review_label and escalation_label must differ")
        return self


class IssueSettings(BaseModel):
    """How issues are dispatched, remembered, watched and understood."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", hide_input_in_errors=True)

    fleet_size: Count = 100  # issues of all forges in progress at once
    backlog: BacklogSettings = BacklogSettings()
    watch: WatchSettings = WatchSettings()
    model: ModelSettings = ModelSettings()
