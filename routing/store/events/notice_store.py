"""Notifications in Redis: of each sink its place in the event stream, its queue and its dead letters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from routing.store.redis.faults import redis_errors
from routing.store.redis.store import Store

#: Notifications that may wait for one sink; beyond it the oldest become dead letters.
MOST_WAITING = 10_000

#: Dead letters that are kept of one sink, the newest.
MOST_DEAD = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class SinkStatus:
    """Where a sink is in the stream, and how it fares."""

    place: str  # id of the last event that was looked at
    written: int | None  # events ever written up to it; None where the server does not count them
    missed: int  # events that were trimmed before they were looked at, ever
    failures: int  # attempts in a row that the sink did not take
    quiet_until: float  # seconds since the epoch until which it is left alone, 0.0 for now


@dataclass(frozen=True, kw_only=True, slots=True)
class SinkProgress:
    """A step along the stream."""

    before: str  # place as read, "" for none
    place: str
    written: int | None
    missed: int = 0


class NoticeStore(Store):
    """Records are text to this store; `tasks.notify` knows what they say."""

    def status(self, sink: str) -> SinkStatus | None:
        """How a sink stands; None before its first tick."""
        with redis_errors(f"reading the place of sink {sink}"):
            fields = self.redis.hgetall(self.keys.notify(sink))
        if "place" not in fields:
            return None
        return SinkStatus(
            place=fields["place"],
            written=int(fields["written"]) if fields.get("written") else None,
            missed=int(fields.get("missed", 0)),
            failures=int(fields.get("failures", 0)),
            quiet_until=float(fields.get("quiet_until", 0.0)),
        )

    def collect(self, sink: str, step: SinkProgress, records: Mapping[str, str]) -> int:
        """Let notifications wait, by id; returns how many are new, or -1 when another process was faster."""
        pairs = [part for pair in records.items() for part in pair]
        return int(self.run(
            "notify_collect", self._keys(sink),
            step.before, step.place, "" if step.written is None else step.written, step.missed,
            MOST_WAITING, MOST_DEAD, *pairs,
            doing=f"collecting notifications for sink {sink}",
        ))  # fmt: skip

    def due(self, sink: str, most: int) -> dict[str, str]:
        """Records that are to be sent now, by id, the one that is due the longest first."""
        with redis_errors(f"reading notifications for sink {sink}"):
            ids = self.redis.zrangebyscore(self.keys.notify_due(sink), "-inf", self.now(), start=0, num=most)
        return self._records(sink, ids)

    def settle(
        self, sink: str, notice: str, outcome: Literal["sent", "later", "dead"], *, record: str = "",
        again_seconds: float = 0.0, quiet_seconds: float = 0.0,
    ) -> bool:  # fmt: skip
        """Note what became of an attempt; False when another process had seen to it."""
        answer = self.run(
            "notify_settle", self._keys(sink),
            notice, outcome, record, again_seconds, quiet_seconds, MOST_DEAD,
            doing=f"noting what became of notification {notice} at sink {sink}",
        )  # fmt: skip
        return str(answer) == "ok"

    def dead(self, sink: str, most: int) -> dict[str, str]:
        """Records of dead letters by id, the last to die first."""
        with redis_errors(f"reading dead letters of sink {sink}"):
            ids = self.redis.zrevrange(self.keys.notify_dead(sink), 0, most - 1)
        return self._records(sink, ids)

    def revive(self, sink: str, records: Mapping[str, str]) -> int:
        """Send dead letters again; returns how many of them were dead."""
        if not records:
            return 0
        pairs = [part for pair in records.items() for part in pair]
        doing = f"reviving dead letters of sink {sink}"
        return int(self.run("notify_revive", self._keys(sink), *pairs, doing=doing))

    def depths(self, sink: str) -> tuple[int, int]:
        """How many wait, and how many are dead."""
        with redis_errors(f"counting notifications for sink {sink}"):
            return (
                int(self.redis.zcard(self.keys.notify_due(sink))),
                int(self.redis.zcard(self.keys.notify_dead(sink))),
            )

    def _records(self, sink: str, ids: Sequence[str]) -> dict[str, str]:
        if not ids:
            return {}
        with redis_errors(f"reading notifications for sink {sink}"):
            texts = self.redis.hmget(self.keys.notify_notes(sink), ids)
        return {notice: text or "" for notice, text in zip(ids, texts, strict=True)}

    def _keys(self, sink: str) -> list[str]:
        keys = self.keys
        return [keys.notify(sink), keys.notify_notes(sink), keys.notify_due(sink), keys.notify_dead(sink)]
