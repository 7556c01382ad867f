"""Asking a running turn to end, from another thread, with a reason."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum


class StopReason(StrEnum):
    """Why a turn is to end before its time."""

    CANCEL = "cancel"  # a person, or the forge, wants the job no more
    LEASE_LOST = "lease_lost"  # another worker may have the job: nothing more may be written
    STALL = "stall"  # the watchdog found it silent for too long
    DRAIN = "drain"  # this worker shuts down: the job goes back to the queue


class StopSignal:
    """Set once; the first reason holds. Whoever waits is called at once."""

    def __init__(self) -> None:
        # Re-entrant: a signal handler may interrupt the thread that holds it.
        self._lock = threading.RLock()
        self._reason: StopReason | None = None
        self._listeners: list[Callable[[], None]] = []

    @property
    def reason(self) -> StopReason | None:
        """The reason, None while nobody has asked."""
        return self._reason

    def set(self, reason: StopReason) -> None:
        """Ask the turn to end. Listeners run in this thread and must be short."""
        with self._lock:
            if self._reason is None:
                self._reason = reason
                for listener in self._listeners:
                    listener()

    @contextmanager
    def calling(self, listener: Callable[[], None]) -> Iterator[None]:
        """Call `listener` when the signal is set, at once if it is; never after the block has been left."""
        with self._lock:
            self._listeners.append(listener)
            if self._reason is not None:
                listener()
        try:
            yield
        finally:
            with self._lock:
                self._listeners.remove(listener)
