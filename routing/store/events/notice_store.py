"""Notifications in Redis: for each sink its place in the event stream, its queue and its dead letters.

Several processes may serve a sink. Each step compares what its caller read, so that no event is skipped; a
notification may be sent twice, under one id.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from routing.store.redis.faults import redis_errors
from routing.store.redis.scripts import Script
from routing.store.redis.store import Store

#: Notifications that may wait for one sink; beyond it the oldest become dead letters.
MOST_WAITING = 10_000

#: Dead letters that are kept of one sink, the newest.
MOST_DEAD = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class SinkStatus:
    """Where a sink is in the stream, and whether it answers."""

    place: str  # id of the last event that was looked at
    written: int | None  # events ever written up to it; None where the server does not count them
    missed: int  # events that were trimmed before they were looked at, ever
    failures: int  # failed attempts in a row
    quiet_until: float  # seconds since the epoch until which it is left alone, 0.0 for now


@dataclass(frozen=True, kw_only=True, slots=True)
class SinkProgress:
    """A step of a sink along the stream."""

    before: str  # place as read, "" for none
    place: str
    written: int | None
    missed: int = 0


_KEYS = "sink notes due dead"
_COLLECT = Script(
    "notify_collect",
    lambda new: None if new < 0 else int(new),
    keys=_KEYS,
    args="before place written missed most_waiting most_dead",
    each_args="id record",
)
_SETTLE = Script(
    "notify_settle", bool, keys=_KEYS, args="id outcome record again_seconds quiet_seconds most_dead"
)
_REVIVE = Script("notify_revive", int, keys=_KEYS, each_args="id record")


class NoticeStore(Store):
    """Notifications of each sink, as text; `tasks.notify` knows what they say and sends them.

    A notification is due, and is then sent, put off to a later time, or dead; `revive` makes a dead one due.
    It goes `status`, `collect`, and for each of `due` one attempt and `settle`. `collect` is refused (None)
    if another process has moved the sink's place: read `status` again. There is no lease between `due` and
    `settle`, so two processes may send one notification; its id is the same, and `settle` changes only what
    still waits.

    The lists are bounded: too many that wait become dead, and too many dead ones are forgotten, the oldest
    first.
    """

    def status(self, sink: str) -> SinkStatus | None:
        """Where a sink is; None before its first tick."""
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

    def collect(self, sink: str, step: SinkProgress, records: Mapping[str, str]) -> int | None:
        """Let notifications wait, by id; returns how many are new, None when another process was faster."""
        return self.call(
            _COLLECT, **self._keys(sink), **asdict(step), most_waiting=MOST_WAITING, most_dead=MOST_DEAD,
            each=_rows(records), doing=f"collecting notifications for sink {sink}",
        )  # fmt: skip

    def due(self, sink: str, most: int) -> dict[str, str]:
        """Records to be sent now, by id, those that have been due longest first."""
        with redis_errors(f"reading notifications for sink {sink}"):
            ids = self.redis.zrangebyscore(self.keys.notify_due(sink), "-inf", self.now(), start=0, num=most)
        return self._records(sink, ids)

    def settle(
        self, sink: str, notice: str, outcome: Literal["sent", "later", "dead"], *, record: str = "",
        again_seconds: float = 0.0, quiet_seconds: float = 0.0,
    ) -> bool:  # fmt: skip
        """Note what became of an attempt; False when another process has settled it.

        `again_seconds` is until the next attempt of `later`; for `quiet_seconds` the sink is left alone, 0
        where it answered.
        """
        return self.call(
            _SETTLE, **self._keys(sink), id=notice, outcome=outcome, record=record,
            again_seconds=again_seconds, quiet_seconds=quiet_seconds, most_dead=MOST_DEAD,
            doing=f"noting what became of notification {notice} at sink {sink}",
        )  # fmt: skip

    def dead(self, sink: str, most: int) -> dict[str, str]:
        """Records of dead letters by id, the newest first."""
        with redis_errors(f"reading dead letters of sink {sink}"):
            ids = self.redis.zrevrange(self.keys.notify_dead(sink), 0, most - 1)
        return self._records(sink, ids)

    def revive(self, sink: str, records: Mapping[str, str]) -> int:
        """Send dead letters again; returns how many of them were dead."""
        if not records:
            return 0
        return self.call(
            _REVIVE, **self._keys(sink), each=_rows(records), doing=f"reviving dead letters of sink {sink}"
        )

    def depths(self, sink: str) -> tuple[int, int]:
        """How many wait, and how many are dead."""
        with redis_errors(f"counting notifications for sink {sink}"):
            return (
                int(self.redis.zcard(self.keys.notify_due(sink))),
                int(self.redis.zcard(self.keys.notify_dead(sink))),
            )

    def _records(self, sink: str, ids: Sequence[str]) -> dict[str, str]:
        """The records of notifications, in the order of their ids; "" for one that is gone."""
        if not ids:
            return {}
        with redis_errors(f"reading notifications for sink {sink}"):
            texts = self.redis.hmget(self.keys.notify_notes(sink), ids)
        return {notice: text or "" for notice, text in zip(ids, texts, strict=True)}

    def _keys(self, sink: str) -> dict[str, Any]:
        keys = self.keys
        return {
            "sink": keys.notify(sink),
            "notes": keys.notify_notes(sink),
            "due": keys.notify_due(sink),
            "dead": keys.notify_dead(sink),
        }


def _rows(records: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"id": notice, "record": record} for notice, record in records.items()]
