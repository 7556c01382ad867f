"""What the step that accepts jobs is given, and what it answers: see `job_enqueue.lua`.

It is the hottest step of all: what jobs of one route have in common is put together once, and a job adds
little.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import chain

from routing.store.redis.keys import Keys
from routing.store.redis.scripts import Packed, Script

#: Seconds after which the relay checks whether a published job was claimed.
UNCLAIMED_SECONDS = 5.0

#: Seconds after which a publication that was not confirmed is repeated.
PUBLISH_SECONDS = 5.0


class AcceptAnswer(StrEnum):
    """What became of a job that was to be accepted."""

    OK = "ok"
    SAME = "same"  # its idempotency key led to another job
    ACTIVE = "active"  # another job is at work on its issue
    STALE = "stale"  # the route has changed: read it and try again
    COLLISION = "collision"  # its id is another job's
    NO_PARENT = "no parent"  # this and the rest: why a job may not have that child
    PARENT_ENDED = "parent ended"
    PARENT_CANCELLED = "parent cancelled"
    DEPTH = "depth"
    CHILDREN = "children"


#: An answer, with the other job that it is about, or "".
Accepted = tuple[AcceptAnswer, str]


_OK: Accepted = (AcceptAnswer.OK, "")


def _accepted(text: str) -> list[Accepted]:
    return [_OK if line == _OK[0].value else _other(line) for line in text.split("\n")]


def _other(line: str) -> Accepted:
    word, _, job = line.partition(":")
    return AcceptAnswer(word), job


JOB_ENQUEUE = Script(
    "job_enqueue",
    _accepted,
    keys="template trial_record dispatches parent",
    indexes="outbox unclaimed jobs due events children",
    args="revision trial share sides look_seconds settle_seconds retention_seconds",
    flags="pushed unpaired",
    each_keys="job once issue queue",
    each_args="id side request issue_name max_attempts draw stratum message",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class NewJob:
    """One job that is to be accepted. Texts as the script takes them: "" is none."""

    id: str
    side: int  # place of its arm among the acceptance's sides, from 1
    request: str  # as JSON
    once: str = ""  # digest of the idempotency key
    issue: str = ""
    max_attempts: str = ""  # "" for the side's
    draw: str = ""  # "" when none was made
    stratum: str = ""
    queue_key: str = ""  # list of the broker to push `message` to, when the broker is this server
    message: str = ""

    def row(self, keys: Keys) -> dict[str, str]:
        """What the script is given for the job alone."""
        job = keys.job(self.id)
        return {
            "job": job,
            "once": keys.idempotency(self.once) if self.once else job,
            "issue": keys.issue(self.issue) if self.issue else job,
            "queue": self.queue_key or job,
            "id": self.id,
            "side": str(self.side),
            "request": self.request,
            "issue_name": self.issue,
            "max_attempts": self.max_attempts,
            "draw": self.draw,
            "stratum": self.stratum,
            "message": self.message,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """Whose child is to be accepted, and what that job may have."""

    parent: str  # job id
    most: int  # active children
    deepest: int  # generations below a job without a parent


@dataclass(frozen=True, kw_only=True, slots=True)
class AcceptanceTerms:
    """What the jobs of one route have in common; made once a route, and as long as that stays the same."""

    template: str
    revision: str  # of the template's route, as read
    sides: str  # JSON made by `sides_json`
    trial: str = ""
    share: str = ""
    unpaired_in: str = ""  # id of the trial of pairs that counts those that its draw has left to the champion
    parent: str = ""  # id of the job whose child the only one is; a child is in no trial
    settle_seconds: float = 604_800.0
    retention_seconds: int = 2_592_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Acceptance:
    """All that one step writes when jobs of one route are accepted, in their order."""

    terms: AcceptanceTerms
    jobs: Sequence[NewJob]

    def packed(self, keys: Keys, time: str) -> Packed:
        """The call of the script."""
        common = _common(keys, time, self.terms, pushed=bool(self.jobs[0].message))
        return JOB_ENQUEUE.extended(common, (job.row(keys) for job in self.jobs))


@lru_cache(maxsize=256)
def _common(keys: Keys, time: str, terms: AcceptanceTerms, *, pushed: bool) -> Packed:
    """What the calls for one route have in common."""
    template, counting = keys.template(terms.template), terms.trial or terms.unpaired_in
    values = {
        "template": template,
        "trial_record": keys.trial(counting) if counting else template,
        "dispatches": keys.dispatches(terms.trial) if terms.trial else template,
        "parent": keys.job(terms.parent) if terms.parent else template,
        "revision": terms.revision,
        "trial": terms.trial,
        "share": terms.share,
        "sides": terms.sides,
        "look_seconds": UNCLAIMED_SECONDS if pushed else PUBLISH_SECONDS,
        "settle_seconds": terms.settle_seconds,
        "retention_seconds": terms.retention_seconds,
        "pushed": pushed,
        "unpaired": bool(terms.unpaired_in),
    }
    return JOB_ENQUEUE.packed(keys, time, values)


def sides_json(
    sides: Iterable[tuple[dict[str, str], str, dict[str, object]]], family: Family | None = None
) -> str:
    """What jobs of one arm have in common, by arm: fields of the record, the arm, and data of the event."""
    more = {"family": asdict(family)} if family else {}
    return json.dumps(
        [
            {"fields": list(chain(*fields.items())), "arm": arm, "data": json.dumps(data)[:-1]} | more
            for fields, arm, data in sides
        ]
    )
