"""A step of a job from one state to another: see `job_move.lua`."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from routing.jobs.job import JobResult, JobState
from routing.jobs.repair import Repair
from routing.jobs.signal import Signal
from routing.store.jobs.record import repair_fields, result_fields
from routing.store.redis.keys import Keys


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """A step of a job from one of some states to another."""

    job: str
    allowed: Sequence[JobState]
    to: JobState
    event: str
    fence: int | None = None  # the lease that the caller holds; None for the ticks
    reason: str = ""
    delay_seconds: float = 0.0  # before it may be claimed again
    result: JobResult | None = None
    kind: str = ""  # of the next turn
    repair: Repair | None = None  # what a corrective turn is about
    judged: Sequence[str] = ()  # with a repair: the commits that CI was red at
    signals: Sequence[Signal] = ()
    issue: str = ""  # that a 'fresh' job goes on with
    flags: Iterable[str] = ()  # refund, dead, expired, fresh, mend: see job_move.lua
    data: dict[str, Any] = field(default_factory=dict)

    def keys(self, keys: Keys) -> list[str]:
        """The script's keys."""
        job = keys.job(self.job)
        return [
            job, keys("leases"), keys("waiting"), keys("outbox"), keys("dead"), keys("events"),
            keys.signals(self.job), keys("due"), keys("effects"), keys("unclaimed"), keys("landing"),
            keys.issue(self.issue) if self.issue else job, keys("held"), keys("at_work"), keys("spent"),
            keys("children"), keys("bereaved"),
        ]  # fmt: skip

    def arguments(self, retention_seconds: int) -> list[Any]:
        """The script's arguments behind the time."""
        facts = [part for signal in self.signals for part in (signal.id, signal.model_dump_json())]
        return [
            self.job, ",".join(self.allowed), self.to, "" if self.fence is None else self.fence, self.reason,
            self.delay_seconds, retention_seconds, self.event,
            json.dumps({"state": self.to, "reason": self.reason} | self.data),
            json.dumps(self._fields()), json.dumps(facts), ",".join(self.flags),
        ]  # fmt: skip

    def _fields(self) -> list[str]:
        """What is written to the record: names and values in turn."""
        fields = result_fields(self.result) if self.result else []
        if self.kind:
            fields += ["kind", self.kind]
        if self.repair:
            fields += repair_fields(self.repair, self.judged)
        return fields
