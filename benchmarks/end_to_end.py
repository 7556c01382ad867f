"""Working no-op jobs: Coalmine (claim, finish, event) against plain Celery with late acknowledgement.

Two workers of one process each serve either side, with the same options: task events on (Flower shows both),
one message fetched at a time (as for long tasks), nothing logged below warnings. They are stopped while their
queue is filled, so that what is measured is the working of it and not the filling.
"""

import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from celery import Celery

from benchmarks.apps.plain import NO_OP
from benchmarks.fleet import MeasuredFleet, measured_fleet, plain_app, ratio, request
from benchmarks.results import Row, row

NAME = "end_to_end"

#: Passes, of which the median counts.
PASSES = 5

#: Workers of either side, each with one process in its pool.
WORKERS = 2

#: Seconds between two looks at a queue that is being worked off, and the longest wait for anything.
LOOK_SECONDS = 0.005
PATIENCE_SECONDS = 60.0

_ROOT = Path(__file__).parent.parent

Processes = Sequence[subprocess.Popen[bytes]]


def rows(*, quick: bool) -> list[Row]:
    """Jobs a second of both, and how many times as many ours are."""
    jobs = 300 if quick else 1000
    with (
        measured_fleet() as site,
        _workers(site, "ours", site.coalmine.app, "champion") as ours,
        _workers(site, "plain", plain_app(site.url), NO_OP) as plain,
    ):
        _pass(site, ours, plain, jobs=100)  # connections, caches
        passes = [_pass(site, ours, plain, jobs=jobs) for _ in range(PASSES)]
    our_seconds, plain_seconds = (list(column) for column in zip(*passes, strict=True))
    rate, plain_rate = 1 / statistics.median(our_seconds), 1 / statistics.median(plain_seconds)
    times = ratio(our_seconds, plain_seconds)
    return [
        row("end to end, no-op: jobs a second", rate, unit="jobs/s", baseline=plain_rate),
        row(
            "end to end, no-op: speed against plain Celery", times, unit="times", target=0.8, better="higher"
        ),
    ]


def _pass(site: MeasuredFleet, ours: Processes, plain: Processes, *, jobs: int) -> tuple[float, float]:
    """Seconds a job, of either side; the other side's workers wait meanwhile."""
    keys, redis = site.coalmine.keys, site.coalmine.redis
    app = plain_app(site.url)

    def send_ours() -> None:
        site.coalmine.mailbox.enqueue_many([request(number) for number in range(jobs)])

    def send_plain() -> None:
        with app.producer_pool.acquire(block=True) as producer:
            for number in range(jobs):
                app.send_task(NO_OP, [f"{number:016x}"], queue=NO_OP, ignore_result=True, producer=producer)

    def ours_left() -> int:
        return int(redis.zcard(keys("unclaimed"))) + int(redis.zcard(keys("leases")))

    def plain_left() -> int:
        return int(redis.llen(NO_OP)) + int(redis.hlen("unacked"))

    return _worked(ours, send_ours, ours_left) / jobs, _worked(plain, send_plain, plain_left) / jobs


def _worked(workers: Processes, send: Callable[[], None], left: Callable[[], int]) -> float:
    """Seconds from the moment when the workers go on until nothing is left to do."""
    _signal(workers, signal.SIGSTOP)
    try:
        send()
    finally:
        started = time.perf_counter()
        _signal(workers, signal.SIGCONT)
    _wait(lambda: left() == 0, "the queue is worked off")
    return time.perf_counter() - started


def _signal(workers: Processes, number: int) -> None:
    for worker in workers:
        os.killpg(worker.pid, number)


@contextmanager
def _workers(site: MeasuredFleet, module: str, app: Celery, queue: str) -> Iterator[Processes]:
    """Real workers that answer; they are ended with the block."""
    names = [f"{module}{number}@bench" for number in range(WORKERS)]
    with ExitStack() as stack:
        started = [stack.enter_context(_worker(site, module, queue, name)) for name in names]
        _wait(
            lambda: len(app.control.ping(destination=names, timeout=0.5) or ()) == WORKERS,
            f"the workers {', '.join(names)} answer",
        )
        yield started


@contextmanager
def _worker(site: MeasuredFleet, module: str, queue: str, name: str) -> Iterator[subprocess.Popen[bytes]]:
    with (site.folder / f"{name}.log").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", f"benchmarks.apps.{module}", "worker", "-n", name,
             "-Q", queue, "-P", "prefork", "-c", "1", "-E", "-l", "WARNING",
             "--without-gossip", "--without-mingle"],
            cwd=_ROOT,
            env=os.environ | {"COALMINE_REDIS_URL": site.url, "COALMINE_LOG_LEVEL": "warning"},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(done: Callable[[], bool], description: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not done():
        if time.monotonic() > deadline:
            message = f"waited {PATIENCE_SECONDS:g} s in vain until {description}"
            raise TimeoutError(message)
        time.sleep(LOOK_SECONDS)
