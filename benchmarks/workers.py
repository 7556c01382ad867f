"""Processes whose work is measured: started, stopped while their queue is filled, timed, and ended."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.fleet import MeasuredFleet

#: Seconds between two looks at a queue that is being worked off, and the longest wait for anything.
LOOK_SECONDS = 0.005
PATIENCE_SECONDS = 120.0

_ROOT = Path(__file__).parent.parent

Processes = Sequence[subprocess.Popen[bytes]]


@contextmanager
def started(site: MeasuredFleet, name: str, arguments: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Python with these arguments, in a process group of its own that ends with the block."""
    with (site.folder / f"{name}.log").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=_ROOT,
            env=os.environ | {"COALMINE_REDIS_URL": site.url, "COALMINE_LOG_LEVEL": "warning"},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def seconds_to_work(workers: Processes, send: Callable[[], None], left: Callable[[], int]) -> float:
    """Seconds from the moment when the workers go on, after `send`, until nothing is left to do."""
    _signal(workers, signal.SIGSTOP)
    try:
        send()
    finally:
        begun = time.perf_counter()
        _signal(workers, signal.SIGCONT)
    wait(lambda: left() == 0, "the queue is worked off")
    return time.perf_counter() - begun


def wait(done: Callable[[], bool], description: str) -> None:
    """Wait for a condition; TimeoutError after PATIENCE_SECONDS."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not done():
        if time.monotonic() > deadline:
            message = f"waited {PATIENCE_SECONDS:g} s in vain until {description}"
            raise TimeoutError(message)
        time.sleep(LOOK_SECONDS)


def _signal(workers: Processes, number: int) -> None:
    for worker in workers:
        os.killpg(worker.pid, number)
