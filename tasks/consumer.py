"""The part of a Celery worker that talks to the broker: it waits for a server that is away, and says so once.

Celery's own waits up to half a minute between two attempts when the server was away for long, logs each
attempt, takes a server that lets it in for one that serves it, and ends the worker at an error that it does
not know. A fleet is to be at work within seconds of the server's return, whatever happened to the server.

A mistake of the program's must not look like a server that is away: it is logged with its trace, tried again
a few times, and then ends the worker, so that its supervisor and people see it.

Events of tasks wait a moment for others to be sent with: to send three for each job costs a worker more time
than all else that it does with a message. Celery sends them in its loop's next turn.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import structlog
from celery import signals
from celery.concurrency.prefork import TaskPool as ProcessPool
from celery.concurrency.thread import TaskPool as ThreadPool
from celery.worker import state
from celery.worker.consumer import Consumer

from tasks.broker_connection import CONNECT_SECONDS, HintQoS, put_back
from tasks.broker_faults import is_servers
from tasks.places import Places
from tasks.pool_hearing import hear_pool
from tasks.work.outage import BROKER

#: Seconds before the second attempt to connect, what each further one waits longer, and the longest wait.
FIRST_WAIT_SECONDS, LONGER_SECONDS, LONGEST_WAIT_SECONDS = 0.2, 0.2, 1.0

#: Seconds for which a connection must have served for the next wait to be the first one again.
SHORT_SECONDS = 5.0

#: Faults of the program, one after the other, at which the worker ends.
MOST_FAULTS = 5

#: Seconds for which an event of a task waits for others. Celery sends them before when they are 24.
EVENTS_SECONDS = 0.05

#: A list that nobody writes to: taking from it changes nothing, and is refused as any write is.
PROBE = "probe"

#: Seconds after a job in a thread has ended at which the loop looks whether its place is free.
LOOK_SECONDS = (0.01, 0.1)

#: The name under which all of this speaks of its waiting.
PART = "consumer"

_log = structlog.get_logger(__name__)


class PatientConsumer(Consumer):
    """Tries until the server serves it, however long it takes; `app.conf.worker_consumer` names it."""

    hub: Any  # this and the next are not in the stubs of Celery
    event_dispatcher: Any

    #: Its places are minded: those of threads and of processes, not the one of the pool `solo`, where this
    #: thread works itself.
    _has_places = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.connection_errors = (Exception,)  # `_lost` tells them apart
        self._waits = _waits()
        self._ready_at = 0.0  # by the monotonic clock, when messages were last waited for
        self._faults = 0  # of the program, since the last connection that served for a while
        self._sends_events = False  # whether what waits will be sent without being asked for
        self._places = Places(
            lambda: int(self.pool.num_processes),
            held=_held,
            begun=lambda: int(state.all_total_count[0]),
        )
        self._has_places = isinstance(self.pool, (ThreadPool, ProcessPool))
        if isinstance(self.pool, ThreadPool):
            signals.task_postrun.connect(self._tell_of_place)

    def ensure_connected(self, conn: Any) -> Any:
        """Return the connection when the server serves it; WorkerShutdown when the worker is to end."""
        while True:
            try:
                connected = conn.ensure_connection(max_retries=1, interval_start=0, interval_max=0)
                _probe(conn)
            except Exception as error:
                if not is_servers(error):
                    raise
                BROKER.begins(PART, error)
                with suppress(Exception):
                    conn.collect(socket_timeout=CONNECT_SECONDS)
                _pause(next(self._waits))
            else:
                self.first_connection_attempt = False
                return connected

    def on_ready(self) -> None:
        """Messages are waited for; those that were in hand when the connection was lost are among them."""
        if self.connection is not None:
            put_back(self.connection.default_channel)
        self._mind_places()
        self._ready_at = time.monotonic()
        self._sends_events = False  # the loop may have forgotten
        BROKER.ends(PART)
        super().on_ready()

    def on_send_event_buffered(self) -> Any:
        """An event of a task waits, says any thread. Two at once may have them sent sooner, and lose none."""
        if self.hub is not None and not self._sends_events:
            self._sends_events = True
            self.hub.call_soon(self.hub.call_later, EVENTS_SECONDS, self._send_events)

    def stop(self) -> None:
        """Take no more messages; events that wait are sent before the connection goes."""
        with suppress(Exception):
            self._send_events()
        super().stop()

    def _send_events(self) -> None:
        self._sends_events = False
        if self.event_dispatcher is not None:
            self.event_dispatcher.flush()

    def _mind_places(self) -> None:
        """Have the channel of messages ask for none while all places are busy."""
        ours: Any = self
        if self._has_places and isinstance(qos := ours.task_consumer.channel.qos, HintQoS):
            qos.places = self._places

    def _tell_of_place(self, **_given: Any) -> None:
        """A thread has done its job: have the loop look for the next message, if it found no room before."""
        if self.hub is not None and self._places.turned_away:
            self._places.turned_away = False
            self.hub.call_soon(self._look_soon)

    def _look_soon(self) -> None:
        """Look now, and when the job is surely off the list of those that are held."""
        for seconds in LOOK_SECONDS:
            self.hub.call_later(seconds, bool)

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """The next connection is made by `ensure_connected`."""
        self._lost(exc)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """The same; what is left of this connection is closed.

        Celery forgets the jobs then of whose begin its pool has not heard, although a process may have them,
        and takes that process for idle: it would be given another job, which waits as long as the first runs.
        """
        hear_pool(self.pool)
        self._lost(exc)
        super().on_connection_error_after_connected(exc)

    def _lost(self, error: Exception) -> None:
        """Say it; wait where the server serves the probe, and refuses again and again what comes after it.

        Raises a fault of the program's that came too often: Celery ends the worker with a failure.
        """
        if time.monotonic() - self._ready_at > SHORT_SECONDS:
            self._faults = 0
        if is_servers(error):
            BROKER.begins(PART, error)
        else:
            self._faults += 1
            _log.error("consumer.fault", times=self._faults, most=MOST_FAULTS, exc_info=error)
            if self._faults >= MOST_FAULTS:
                raise error
        if time.monotonic() - self._ready_at > SHORT_SECONDS:
            self._waits = _waits()
        else:
            _pause(next(self._waits))


def _held() -> int:
    """Jobs that this worker has; after a lost connection Celery lists those that run as active alone."""
    return max(len(state.reserved_requests), len(state.active_requests))


def _probe(conn: Any) -> None:
    """Raise what the server says to those who take messages: it may let them in and refuse that."""
    client = getattr(conn.default_channel, "client", None)
    if client is not None:  # another broker's channel has none, and its connecting is all that we can try
        client.rpop(PROBE)


def _waits() -> Iterator[float]:
    wait = FIRST_WAIT_SECONDS
    while True:
        yield wait
        wait = min(wait + LONGER_SECONDS, LONGEST_WAIT_SECONDS)


def _pause(seconds: float) -> None:
    """Wait; WorkerShutdown when the worker is to shut down meanwhile."""
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        state.maybe_shutdown()
        time.sleep(min(left, 0.2))


def _is_news(record: logging.LogRecord) -> bool:
    """Whether Celery's consumer says more than that the connection was lost, which we have said."""
    return "Connection to broker lost" not in record.getMessage()


logging.getLogger("celery.worker.consumer.consumer").addFilter(_is_news)
