"""Deliveries of webhooks in Redis, and the issues that they named: the intake."""

import json
from dataclasses import dataclass
from enum import StrEnum

from routing.store.redis.faults import redis_errors
from routing.store.redis.scripts import Script
from routing.store.redis.store import Store

#: Seconds for which a delivery is remembered: GitHub lets people redeliver one for three days.
SEEN_SECONDS = 3 * 86_400

#: Issues that may wait; beyond it deliveries are refused, so that the forge tries again later.
MOST_ISSUES = 10_000

#: Branches and repositories whose work is to be looked at: more are found by the regular looks.
MOST_LOOKS = 1000

#: Seconds for which such a wish is remembered.
LOOK_SECONDS = 3600

#: Hints that are kept of one issue, the newest.
MOST_HINTS = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class NewDelivery:
    """One delivery about an issue of ours."""

    digest: str  # tells it from all others
    issue: str  # in its canonical form
    hint: dict[str, str]  # what it said, and by whom; no two deliveries have the same
    event: dict[str, str]  # data of the event


class DeliveryAnswer(StrEnum):
    """What became of a delivery."""

    OK = "ok"
    DUPLICATE = "duplicate"  # it was accepted before
    PAUSED = "paused"  # nothing was noted: the next poll finds the issue
    FULL = "full"  # too many issues wait; nothing was noted


_ACCEPT = Script(
    "delivery_accept",
    DeliveryAnswer,
    keys="delivery",
    indexes="intake intake_notes paused events",
    args="issue hint seen_seconds most_issues most_hints event",
)
_TAKE = Script(
    "intake_take",
    lambda words: list(zip(words[::2], words[1::2], strict=True)),
    indexes="intake intake_notes paused",
    args="most lease_seconds",
)
_DONE = Script("intake_done", bool, indexes="intake intake_notes", args="issue note")


class DeliveryStore(Store):
    """Issues that deliveries named wait here, each once, until somebody has read them from their forge.

    The webhook's server calls `accept`, which remembers the delivery and lists its issue in one step. A
    delivery that the forge repeats is a duplicate while it is remembered. While dispatch is paused, or too
    many issues wait, nothing is noted: the next poll finds the issue.

    The collector takes issues, reads them, and calls `done` with the note that it was given. There is no
    fence: two collectors may read one issue, which changes nothing. One that dies leaves the issue to be
    taken again.
    """

    def accept(self, delivery: NewDelivery) -> DeliveryAnswer:
        """Remember a delivery and let its issue wait."""
        return self.call(
            _ACCEPT, delivery=self.keys.delivery(delivery.digest), issue=delivery.issue,
            hint=json.dumps(delivery.hint), seen_seconds=SEEN_SECONDS, most_issues=MOST_ISSUES,
            most_hints=MOST_HINTS, event=json.dumps(delivery.event),
            doing=f"accepting a delivery about {delivery.issue}",
        )  # fmt: skip

    def take(self, *, most: int, lease_seconds: float) -> list[tuple[str, str]]:
        """Issues that wait with their notes, the longest waiting first; none while dispatch is paused.

        Each is taken again after `lease_seconds`, unless it is `done` by then.
        """
        return self.call(
            _TAKE, most=most, lease_seconds=lease_seconds, doing="taking issues that deliveries named"
        )

    def done(self, issue: str, note: str) -> bool:
        """Forget an issue that was taken with this note; False when a delivery named it again meanwhile."""
        return self.call(_DONE, issue=issue, note=note, doing=f"noting that {issue} was looked at")

    def note_work(self, repository: str, branch: str) -> None:
        """Have pushed work looked at: of a branch of `FORGE:owner/name`, or with "" all of the repository.

        Noted for LOOK_SECONDS, and as often as it comes; looking once too often changes nothing.
        """
        key = self.keys("looks")
        with redis_errors(f"noting that work of {repository} is to be looked at"):
            if self.redis.scard(key) < MOST_LOOKS:
                pipeline = self.redis.pipeline(transaction=True)
                pipeline.sadd(key, f"{repository} {branch}")
                pipeline.expire(key, LOOK_SECONDS)
                pipeline.execute()

    def take_work(self) -> list[tuple[str, str]]:
        """Repositories and branches whose work is to be looked at, and forget them.

        Two processes may get the same ones. What is noted between the two steps is forgotten with them, and
        is seen by the look that follows.
        """
        with redis_errors("taking which work is to be looked at"):
            taken = self.redis.srandmember(self.keys("looks"), MOST_LOOKS)
            if taken:
                self.redis.srem(self.keys("looks"), *taken)
        return [(repository, branch) for repository, _, branch in (one.partition(" ") for one in taken)]

    def waiting(self) -> tuple[int, float | None]:
        """How many issues wait to be looked at, and when the first was due, seconds since the epoch."""
        with redis_errors("counting the issues that wait"):
            pipeline = self.redis.pipeline(transaction=False)
            pipeline.zcard(self.keys("intake"))
            pipeline.zrange(self.keys("intake"), 0, 0, withscores=True)
            count, first = pipeline.execute()
        return int(count), float(first[0][1]) if first else None
