"""A tick: short, idempotent, and run by one process at a time."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from threading import Event, Lock, Thread, Timer
from typing import Any

import structlog
from celery import Celery
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from routing.errors import UnavailableError
from routing.store.fleet.tick_store import TickEnd, TickStore, TickTurn
from tasks.work.host_keeper import Chore
from tasks.work.log_and_continue import LogAndContinue

_log = structlog.get_logger(__name__)

#: Seconds after which a tick whose process died is taken up by another.
TICK_LEASE_SECONDS = 10.0

#: Seconds for which a tick that goes on keeps others away; it may be one that hangs.
TICK_SECONDS = 120.0

#: Headers of a tick's message: when it was sent, by the server's clock, and for how long it is of use.
SENT_AT, USEFUL_SECONDS = "coalmine_sent_at", "coalmine_useful_seconds"

#: What an emptied store means.
EMPTIED = (
    "the store has lost what was in it: somebody emptied it, or it was started without its files. Jobs that "
    "ran are ended, and templates, versions, trials and switches are gone: restore a copy of its files"
)

#: Seconds for which no other process says that the store was emptied, and between two looks whether it was.
EMPTIED_SECONDS = 120.0
LOOK_SECONDS = 10.0

#: Seconds after which a request for a tick that has not begun is repeated.
ASKED_SECONDS = 5

#: Seconds between two requests of a process for the same tick: those of meanwhile are one, at the end.
REST_SECONDS = 0.1


def useful_until(headers: Mapping[str, Any] | None) -> float | None:
    """Until when, by the server's clock, a tick's message is of use: then the next one does its work.

    None for a message that does not say when it was sent. Celery's own `expires` compares the clocks of two
    machines, and drops every tick where they differ.
    """
    sent_at, useful = ((headers or {}).get(name) for name in (SENT_AT, USEFUL_SECONDS))
    if isinstance(sent_at, (int, float)) and isinstance(useful, (int, float)):
        return sent_at + useful
    return None


class Ticks:
    """Runs ticks under a lock of their name, so that two beats, or two workers, do the work once.

    The lock is a lease, renewed while the tick runs: the death of its process delays the next run by one
    lease, however long a tick may take. A tick must be idempotent: one that takes longer than TICK_SECONDS,
    or whose process was frozen, may be run by a second process at the same time.
    """

    def __init__(self, store: TickStore) -> None:
        self._store = store
        self._mark = ""  # of the store, as this process has seen it last

    def run_alone(
        self, name: str, tick: Callable[[], Any], *, lease_seconds: float = TICK_LEASE_SECONDS,
        until: float | None = None,
    ) -> Any:  # fmt: skip
        """Run the tick; when another process is at it, have that one run it once more, and return None.

        `lease_seconds` is how long the tick stands still when the process that runs it dies. After `until`,
        by the server's clock, nothing is done.
        """
        answer = None
        turn = self._store.begin(name, lease_seconds=lease_seconds, until=until)
        while turn is not None:
            end = partial(self._end, turn)
            try:
                with self._kept(turn, every_seconds=lease_seconds / 3):
                    answer = tick()
            except BaseException:
                end()
                raise
            turn = end(goes_on=True)
        return answer

    def _end(self, turn: TickTurn, *, goes_on: bool = False) -> TickTurn | None:
        """End a turn, unless it goes on; returns the turn of the next run that somebody wished for."""
        ended = self._store.end(turn, goes_on=goes_on)
        if ended is TickEnd.GOES_ON:
            return turn
        if ended is TickEnd.RAN_OUT:  # ticks are idempotent, so no harm was done
            reason = f"it took longer than {TICK_SECONDS:.0f} s, or its process stood still"
            _log.warning("tick.overran", tick=turn.name, reason=reason)
        if ended is TickEnd.RAN_OUT and goes_on:
            return self._store.begin(turn.name, lease_seconds=turn.lease_seconds, only_wished=True)
        return None

    @contextmanager
    def _kept(self, turn: TickTurn, *, every_seconds: float) -> Iterator[None]:
        """Renew the lease of a turn while the block runs, for TICK_SECONDS at most."""
        ended = Event()

        def renew() -> None:
            for _ in range(round(TICK_SECONDS / every_seconds)):
                if ended.wait(every_seconds):
                    return
                with suppress(UnavailableError):  # the lease lasts for two more tries
                    if not self._store.renew(turn):
                        return

        Thread(target=renew, name="tick-lease", daemon=True).start()
        try:
            yield
        finally:
            ended.set()

    def beat(self) -> bool:
        """A sweep begins: after a time without any, leases that ran out meanwhile are not lost yet.

        Returns whether nothing waits that the sweep looks after.
        """
        pulse = self._store.beat()
        self._compare(pulse.mark)
        return pulse.is_idle

    def look(self) -> None:
        """See which store it is; while it does not answer, nothing is known.

        A store that was never swept counts as swept now: a first sweep that is late takes no lease away.
        """
        with suppress(UnavailableError):
            self._compare(self._store.mark() or self._store.beat().mark)

    def _compare(self, mark: str) -> None:
        """A store with another mark has lost everything that was in it, which one process says."""
        if self._mark and mark and mark != self._mark and self.is_first("emptied", seconds=EMPTIED_SECONDS):
            _log.error("store.emptied", reason=EMPTIED)
        self._mark = mark or self._mark

    def ask(self, name: str) -> bool:
        """Whether a message for the tick is to be sent: not when one was sent a moment ago and waits.

        A run that begins after this call sees whatever happened before it, so one message does for many.
        """
        return self._store.ask(name, seconds=ASKED_SECONDS)

    def is_idle(self, name: str) -> bool:
        """Whether nothing waits that the tick looks after: sweep, watch or land; UnavailableError."""
        return self._store.is_idle(name)

    def is_first(self, name: str, *, seconds: float) -> bool:
        """Whether no process did this part of a tick in the last seconds; then this caller is to do it."""
        return self._store.is_first(name, seconds=int(seconds))


def store_chore(ticks: Ticks) -> Chore:
    """Looking which store it is: any process may be the one that saw it before it was emptied."""
    return Chore(name="store", every_seconds=LOOK_SECONDS, do=ticks.look)


def _later(seconds: float, step: Callable[[], None]) -> None:
    """Do a step in a thread of its own; it does not outlive the process."""
    timer = Timer(seconds, step)
    timer.daemon = True
    timer.start()


class TickRequests:
    """Sends tasks to the queue `control`, where beat would only have them run later, or to another one.

    A broker that does not take a message costs no more than the wait for beat. One a process, shared by its
    threads.
    """

    def __init__(
        self, app: Celery, ticks: Ticks, *, monotonic: Callable[[], float] = time.monotonic,
        later: Callable[[float, Callable[[], None]], None] = _later,
    ) -> None:  # fmt: skip
        self._app = app
        self._ticks = ticks
        self._monotonic = monotonic
        self._later = later
        self._lock = Lock()  # of the next two
        self._asked_at: dict[str, float] = {}
        self._waiting: set[str] = set()  # ticks that will be asked for at the end of their rest

    def ask(self, tick: str) -> None:
        """Have a tick run now; one run answers all requests that came before it began.

        A process that has just asked does so again in a moment, once for all that it is asked meanwhile.
        """
        with self._lock:
            now = self._monotonic()
            rests = self._asked_at.get(tick, -REST_SECONDS) + REST_SECONDS - now
            if rests <= 0:
                self._asked_at[tick] = now
            elif tick in self._waiting:
                return
            else:
                self._waiting.add(tick)
        if rests > 0:
            self._later(rests, partial(self._ask_at_last, tick))
        elif self._ticks.ask(tick.removeprefix("tasks.")):
            self.send(tick)

    def _ask_at_last(self, tick: str) -> None:
        with self._lock:
            self._waiting.discard(tick)
            self._asked_at.pop(tick, None)
        with LogAndContinue("tick.not_asked", tick=tick):  # its next time comes without it
            self.ask(tick)

    def send(self, task: str, *arguments: str, queue: str = "control") -> None:
        """Send a task now."""
        try:
            self._app.send_task(task, args=arguments, queue=queue, ignore_result=True, retry=False)
        except (KombuError, OSError, RedisError) as error:
            _log.warning("tick.not_sent", task=task, reason=str(error))
