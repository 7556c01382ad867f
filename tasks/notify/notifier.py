"""One sink's consumer of the event stream: collects what is new, then sends what is due.

Two steps, so that a sink that is down for days stops no reading: the stream is trimmed, and what was not read
by then is missed.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import structlog

from routing.back_off import BackOff
from routing.events import Event
from routing.generator import Generator
from routing.store.events.event_store import EventPage, EventStore
from routing.store.events.notice_store import NoticeStore, SinkProgress, SinkStatus
from tasks.notify.facts import FactReader
from tasks.notify.notices import WaitingNotice, parsed_notice
from tasks.notify.notification import Notification, NotificationKind
from tasks.notify.sink import Sink, UndeliveredError
from tasks.notify.translation import translated

_log = structlog.get_logger(__name__)

#: Events that are read, and notifications that are sent, at a time.
PAGE = 200

#: Seconds that one tick may take before it leaves the rest to the next.
TICK_SECONDS = 20.0

#: The longest time for which nothing is sent to a sink that did not answer, in seconds.
QUIET_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class NotifierRules:
    """What is sent, and how often it is tried.

    `max_age_seconds` keeps a notifier that was off for long from reporting what nobody cares about any
    longer.
    """

    kinds: Collection[NotificationKind]
    attempts: int
    back_off: BackOff
    max_age_seconds: float


class Notifier:
    """Run by the process that holds the tick of its sink; without that, things are sent twice, under one id.

    At least once: an event's notification is stored in the same step that moves the sink's place in the
    stream, and is taken out after the sink took it.
    """

    def __init__(
        self, *, sink: Sink, rules: NotifierRules, store: NoticeStore, events: EventStore, facts: FactReader,
        generator: Generator, monotonic: Callable[[], float],
    ) -> None:  # fmt: skip
        self.name = sink.name
        self._sink = sink
        self._rules = rules
        self._store = store
        self._events = events
        self._facts = facts
        self._generator = generator
        self._monotonic = monotonic

    def tick(self) -> int:
        """Collect and send; returns how many were sent.

        Both end after TICK_SECONDS together, or little later.
        """
        ends = self._monotonic() + TICK_SECONDS
        self.collect(ends)
        return self.send(ends)

    def collect(self, ends: float) -> None:
        """Read the stream from the sink's place on; a sink without a place begins at the newest event."""
        status = self._store.status(self.name)
        if status is None:
            self._begin()
            return
        while self._step(status) and self._monotonic() < ends:
            moved = self._store.status(self.name)
            if moved is None:
                return
            status = moved

    def _begin(self) -> None:
        """Take the newest event as the place: a sink that is new reports nothing of what was before it."""
        page = self._events.page("0-0", most=1)
        self._store.collect(self.name, SinkProgress(before="", place=page.newest, written=page.written), {})

    def _step(self, status: SinkStatus) -> bool:
        """One page; returns whether there may be more."""
        page = self._events.page(status.place, most=PAGE)
        if not page.events:
            return False
        missed = missed_events(status, page)
        if missed:
            _log.warning("notify.missed", sink=self.name, events=missed)
        place = SinkProgress(
            before=status.place,
            place=page.events[-1].id,
            written=_written(status, page, missed),
            missed=missed,
        )
        records = {
            made.id: WaitingNotice(notification=made).model_dump_json() for made in self._news(page.events)
        }
        collected = self._store.collect(self.name, place, records)
        return collected is not None and len(page.events) == PAGE

    def _news(self, events: list[Event]) -> list[Notification]:
        """The notifications of a page, of the kinds that this sink wants and young enough."""
        oldest = self._store.now() - self._rules.max_age_seconds
        young = [event for event in events if event.at >= oldest]
        facts = self._facts.read(young)
        made = [translated(event, known) for event, known in zip(young, facts, strict=True)]
        return [each for each in made if each is not None and each.kind in self._rules.kinds]

    def send(self, ends: float) -> int:
        """Send what is due, until the sink does not answer; returns how many it took.

        After a failure nothing is sent to the sink for a while, and the notification waits longer than that:
        the others go first, so that one which the sink never takes delays none of them.
        """
        status = self._store.status(self.name)
        if status is None or status.quiet_until > self._store.now():
            return 0
        sent, failures = 0, status.failures
        while due := self._store.due(self.name, PAGE):
            for notice, record in due.items():
                if self._monotonic() >= ends:
                    return sent
                taken = self._attempt(notice, record, failures)
                if taken is None:
                    return sent
                sent, failures = sent + taken, 0
        return sent

    def _attempt(self, notice: str, record: str, failures: int) -> bool | None:
        """Whether it was taken; None when nothing more is to be sent for now."""
        waiting = parsed_notice(record)
        if waiting is None:
            _log.error("notify.unreadable", sink=self.name, id=notice)
            self._store.settle(self.name, notice, "dead", record=record)
            return False
        try:
            self._sink.send(waiting.notification)
        except UndeliveredError as error:
            return self._failed(notice, waiting.failed(str(error)), error, failures)
        self._store.settle(self.name, notice, "sent")
        return True

    def _failed(
        self, notice: str, waiting: WaitingNotice, error: UndeliveredError, failures: int
    ) -> bool | None:
        """Note a failure; False when the notification is dead and others may be sent, None when nothing may.

        A refusal for good concerns this notification alone. Any other failure concerns the sink, which is
        left alone for a while: for as long as it asks, else by the back-off of its failures in a row.
        """
        record = waiting.model_dump_json()
        about = {"sink": self.name, "id": notice, "attempt": waiting.attempts, "reason": waiting.reason}
        if error.final:
            _log.error("notify.refused", **about)
            self._store.settle(self.name, notice, "dead", record=record)
            return False
        asked = max(0.0, error.again_at - self._store.now()) if error.again_at is not None else 0.0
        quiet = max(asked, min(QUIET_SECONDS, self._rules.back_off.seconds(failures + 1, self._generator)))
        if waiting.attempts >= self._rules.attempts:
            _log.error("notify.dead", **about)
            self._store.settle(self.name, notice, "dead", record=record, quiet_seconds=quiet)
            return None
        pause = max(quiet, self._rules.back_off.seconds(waiting.attempts, self._generator))
        _log.warning("notify.failed", again_seconds=round(pause, 1), **about)
        self._store.settle(
            self.name, notice, "later", record=record, again_seconds=pause, quiet_seconds=quiet
        )
        return None


def missed_events(status: SinkStatus, page: EventPage) -> int:
    """How many events were trimmed between a place and the oldest that is kept.

    0 with a server that does not count what was written (before Redis 7): then nobody knows.
    """
    if status.written is None or page.written is None:
        return 0
    return max(0, page.written - page.kept - status.written)


def _written(status: SinkStatus, page: EventPage, missed: int) -> int | None:
    """How many events had been written when the place was reached; None when that cannot be known.

    By the difference to the next page it is seen whether events were trimmed unread.
    """
    if page.written is None or len(page.events) < PAGE:
        return page.written  # all was read
    return None if status.written is None else status.written + missed + len(page.events)
