"""What the processes of a worker's pool have said when nobody listened: which jobs they began and ended.

A worker hears its pool in the loop in which it takes messages. While its connection is lost, and made again,
it is not in that loop; and before it goes back, Celery drops the jobs of whose begin it has not heard
(`AsynPool.flush`). A process that has one is free in its eyes from then on.
"""

import select
import time
from contextlib import suppress
from typing import Any

from celery.concurrency.asynpool import AsynPool

#: Seconds for which a process that was given a job is listened to until it says that it has begun. It was
#: given one when it was free, so that this takes milliseconds.
HEARING_SECONDS = 1.0

#: Seconds between two looks.
LOOK_SECONDS = 0.01


def hear_pool(pool: Any) -> None:
    """Take in what all processes have said, and wait for those that were just given a job to say so.

    For the thread of the worker's loop, while it is not in that loop. Pools without processes say nothing.
    """
    processes: Any = getattr(pool, "_pool", None)
    if not (_is_heard(processes) and hasattr(processes, "handle_result_event")):
        return
    ends = time.monotonic() + HEARING_SECONDS
    while time.monotonic() < ends:
        ready = _readable(list(processes._fileno_to_outq))  # noqa: SLF001 - Celery has no other name
        for descriptor in ready:
            processes.handle_result_event(descriptor)  # reads one message, which is written in one piece
        if not ready and not _is_silent(processes):
            return
        if not ready:
            time.sleep(LOOK_SECONDS)


def _is_heard(processes: object) -> bool:
    """Whether it is the pool of processes that is heard in the worker's loop."""
    return isinstance(processes, AsynPool)


def _readable(descriptors: list[int]) -> list[int]:
    """Those with something to be read, and not closed at the other end."""
    looker = select.poll()
    for descriptor in descriptors:
        with suppress(OSError, ValueError):
            looker.register(descriptor, select.POLLIN)
    return [descriptor for descriptor, events in looker.poll(0) if events & select.POLLIN]


def _is_silent(processes: Any) -> bool:
    """Whether a living process has a job, or is being given one, of whose begin it has said nothing."""
    return any(
        not job._accepted and job._write_to is not None and job._write_to._is_alive()  # noqa: SLF001 - the same
        for job in list(processes._cache.values())  # noqa: SLF001 - the same
    )
