"""A process's clock, compared with the server's again and again, so that a wrong one is seen in the log.

Leases, ticks and records go by the server's time, so a wrong clock harms little here. What it makes wrong are
times in logs, tokens and certificates of forges, and the pauses that forges ask for.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import version

import structlog

from routing.errors import UnavailableError
from routing.store.fleet.clock_store import ClockStore
from routing.store.redis.health import CLOCK_REMEDY, CLOCK_WARNING_SECONDS
from tasks.work.host_keeper import Chore

_log = structlog.get_logger(__name__)

#: Seconds between two looks.
LOOK_SECONDS = 10.0

#: A clock that is wrong is said again when it moves by more than this, in seconds.
MOVED_SECONDS = 1.0


class ClockWatch:
    """Reports one process's clock, version and queues to the store, and logs when the clock becomes wrong.

    It logs as well when the clock moves, and when it is right again.
    """

    def __init__(
        self, store: ClockStore, *, process: str, coalmine: str = "", queues: Sequence[str] = (),
        wall: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._store = store
        self._process = process
        self._coalmine = coalmine  # the version that this process runs
        self._queues = queues  # that it takes from
        self._wall = wall
        self._said: float | None = None  # how wrong it was when we last said so

    def look(self) -> None:
        """Compare once; while the server does not answer there is nothing to compare with."""
        with suppress(UnavailableError):
            self._look()

    def _look(self) -> None:
        ahead = self._store.ahead_seconds(self._wall)
        if abs(ahead) >= CLOCK_WARNING_SECONDS:
            self._say_wrong(ahead)
        elif self._said is not None:
            self._said = None
            _log.info("clock.right", process=self._process)
        self._store.report(self._process, ahead, version=self._coalmine, queues=self._queues)

    def _say_wrong(self, ahead: float) -> None:
        if self._said is not None and abs(ahead - self._said) < MOVED_SECONDS:
            return
        self._said = ahead
        _log.warning(
            "clock.wrong", process=self._process, ahead_of_redis_seconds=round(ahead, 1), remedy=CLOCK_REMEDY
        )


def clock_chore(store: ClockStore, process: str, queues: Sequence[str] = ()) -> Chore:
    """Looking at the clock of this process, at its start and every LOOK_SECONDS from then on."""
    watch = ClockWatch(store, process=process, coalmine=version("coalmine"), queues=queues)
    return Chore(name="clock", every_seconds=LOOK_SECONDS, do=watch.look)
