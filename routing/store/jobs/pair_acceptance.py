"""What the step that accepts a pair is given: see `pair_enqueue.lua`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from routing.base import Base
from routing.store.jobs.acceptance import (
    PUBLISH_SECONDS,
    UNCLAIMED_SECONDS,
    AcceptanceTerms,
    AcceptAnswer,
    Accepted,
    NewJob,
)
from routing.store.redis.keys import Keys
from routing.store.redis.scripts import Script


def _accepted(words: Sequence[str]) -> Accepted:
    return AcceptAnswer(words[0]), words[1]


PAIR_ENQUEUE = Script(
    "pair_enqueue",
    _accepted,
    keys="template trial_record dispatches champion canary once issue champion_queue canary_queue",
    indexes="outbox unclaimed jobs due events",
    args="revision sides look_seconds settle_seconds retention_seconds champion_id canary_id request "
    "issue_name max_attempts draw first champion_message canary_message",
    flags="pushed",
)


def _agreed(found: Sequence[str]) -> Base | None:
    return Base(branch=found[0], commit=found[1]) if found else None


PAIR_BASE = Script("pair_base", _agreed, keys="job partner", args="fence branch commit")


@dataclass(frozen=True, kw_only=True, slots=True)
class PairAcceptance:
    """A pair that is to be accepted: the champion's job as the mailbox makes it, and its shadow beside it."""

    terms: AcceptanceTerms
    champion: NewJob
    canary_id: str
    canary_queue_key: str = ""  # list of the broker to push its message to, "" when it is published later
    canary_message: str = ""
    first: Literal["champion", "canary"]  # whose message is sent first

    def values(self, keys: Keys) -> dict[str, Any]:
        """What the script is given."""
        terms, job = self.terms, self.champion
        record = keys.job(job.id)
        pushed = bool(job.message)
        return {
            "template": keys.template(terms.template),
            "trial_record": keys.trial(terms.trial),
            "dispatches": keys.dispatches(terms.trial),
            "champion": record,
            "canary": keys.job(self.canary_id),
            "once": keys.idempotency(job.once) if job.once else record,
            "issue": keys.issue(job.issue) if job.issue else record,
            "champion_queue": job.queue_key or record,
            "canary_queue": self.canary_queue_key or record,
            "revision": terms.revision,
            "sides": terms.sides,
            "look_seconds": UNCLAIMED_SECONDS if pushed else PUBLISH_SECONDS,
            "settle_seconds": terms.settle_seconds,
            "retention_seconds": terms.retention_seconds,
            "champion_id": job.id,
            "canary_id": self.canary_id,
            "request": job.request,
            "issue_name": job.issue,
            "max_attempts": job.max_attempts,
            "draw": job.draw,
            "first": self.first,
            "champion_message": job.message,
            "canary_message": self.canary_message,
            "pushed": pushed,
        }
