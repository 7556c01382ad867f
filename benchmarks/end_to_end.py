"""Working no-op jobs: Coalmine (claim, finish, event) against plain Celery with late acknowledgement.

Two workers of one process each serve either side, with the same options: task events on (Flower shows both),
one message fetched at a time (as for long tasks), nothing logged below warnings. They are stopped while their
queue is filled, so that what is measured is the working of it and not the filling.
"""

import statistics
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from celery import Celery

from benchmarks.apps.plain import NO_OP
from benchmarks.fleet import MeasuredFleet, measured_fleet, plain_app, ratio, request
from benchmarks.results import Row, row
from benchmarks.workers import Processes, seconds_to_work, started, wait

NAME = "end_to_end"

#: Passes, of which the median counts.
PASSES = 5

#: Workers of either side, each with one process in its pool.
WORKERS = 2


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

    return seconds_to_work(ours, send_ours, ours_left) / jobs, seconds_to_work(
        plain, send_plain, plain_left
    ) / jobs


@contextmanager
def _workers(site: MeasuredFleet, module: str, app: Celery, queue: str) -> Iterator[Processes]:
    """Real workers that answer; they are ended with the block."""
    names = [f"{module}{number}@bench" for number in range(WORKERS)]
    with ExitStack() as stack:
        workers = [
            stack.enter_context(started(site, name, worker_arguments(module, queue, name))) for name in names
        ]
        wait(
            lambda: len(app.control.ping(destination=names, timeout=0.5) or ()) == WORKERS,
            f"the workers {', '.join(names)} answer",
        )
        yield workers


def worker_arguments(module: str, queue: str, name: str) -> list[str]:
    """A worker of one process that serves an application of `benchmarks.apps`."""
    return [
        "-m", "celery", "-A", f"benchmarks.apps.{module}", "worker", "-n", name, "-Q", queue, "-P", "prefork",
        "-c", "1", "-E", "-l", "WARNING", "--without-gossip", "--without-mingle",
    ]  # fmt: skip
