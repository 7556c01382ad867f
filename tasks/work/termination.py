"""A pool's child that is told to end: its agent is ended first, and its job is given back.

Flower, or `celery control`, ends a prefork child with SIGTERM, and sends it twice. The pool's own handler
raises SystemExit at the first and lets the second kill the process at once, between a turn and its cleanup:
what the agent started would live on. So while a job is worked on the signal ends the turn, and the process
ends behind it.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from billiard import current_process
from celery.worker import state

from tasks.agents.turn.stop_signal import StopReason, StopSignal


@contextmanager
def ended_by_signal(stop: StopSignal) -> Iterator[None]:
    """For the time of the block SIGTERM sets `stop`; behind it the signal has its usual effect."""
    if current_process().name == "MainProcess" or threading.current_thread() is not threading.main_thread():
        yield  # the worker's own process, whose SIGTERM is a warm shutdown
        return
    told = False

    def end_turn(_number: int, _frame: FrameType | None) -> None:
        nonlocal told
        told = True
        stop.set(StopReason.DRAIN)

    before = signal.signal(signal.SIGTERM, end_turn)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        if told:
            os.kill(os.getpid(), signal.SIGTERM)


def end_process() -> None:
    """End this process of a worker in any thread's name, so that whoever supervises it sees that it failed.

    The worker itself shuts down warmly and exits with 70; a pool's child ends by SIGTERM, as above, and the
    pool logs that and forks another.
    """
    if current_process().name == "MainProcess":
        state.should_stop = os.EX_SOFTWARE  # type: ignore[assignment] # Celery compares it with None
    else:
        os.kill(os.getpid(), signal.SIGTERM)
