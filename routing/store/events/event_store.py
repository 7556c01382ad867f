"""The stream of events, as its consumers read it.

The stream is trimmed at about 100,000 entries, so a consumer that was away for long may have missed some: a
page says how many were ever written. An event's id is the stream's, grows, and serves to tell a repeated one.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from redis.exceptions import ResponseError

from routing.events import Event
from routing.store.redis.faults import redis_errors
from routing.store.redis.store import Store


@dataclass(frozen=True, kw_only=True, slots=True)
class EventPage:
    """Some events after a place, and what the stream itself counted at that moment."""

    events: list[Event]
    newest: str  # id of the last event that was ever written, "0-0" for none
    kept: int  # events in the stream
    written: int | None  # events ever written; None before Redis 7, which does not count them


class EventStore(Store):
    """Reads the stream. A change of state writes its event itself, in its script: see `_prelude.lua`.

    Any number of readers may follow the stream, each with the id of the last event that it has read; nothing
    is acknowledged and no reader holds up another. The stream is bounded: a reader that is slower than the
    trimming misses events, and can see that by the counts of `page`. So decide nothing by events that a
    record can answer.

    `after` blocks the thread and its connection for `wait_seconds`. `all` reads page by page, not a snapshot.
    `emit` is for events beside changes of state. It cannot be atomic with a change, and a repeated call
    writes a second event.
    """

    def after(self, last: str = "0-0", *, most: int = 500, wait_seconds: float = 0.0) -> list[Event]:
        """Events after the id `last`; waits up to `wait_seconds` for the first one."""
        block = int(wait_seconds * 1000) or None
        with redis_errors("reading events"):
            answer = self.redis.xread({self.keys("events"): last}, count=most, block=block)
        return [_event(identifier, fields) for _, entries in answer for identifier, fields in entries]

    def page(self, last: str, *, most: int) -> EventPage:
        """At most `most` events after the id `last`, with the stream's own counts of the same moment."""
        stream = self.keys("events")
        with redis_errors("reading events"):
            pipeline = self.redis.pipeline(transaction=True)
            pipeline.xinfo_stream(stream)
            pipeline.xrange(stream, min=f"({last}", count=most)
            known, entries = pipeline.execute(raise_on_error=False)
            # XINFO fails for a stream that nothing was ever written to.
            if isinstance(known, ResponseError) and "no such key" in str(known):
                return EventPage(events=[], newest="0-0", kept=0, written=0)
            for answer in (known, entries):
                if isinstance(answer, Exception):
                    raise answer
        return EventPage(
            events=[_event(*entry) for entry in entries],
            newest=known["last-generated-id"],
            kept=known["length"],
            written=known.get("entries-added"),
        )

    def newest(self, most: int) -> list[Event]:
        """The last events, at most `most`, the newest first."""
        with redis_errors("reading events"):
            return [_event(*entry) for entry in self.redis.xrevrange(self.keys("events"), count=most)]

    def all(self) -> Iterator[Event]:
        """Every event that the stream still holds, oldest first."""
        last = "0-0"
        while batch := self.after(last):
            yield from batch
            last = batch[-1].id

    def emit(self, kind: str, subject: str, data: dict[str, object]) -> None:
        """Write an event that reports no change of state."""
        with redis_errors("writing an event"):
            self.redis.xadd(
                self.keys("events"),
                {"kind": kind, "at": f"{self.now():.6f}", "subject": subject, "data": json.dumps(data)},
                maxlen=100_000,
                approximate=True,
            )


def _event(identifier: str, fields: dict[str, str]) -> Event:
    return Event(
        id=identifier,
        kind=fields["kind"],
        at=float(fields["at"]),
        subject=fields["subject"],
        data=json.loads(fields["data"]),
    )
