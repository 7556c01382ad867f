"""Draining: a process that is to end has its turns end first, and their jobs given back.

A worker's warm shutdown lets its turns go on for a grace period and then drains. Flower, or `celery control`,
ends one prefork child with SIGTERM, and sends it twice: the pool's own handler raises SystemExit at the first
and lets the second kill the process at once, between a turn and its cleanup, so that what the agent started
would live on. So while such a child works on a job, the signal drains that job and the process ends after it.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from billiard import current_process
from celery.worker import state

from tasks.agents.turn.stop_signal import StopReason, StopSignal

#: Set when turns are to end, never cleared. Made before a prefork pool forks, so that its children see it.
_DRAINING = multiprocessing.get_context("fork").Event()


def drain_after(seconds: float) -> threading.Timer:
    """Begin to drain after a grace period in seconds; the timer does not keep the process alive."""
    timer = threading.Timer(seconds, _DRAINING.set)
    timer.daemon = True
    timer.start()
    return timer


def draining() -> bool:
    """Whether this worker, or the one that forked this process, wants its turns to end."""
    return _DRAINING.is_set()


def is_pool_child() -> bool:
    """Whether this process is one of a prefork pool, and not the worker itself."""
    return bool(current_process().name != "MainProcess")


@contextmanager
def ended_by_signal(stop: StopSignal) -> Iterator[None]:
    """For the time of the block SIGTERM sets `stop`; after it the signal has its usual effect."""
    if not is_pool_child() or threading.current_thread() is not threading.main_thread():
        yield  # the worker's own process, whose SIGTERM is a warm shutdown
        return
    was_signalled = False

    def end_turn(_number: int, _frame: FrameType | None) -> None:
        nonlocal was_signalled
        was_signalled = True
        stop.set(StopReason.DRAIN)

    before = signal.signal(signal.SIGTERM, end_turn)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        if was_signalled:
            os.kill(os.getpid(), signal.SIGTERM)


def end_process() -> None:
    """End this process of a worker, from any thread, so that its supervisor sees that it failed.

    The worker itself shuts down warmly and exits with 70; a pool's child ends by SIGTERM, as above, and the
    pool logs that and forks another.
    """
    if not is_pool_child():
        state.should_stop = os.EX_SOFTWARE  # type: ignore[assignment] # Celery compares it with None
    else:
        os.kill(os.getpid(), signal.SIGTERM)
