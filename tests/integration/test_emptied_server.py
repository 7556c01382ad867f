"""Somebody empties the server under a working fleet: what was in it is lost, and the fleet works on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from routing.embedded.private_server import PrivateServer
from routing.jobs.job import JobRequest, JobState
from tests.fleets.worker_fleet import WorkerFleet, fleet, until_state
from tests.programs.agent_book import Book, until_gone
from tests.servers.private_server import private_server
from tests.waiting import wait_until


@pytest.fixture
def made(tmp_path: Path) -> Iterator[tuple[WorkerFleet, PrivateServer]]:
    """A server of the test's own, a worker for jobs, one for ticks, and beat."""
    with private_server(tmp_path) as server, fleet(tmp_path, server.url) as processes:
        processes.worker(queues="champion,canary")
        processes.worker("control", queues="control")
        processes.beat()
        yield processes, server


def test_an_emptied_server_ends_no_process(made: tuple[WorkerFleet, PrivateServer], tmp_path: Path) -> None:
    """Its agents are ended, as their jobs are gone; new work is done at once, ticks are sent and taken.

    One line says what happened, and nobody writes a trace.
    """
    processes, _ = made
    parts, book = processes.coalmine(), Book(tmp_path / "book")
    parts.templates.add("implementer", book.snapshot("sleep 600"))
    job = parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job
    agent = book.until_started(job)

    def swept_at() -> float:
        return float(parts.redis.hget(parts.keys("pulse"), "at") or 0)

    wait_until(swept_at, description="a sweep was made")
    parts.redis.flushall()
    emptied_at = parts.now()
    until_gone(agent, timeout=10)
    wait_until(lambda: swept_at() > emptied_at + 2, description="sweeps are made again", timeout=10)
    parts.templates.add("implementer", book.snapshot())
    following = parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job
    assert until_state(parts, following, JobState.SUCCEEDED, timeout=10).attempts == 1
    assert all(process.poll() is None for process in processes.processes.values())
    logs = {name: processes.log(name) for name in processes.processes}
    assert not [name for name, log in logs.items() if "Traceback" in log]
    assert sum(log.count("store.emptied") for log in logs.values()) == 1
