"""Settings of times: how long leases last, how often they are renewed, and how often each tick runs.

In earlier versions they stood in the sections of what they time; see `tasks.settings.old_places`. How often a
forge is polled, or a sink is served, stands with the forge or the sink. Times that nobody sets, as they only
bound how long something waits for a dead process, are constants where they are used: see docs/settings.md.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from routing.setting_types import Count, Seconds

#: Seconds for which a worker may be silent before its job is given to another one.
Lease = Annotated[Seconds, Field(ge=1, le=3600)]


class TimeSettings(BaseModel):
    """Seconds between two looks, but for the lease and its number of renewals."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    lease_seconds: Lease = 30.0  # of jobs and turns
    renewals: Annotated[Count, Field(ge=2, le=100)] = 3  # within a lease: all but one of them may fail
    outage_seconds: Annotated[float, Field(ge=0, le=86_400)] = 60.0  # a lease outlives a silent store so long
    keeper_interval_seconds: Seconds = 0.5  # of a worker at its leases, and so at whether to cancel
    event_interval_seconds: Seconds = 2.0  # in which events of an agent renew the lease of its turn once
    sweep_interval_seconds: Seconds = 1.0  # expired leases and the outbox
    watch_interval_seconds: Seconds = 5.0  # CI of pushed commits
    watchdog_interval_seconds: Seconds = 10.0  # silent and lost agents
    harvest_interval_seconds: Seconds = 30.0  # a signal triggers a harvest at once, besides
    dispatch_interval_seconds: Seconds = 5.0  # what may be dispatched
