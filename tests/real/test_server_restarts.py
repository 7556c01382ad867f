"""A fleet under load while its server is killed and restarted again and again, at random moments."""

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from routing.embedded.private_server import PrivateServer
from routing.jobs.job import JobRequest, JobState
from tasks.composition.composition import Coalmine
from tests.fleets.worker_fleet import WorkerFleet, fleet, until_state
from tests.programs.agent_book import Book
from tests.servers.private_server import private_server
from tests.waiting import wait_until

#: How often the server is restarted, and the seed of the moments.
RESTARTS, SEED = 50, 17

#: Jobs that are added before each restart: more than there are places, so that messages are in hand.
JOBS = 3

#: Seconds after the server's return within which all is at work.
AT_WORK_SECONDS = 5.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PrivateServer]:
    """A server of the test's own, which writes each change to its append-only file."""
    with private_server(tmp_path) as own:
        yield own


@pytest.fixture(
    params=[
        pytest.param(pool, marks=pytest.mark.xdist_group(f"restarts-{pool}"))
        for pool in ("threads", "prefork", "solo")
    ]
)
def made(request: pytest.FixtureRequest, tmp_path: Path, server: PrivateServer) -> Iterator[WorkerFleet]:
    """A worker for jobs with the pool, one for ticks, and beat."""
    with fleet(tmp_path, server.url, COALMINE_JOB__MAX_ATTEMPTS="5") as processes:
        processes.worker(pool=request.param, concurrency=2, queues="champion,canary")
        processes.worker("control", queues="control")
        processes.beat()
        yield processes


def restart(server: PrivateServer, moments: random.Random) -> None:
    """End the server, by force or in order, and start it again after a moment."""
    os.kill(server.pid, moments.choice([signal.SIGKILL, signal.SIGTERM]))
    wait_until(lambda: not server.alive, description="the server is dead")
    server.stop()
    pass_time(moments.uniform(0.0, 1.0))
    server.start()


def pass_time(seconds: float) -> None:
    """Let a fleet work for a while."""
    ends = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > ends, description=f"{seconds:.1f} s have passed", timeout=60)


def enqueue(parts: Coalmine, template: str) -> str:
    """One more job."""
    return parts.mailbox.enqueue(JobRequest(template=template, task="work")).job


@pytest.mark.timeout(300)  # the moments between 50 restarts alone are a minute
def test_restarts_lose_nothing_and_pay_nothing_twice(
    made: WorkerFleet, server: PrivateServer, tmp_path: Path
) -> None:
    """No process ends, each job is done by one agent run, and each return is followed by work at once."""
    moments = random.Random(SEED)
    book, parts = Book(tmp_path / "book"), made.coalmine()
    lengths = [0.05, 0.3, 1.0]
    for number, seconds in enumerate(lengths):
        parts.templates.add(f"t{number}", book.snapshot(f"sleep {seconds}"))
    jobs: list[str] = []
    for number in range(RESTARTS):
        jobs += [enqueue(parts, f"t{moments.randrange(len(lengths))}") for _ in range(JOBS)]
        pass_time(moments.uniform(0.0, 1.5))
        restart(server, moments)
        wait_until(parts.redis.ping, description="the server answers again")
        before = len(book.pids("start"))
        if before < len(jobs):
            wait_until(
                lambda before=before: len(book.pids("start")) > before,  # type: ignore[misc] # bound now
                description=f"an agent begins after restart {number}",
                timeout=AT_WORK_SECONDS,
            )
    for job in jobs:
        assert until_state(parts, job, JobState.SUCCEEDED, timeout=120).attempts == 1
    assert sorted(pid for job in jobs for pid in book.pids("start", job)) == sorted(book.pids("start"))
    assert [len(book.pids("start", job)) for job in jobs] == [1] * len(jobs), "each was paid once"
    assert all(process.poll() is None for process in made.processes.values())
    for name in made.processes:
        assert "Traceback" not in made.log(name)
