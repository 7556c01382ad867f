"""Deliveries of forges in Redis, and the issues that they told of: the intake."""

import json
from dataclasses import dataclass

from routing.store.redis.faults import redis_errors
from routing.store.redis.store import Store

#: Seconds for which a delivery is remembered: GitHub lets people repeat one for three days.
SEEN_SECONDS = 3 * 86_400

#: Issues that may wait to be looked at.
MOST_ISSUES = 10_000

#: Deliveries of one issue that are told to whoever looks at it, the newest.
MOST_HINTS = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class NewDelivery:
    """One delivery that concerns us."""

    digest: str  # what tells it from others
    issue: str  # in its canonical form
    hint: dict[str, str]  # what was said, by whom; unlike that of any other delivery
    event: dict[str, str]  # data of the event


class DeliveryStore(Store):
    """One call a step; the answers are the scripts' own words."""

    def accept(self, delivery: NewDelivery) -> str:
        """Remember a delivery and let its issue wait: 'ok', 'duplicate', 'paused' or 'full'."""
        keys = self.keys
        return str(self.run(
            "delivery_accept",
            [keys.delivery(delivery.digest), keys("intake"), keys("intake_notes"), keys("paused"),
             keys("events")],
            delivery.issue, json.dumps(delivery.hint), SEEN_SECONDS, MOST_ISSUES, MOST_HINTS,
            json.dumps(delivery.event),
            doing=f"accepting a delivery about {delivery.issue}",
        ))  # fmt: skip

    def take(self, *, most: int, lease_seconds: float) -> list[tuple[str, str]]:
        """Issues that wait with their notes, the longest waiting first."""
        keys = self.keys
        answer = self.run(
            "intake_take", [keys("intake"), keys("intake_notes"), keys("paused")], most, lease_seconds,
            doing="taking issues that a forge has told of",
        )  # fmt: skip
        return list(zip(answer[::2], answer[1::2], strict=True))

    def done(self, issue: str, note: str) -> bool:
        """Forget an issue that was taken with this note; False when it was told of again meanwhile."""
        keys = self.keys
        return bool(self.run(
            "intake_done", [keys("intake"), keys("intake_notes")], issue, note,
            doing=f"noting that {issue} was looked at",
        ))  # fmt: skip

    def waiting(self) -> tuple[int, float | None]:
        """How many issues wait to be looked at, and when the first was due, seconds since the epoch."""
        with redis_errors("looking at what forges have told of"):
            pipeline = self.redis.pipeline(transaction=False)
            pipeline.zcard(self.keys("intake"))
            pipeline.zrange(self.keys("intake"), 0, 0, withscores=True)
            count, first = pipeline.execute()
        return int(count), float(first[0][1]) if first else None
