"""Beat's schedule keeper: it sends ticks, and drops those that nobody takes, without a word for each of them.

Celery's own reads the wall clock, so that one that is set back stops all ticks until it has caught up. It
keeps what it sent in a file of pickles, and runs what somebody else wrote there. It keeps one connection for
good, waits up to half a minute between two attempts to make it, and writes a trace for every tick that it
could not send. Here a tick is due by a clock that nobody can set, and nothing is kept beyond the process: all
ticks are due at its start. The next tick does the work of those that were dropped.

The sweep is the tick of every second, and work that was pushed is looked at every fifth. While nothing waits
that they look after, most are left out: to ask whether anything does is one round trip, and a tick takes
several, and two processes.
"""

import time
from collections.abc import Callable
from typing import Any

import structlog
from celery.beat import Scheduler

from routing.errors import CoalmineError
from tasks.broker import LAND, SWEEP, WATCH
from tasks.broker_faults import is_servers
from tasks.work.outage import BROKER
from tasks.work.tick import SENT_AT

_log = structlog.get_logger(__name__)

#: The name under which beat speaks of its waiting.
PART = "beat"

#: Seconds for which ticks may rest. Two sweeps that are five seconds apart are an outage: see `_lease.lua`.
REST_SECONDS = {SWEEP: 2.5, WATCH: 55.0, LAND: 55.0}


class PatientScheduler(Scheduler):
    """Outlives its broker; `app.conf.beat_scheduler` names it. The first tick that is taken says so."""

    #: None: a tick takes a connection from the application's pool, which makes a new one when that is lost.
    producer: Any = None

    #: Seconds since the epoch by the server's clock, or an error while it does not answer; None: nobody asks.
    server_time: Callable[[], float] | None = None

    #: Whether nothing waits for the sweep, the watch or the land tick, by its name; or an error while the
    #: server does not answer. None: nobody asks.
    is_idle: Callable[[str], bool] | None = None

    def __init__(self, *args: Any, monotonic: Callable[[], float] = time.monotonic, **kwargs: Any) -> None:
        self._monotonic = monotonic
        self._due: dict[
            str, float
        ] = {}  # when each entry is due next, by `monotonic`; at once if it is not in
        self._sent_at: dict[str, float] = {}  # when those that may rest were sent last, by `monotonic`
        self._faulty: set[str] = set()  # entries that a fault of the program kept from being sent last time
        super().__init__(*args, **kwargs)

    def tick(self, *_theirs: Any, **_given: Any) -> float:
        """Send what is due; returns the seconds until it is to be called again."""
        now = self._monotonic()
        entries: list[Any] = list(self.schedule.values())
        due = [entry for entry in entries if self._is_due(entry, now)]
        for entry in due:
            interval = float(entry.schedule.seconds)
            planned = self._due.get(entry.name, now) + interval
            self._due[entry.name] = planned if now < planned <= now + interval else now + interval
        due = [entry for entry in due if not self._rests(entry, now)]
        sent_at = self._time() if due else None
        for entry in due:
            self.apply_entry(entry, sent_at=sent_at)
        waits = [self._due[entry.name] - self._monotonic() for entry in entries]
        return max(0.0, min([*waits, float(self.max_interval or 1)]))

    def _is_due(self, entry: Any, now: float) -> bool:
        """Whether a tick is to be sent.

        One that is further away than its interval is due as well: even this clock goes back, for a process
        that is moved to a machine that was started later.
        """
        due = self._due.get(entry.name, now)
        return due <= now or due - now > float(entry.schedule.seconds)

    def _rests(self, entry: Any, now: float) -> bool:
        """Whether a tick is left out: the last one is not long ago, and it would find nothing."""
        task = str(entry.task)
        if task not in REST_SECONDS:
            return False
        try:
            is_soon = 0 <= now - self._sent_at.get(task, now + 1) < REST_SECONDS[task]
            if is_soon and self.is_idle is not None and self.is_idle(task.removeprefix("tasks.")):
                return True
        except CoalmineError:  # it is sent, and finds out
            pass
        self._sent_at[task] = now
        return False

    def apply_entry(self, entry: Any, producer: Any = None, *, sent_at: float | None = None) -> None:
        """Send a tick. Never raises."""
        options: dict[str, Any] = dict(entry.options)
        if sent_at is not None:
            options["headers"] = {**options.get("headers", {}), SENT_AT: sent_at}
        try:
            self.send_task(entry.task, entry.args, entry.kwargs, producer=producer, **options)
        except Exception as error:  # noqa: BLE001 - whatever it is: beat outlives its server, and other ticks
            if is_servers(error):
                BROKER.begins(PART, error)
            elif entry.name not in self._faulty:
                self._faulty.add(entry.name)
                _log.error("tick.fault", tick=entry.name, exc_info=error)
        else:
            self._faulty.discard(entry.name)
            BROKER.ends(PART)

    def _time(self) -> float | None:
        """The server's time; None when it does not answer: then the ticks say nothing of their age."""
        try:
            return None if self.server_time is None else self.server_time()
        except CoalmineError:  # those who need the store say that it is away
            return None
