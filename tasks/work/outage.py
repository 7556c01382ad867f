"""A server that is away, said in one line, and its return in another, however many parts of a process notice.

Parts are those that ask again until they are answered: the broker's consumer, the lease keeper, beat. The
first one that fails says so, and the last one that is answered says that the server is back.
"""

import threading
import time
from collections.abc import Callable

import structlog

_log = structlog.get_logger(__name__)


class Outage:
    """What one process knows of one server. Safe to share between threads; logs `SERVER.away`, `SERVER.back`.

    `is_silent`: the process says nothing, as another one does: a child of a pool, beside its worker.
    """

    def __init__(
        self, server: str, *, is_silent: bool = False, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._server = server
        self._is_silent = is_silent
        self._monotonic = monotonic
        self._waiting: set[str] = set()  # parts that were not answered
        self._since = 0.0
        self._lock = threading.Lock()

    def begins(self, part: str, reason: object) -> None:
        """A part was refused, or got no answer."""
        with self._lock:
            is_first = not self._waiting
            self._waiting.add(part)
            if is_first:
                self._since = self._monotonic()
        if is_first and not self._is_silent:
            _log.warning(f"{self._server}.away", reason=" ".join(str(reason).split()))

    def ends(self, part: str) -> None:
        """A part was answered, or waits no longer."""
        with self._lock:
            was_waiting = part in self._waiting
            self._waiting.discard(part)
            is_last = was_waiting and not self._waiting
            seconds = self._monotonic() - self._since
        if is_last and not self._is_silent:
            _log.info(f"{self._server}.back", seconds=round(seconds, 1))


#: What this process knows of its broker: one object for all that is said of it.
BROKER = Outage("broker")
