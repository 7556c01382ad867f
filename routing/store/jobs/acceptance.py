"""What the step that accepts jobs is given: see `job_enqueue.lua`."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import chain

from routing.store.redis.keys import Keys

#: Seconds after which somebody looks whether a published job was claimed.
UNCLAIMED_SECONDS = 15.0

#: Seconds after which a publication that did not come to its end is repeated.
PUBLISH_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class NewJob:
    """One job that is to be accepted."""

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

    def keys(self, keys: Keys) -> Sequence[str]:
        """The keys of the job alone."""
        job = keys.job(self.id)
        return (
            job,
            keys.idempotency(self.once) if self.once else job,
            keys.issue(self.issue) if self.issue else job,
            self.queue_key or job,
        )

    def arguments(self) -> Sequence[str]:
        """The script's arguments for the job alone."""
        return (
            self.id, str(self.side), self.request, self.issue, self.max_attempts, self.draw, self.stratum,
            self.message,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """Whose child is to be accepted, and what that job may have."""

    parent: str  # job id
    most: int  # active children
    deepest: int  # generations below a job without a parent


@dataclass(frozen=True, kw_only=True, slots=True)
class Acceptance:
    """All that one step writes when jobs of one route are accepted, in their order."""

    template: str
    revision: str  # of the template's route, as read
    sides: str  # JSON made by `sides_json`
    trial: str = ""
    share: str = ""
    parent: str = ""  # id of the job whose child the only one is; a child is in no trial
    settle_seconds: float = 604_800.0
    retention_seconds: int = 2_592_000
    jobs: Sequence[NewJob]

    @property
    def pushed(self) -> bool:
        """Whether the step pushes the messages too."""
        return bool(self.jobs[0].message)

    def keys(self, keys: Keys) -> list[str]:
        """The script's keys."""
        names = [*_shared(keys, self.template, self.trial, self.parent, pushed=self.pushed)]
        for job in self.jobs:
            names += job.keys(keys)
        return names

    def arguments(self) -> list[str]:
        """The script's arguments behind the time."""
        look = UNCLAIMED_SECONDS if self.pushed else PUBLISH_SECONDS
        values = [
            self.revision, self.trial, self.share, self.sides, str(look), str(self.settle_seconds),
            str(self.retention_seconds),
        ]  # fmt: skip
        for job in self.jobs:
            values += job.arguments()
        return values


@lru_cache(maxsize=1024)
def _shared(keys: Keys, template: str, trial: str, parent: str, *, pushed: bool) -> Sequence[str]:
    """The keys that the jobs of an acceptance have in common."""
    of_template = keys.template(template)
    second, third = of_template, of_template
    if trial:
        second, third = keys.trial(trial), keys.dispatches(trial)
    elif parent:
        second, third = keys.job(parent), keys("children")
    return (
        of_template,
        second,
        third,
        keys("unclaimed") if pushed else keys("outbox"),
        keys("jobs"),
        keys("due"),
        keys("events"),
    )


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
