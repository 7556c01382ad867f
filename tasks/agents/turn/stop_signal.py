"""Asking a running turn to end, from another thread, with a reason.

Set by the lease keeper (lease lost, cancel, stall, drain) and by a signal handler of the process; read by the
turn, whose wait it interrupts through a listener. There is no way back: a signal stays set.
"""

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
    """The first reason holds.

    Any thread may set it, and so may a signal handler in the thread that reads it.
    """

    def __init__(self) -> None:
        # Re-entrant: a signal handler may interrupt the thread that holds it.
        self._lock = threading.RLock()
        self._reason: StopReason | None = None
        self._listeners: list[Callable[[], None]] = []

    @property
    def reason(self) -> StopReason | None:
        """Why the turn is to end; None while it may go on."""
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
