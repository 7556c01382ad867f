"""Follows the stream of events, and sends the spans that they end.

Spans are sent before the place in the stream moves: after a failure they are sent again, with the same ids.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Protocol

import structlog
from pydantic import ValidationError

from routing.events import WEBHOOK_ACCEPTED, Event
from routing.store.events.event_store import EventStore
from routing.store.events.trace_store import TraceStore
from routing.store.jobs.job_store import JobStore
from routing.store.jobs.log_store import LogStore
from routing.store.signals.signal_store import SignalStore
from tasks.notify.sink import UndeliveredError
from tasks.telemetry.span import Span, SpanIds
from tasks.telemetry.story import ENDS_TURN, JobReading, JobStory, Traced, webhook

_log = structlog.get_logger(__name__)

#: Events that are looked at together, and how often in one tick.
_BATCH, _BATCHES = 200, 20


class SpanSender(Protocol):
    """Takes spans, or raises UndeliveredError."""

    def send(self, spans: Sequence[Span]) -> None:
        """Send them together."""
        ...


class Tracer:
    """One a process; where it is in the stream is stored, so any process may go on."""

    def __init__(
        self,
        *,
        events: EventStore,
        jobs: JobStore,
        signals: SignalStore,
        logs: LogStore,
        store: TraceStore,
        sender: SpanSender,
        ids: SpanIds,
    ) -> None:
        self._events, self._jobs, self._signals, self._logs = events, jobs, signals, logs
        self._store, self._sender, self._ids = store, sender, ids

    def tick(self) -> int:
        """Send what has happened since the last tick; returns how many spans that was.

        The first one begins with what happens from then on. An endpoint that does not answer is an
        UndeliveredError, and the next tick tries again; what it refuses for good is left out, with a warning.
        """
        place = self._store.place()
        if place is None:
            newest = self._events.newest(1)
            self._store.move(newest[0].id if newest else "0-0", {})
            return 0
        sent = 0
        for _ in range(_BATCHES):
            batch = self._events.after(place, most=_BATCH)
            if not batch:
                break
            place = batch[-1].id
            sent += self._step(batch)
        return sent

    def _step(self, batch: Sequence[Event]) -> int:
        of_job = defaultdict[str, list[Event]](list)
        for event in batch:
            if event.kind.startswith("job."):
                of_job[event.subject].append(event)
        spans = [webhook(self._ids, event) for event in batch if event.kind == WEBHOOK_ACCEPTED]
        traced = dict[str, str]()
        for story, events in self._stories(of_job):
            name = events[0].subject
            try:
                ended = [span for event in events for span in story.tell(event)]
                spans += [*ended, *story.facts()]
                traced[name] = story.traced.model_dump_json(exclude_defaults=True)
            except (LookupError, TypeError, ValueError):  # of an event: it would come again for ever
                _log.exception("telemetry.job_left_out", job=name)
        self._send(spans)
        self._store.move(batch[-1].id, traced)
        return len(spans)

    def _send(self, spans: Sequence[Span]) -> None:
        if not spans:
            return
        try:
            self._sender.send(spans)
        except UndeliveredError as error:
            if not error.final:
                raise
            _log.warning("telemetry.refused", spans=len(spans), reason=str(error))

    def _stories(self, of_job: dict[str, list[Event]]) -> Iterator[tuple[JobStory, list[Event]]]:
        """A job that is gone, or cannot be read, has no spans any more, and hides no other."""
        names = list(of_job)
        found = zip(
            names,
            self._jobs.read_many(names),
            self._signals.read_many(names),
            self._store.read(names),
            strict=True,
        )
        for name, job, signals, stored in found:
            if job is not None:
                ends_turn = any(event.kind in ENDS_TURN for event in of_job[name])
                lines = list(self._logs.read(name)) if ends_turn else []
                reading = JobReading(job=job, signals=signals or [], lines=lines)
                yield JobStory(self._ids, reading, _parsed(stored)), of_job[name]


def _parsed(stored: str | None) -> Traced:
    try:
        return Traced.model_validate_json(stored) if stored else Traced()
    except ValidationError:
        return Traced()  # of a later release: its next spans begin anew
