"""How many jobs one Redis and so many workers carry, and which of the two is busy first.

Workers of one process each, with a runner that does nothing in place of agents: what is measured is what a
fleet costs beside its agents. Processor time is counted for Redis and for the workers apart. From it follows
what a machine carries that has more cores than this one.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import psutil

from benchmarks.end_to_end import worker_arguments
from benchmarks.fleet import MeasuredFleet, measured_fleet, request
from benchmarks.work_done import server_seconds
from benchmarks.workers import seconds_to_work, started, wait

#: Jobs that are worked before it counts: connections, caches.
WARMING_JOBS = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Saturation:
    """What some workers did together."""

    workers: int
    jobs_a_second: float
    server: float  # seconds of processor of Redis, a job
    worker: float  # seconds of processor of all processes of workers, a job

    @property
    def server_carries(self) -> float:
        """Jobs a second at which one core is busy with Redis alone."""
        return 1 / self.server

    @property
    def cores_of_workers(self) -> float:
        """Cores of workers that keep one core of Redis busy."""
        return self.worker / self.server


def saturation(workers: Sequence[int], *, jobs: int) -> list[Saturation]:
    """Work so many no-op jobs with each number of workers, on one server."""
    with measured_fleet() as site:
        return [_with(site, number, jobs=jobs) for number in workers]


def _with(site: MeasuredFleet, number: int, *, jobs: int) -> Saturation:
    names = [f"s{number}-{each}@bench" for each in range(number)]
    keys, redis = site.coalmine.keys, site.coalmine.redis

    def send(count: int) -> None:
        site.coalmine.mailbox.enqueue_many([request(each) for each in range(count)])

    def left() -> int:
        return int(redis.zcard(keys("unclaimed"))) + int(redis.zcard(keys("leases")))

    with ExitStack() as stack:
        found = [
            stack.enter_context(started(site, name, worker_arguments("ours", "champion", name)))
            for name in names
        ]
        ping = site.coalmine.app.control.ping
        wait(lambda: len(ping(destination=names, timeout=0.5) or ()) == number, f"{number} workers answer")
        seconds_to_work(found, lambda: send(WARMING_JOBS), left)
        server, worker = server_seconds(site), sum(_seconds(each.pid) for each in found)
        taken = seconds_to_work(found, lambda: send(jobs), left)
        server, worker = server_seconds(site) - server, sum(_seconds(each.pid) for each in found) - worker
    return Saturation(workers=number, jobs_a_second=jobs / taken, server=server / jobs, worker=worker / jobs)


def _seconds(pid: int) -> float:
    """Seconds of processor of a worker and its pool."""
    process = psutil.Process(pid)
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(float(each.user + each.system) for each in times)
