"""A step of a job from one state to another: see `job_move.lua`.

State, event, signals and lists change together, or nothing does.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from routing.base import Base
from routing.jobs.job import JobResult, JobState
from routing.jobs.signal import Signal
from routing.jobs.turn import Hindrance
from routing.store.jobs.record import result_fields
from routing.store.redis.keys import Keys
from routing.store.redis.scripts import Script, answered, flat_json


class MoveAnswer(StrEnum):
    """What became of a move. All but OK changed nothing."""

    OK = "ok"
    MISSING = "missing"
    STALE = "stale"  # the job has another fence
    ALIVE = "alive"  # its lease did not run out
    CANCELLING = "cancelling"  # it is to be cancelled, and may only end
    MERGING = "merging"  # its branch is being merged: too late to cancel it, or to end it otherwise
    ACTIVE = "active"  # another job, whose id comes with the answer, is at work on its issue
    STATE = "state"  # its state, which comes with the answer, does not allow it


JOB_MOVE = Script(
    "job_move",
    answered(MoveAnswer),
    keys="job signals issue",
    indexes="leases waiting outbox unclaimed held limited at_work landing due dead effects spent outcomes "
    "children bereaved events pulse",
    args="id allowed to fence reason delay_seconds retention_seconds event data fields facts",
    flags="refund list_dead expired fresh keeps_turn limit unless_merging",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """A step of a job from one of some states to another.

    A worker's step carries its fence; one without a fence is refused only by the job's state.
    """

    job: str
    allowed: Sequence[JobState]
    to: JobState
    event: str
    fence: int | None = None  # the lease that the caller holds; None for the ticks
    reason: str = ""
    delay_seconds: float = 0.0  # before it may be claimed again
    result: JobResult | None = None
    base: Base | None = None  # that its work counts from now on, None: as before
    kind: str = ""  # of the next turn, "": as before
    hindrance: Hindrance | None = None  # what the job waits for, None: nothing any more
    refused: str | None = None  # what was said of work that was not taken, "": it was, None: as before
    refusals: int | None = None  # corrective turns for that, None: as before
    review_end: str = ""  # the commit at which its turn for a review ended, "": as before
    review_said: str = ""  # what its agent said, where that turn made no commit
    signals: Sequence[Signal] = ()
    issue: str = ""  # that a 'fresh' job goes on with
    refund: bool = False  # the attempt does not count
    list_dead: bool = False  # as a dead letter
    expired: bool = False  # only when the lease ran out
    fresh: bool = False  # attempts begin anew, and so does work on the issue
    keeps_turn: bool = False  # a finished turn stays to be delivered; else it is settled by this step
    limit: bool = False  # from now on it waits for an account: its deadline is put off by so long
    unless_merging: bool = False  # not while its branch is being merged
    cuts_short: bool = False  # its worker was lost, or shut down: its next message goes before others
    data: dict[str, Any] = field(default_factory=dict)

    def values(self, keys: Keys) -> dict[str, Any]:
        """What the script is given, but for the retention."""
        job = keys.job(self.job)
        return {
            "job": job,
            "signals": keys.signals(self.job),
            "issue": keys.issue(self.issue) if self.issue else job,
            "id": self.job,
            "allowed": ",".join(self.allowed),
            "to": self.to,
            "fence": self.fence,
            "reason": self.reason,
            "delay_seconds": self.delay_seconds,
            "event": self.event,
            "data": json.dumps({"state": self.to, "reason": self.reason} | self.data),
            "fields": flat_json(self._fields()),
            "facts": flat_json({signal.id: signal.model_dump_json() for signal in self.signals}),
            "refund": self.refund,
            "list_dead": self.list_dead,
            "expired": self.expired,
            "fresh": self.fresh,
            "keeps_turn": self.keeps_turn,
            "limit": self.limit,
            "unless_merging": self.unless_merging,
        }

    def _fields(self) -> dict[str, str]:
        """What is written to the record."""
        fields = result_fields(self.result) if self.result else {}
        if self.base:
            fields |= {"base_branch": self.base.branch, "base_commit": self.base.commit}
        if self.cuts_short:
            fields["cut_short"] = str(self.fence)
        if self.kind:
            fields["kind"] = self.kind
        if self.hindrance:
            fields["hindrance"] = self.hindrance.model_dump_json()
        if self.refused is not None:
            fields["refused"] = self.refused
        if self.refusals is not None:
            fields["refusals"] = str(self.refusals)
        if self.review_end:
            fields |= {"review_end": self.review_end, "review_said": self.review_said}
        return fields
