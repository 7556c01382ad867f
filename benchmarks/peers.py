"""Coalmine beside other task queues on the same server: to enqueue one job, and to work jobs that do nothing.

Each is set up as its documentation does it, without results, with a worker of one process. What they keep is
not the same: Coalmine writes a record, a draw and an event with each message, and a lease and an end when it
is worked; of the others some forget a message when it is fetched. A peer that is not installed is said:
`pip install -e '.[bench]'` has them all.
"""

import importlib
import os
import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from benchmarks.apps.plain import NO_OP
from benchmarks.end_to_end import worker_arguments
from benchmarks.fleet import MeasuredFleet, measured_fleet, plain_app, ratio, request, seconds
from benchmarks.results import Row, row
from benchmarks.workers import Processes, seconds_to_work, started, wait

NAME = "peers"

#: Passes, of which the median counts.
PASSES = 5

#: Jobs that each enqueues and works in one pass, and the passes and jobs of a quick run.
JOBS = 200
QUICK_PASSES, QUICK_JOBS = 3, 60

PEERS = ("dramatiq", "arq", "rq", "taskiq", "huey")


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """A queue that is measured."""

    name: str
    arguments: tuple[str, ...]  # of Python, for its worker
    send: Callable[[int], None]  # enqueues that many jobs, one after the other
    left: Callable[[], int]  # jobs that are not done


def rows(*, quick: bool) -> list[Row]:
    """Jobs a second of each, and how many times as many ours are."""
    passes, jobs = (QUICK_PASSES, QUICK_JOBS) if quick else (PASSES, JOBS)
    with measured_fleet() as site:
        sides = [_ours(site), _celery(site), *_installed(site)]
        enqueued = {side.name: list[float]() for side in sides}
        worked = {side.name: list[float]() for side in sides}
        with _workers(site, sides) as workers:
            for _ in range(passes):
                for side in sides:
                    sent: list[float] = []
                    took = seconds_to_work(workers[side.name], _timed(side, jobs, sent), side.left)
                    enqueued[side.name].append(sent[0] / jobs)
                    worked[side.name].append(took / jobs)
    return [*_table("enqueue", enqueued), *_table("no-op jobs worked", worked), *_missing(sides)]


def _timed(side: Side, jobs: int, sent: list[float]) -> Callable[[], None]:
    return lambda: sent.append(seconds(lambda: side.send(jobs)))


def _table(what: str, measured: dict[str, list[float]]) -> list[Row]:
    """Baselines are ours; the ratio of a peer's figure to it is how many times as fast the peer is."""
    ours = measured["coalmine"]
    found = []
    for name, taken in measured.items():
        rate = 1 / statistics.median(taken)
        baseline = rate / ratio(taken, ours) if name != "coalmine" else None
        found.append(row(f"peers: {what}: {name}", rate, unit="jobs/s", baseline=baseline))
    return found


def _missing(sides: list[Side]) -> list[Row]:
    there = {side.name for side in sides}
    return [row(f"peers: {name} is not installed", 0.0, unit="jobs/s") for name in PEERS if name not in there]


@contextmanager
def _workers(site: MeasuredFleet, sides: list[Side]) -> Iterator[dict[str, Processes]]:
    """A worker of each, which has worked a job."""
    with ExitStack() as stack:
        workers: dict[str, Processes] = {
            side.name: [stack.enter_context(started(site, side.name, side.arguments))] for side in sides
        }
        for side in sides:
            side.send(1)
            wait(lambda side=side: side.left() == 0, f"the worker of {side.name} works")  # type: ignore[misc]
        yield workers


def _ours(site: MeasuredFleet) -> Side:
    keys, redis = site.coalmine.keys, site.coalmine.redis

    def send(jobs: int) -> None:
        for number in range(jobs):
            site.coalmine.mailbox.enqueue(request(number))

    def left() -> int:
        return int(redis.zcard(keys("unclaimed"))) + int(redis.zcard(keys("leases")))

    arguments = tuple(worker_arguments("ours", "champion", "ours@bench"))
    return Side(name="coalmine", arguments=arguments, send=send, left=left)


def _celery(site: MeasuredFleet) -> Side:
    """With late acknowledgement, as a queue that may lose no work must."""
    task = plain_app(site.url).task(name=NO_OP, ignore_result=True, queue=NO_OP)(_nothing)
    redis = site.coalmine.redis

    def send(jobs: int) -> None:
        for number in range(jobs):
            task.delay(f"{number:016x}")

    def left() -> int:
        return int(redis.llen(NO_OP)) + int(redis.hlen("unacked"))

    arguments = tuple(worker_arguments("plain", NO_OP, "plain@bench"))
    return Side(name="celery", arguments=arguments, send=send, left=left)


def _nothing(_job: str) -> None:
    """A task that does nothing."""


def _installed(site: MeasuredFleet) -> list[Side]:
    """The peers that are there; their modules connect to the server that the environment names."""
    os.environ["COALMINE_REDIS_URL"] = site.url
    found = []
    for name in PEERS:
        try:
            peer = importlib.import_module(f"benchmarks.apps.{name}_peer")
        except ModuleNotFoundError:
            continue
        found.append(Side(name=name, arguments=peer.ARGUMENTS, send=peer.send, left=peer.left))
    return found
