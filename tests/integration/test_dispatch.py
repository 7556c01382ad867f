"""Pausing the fleet, two beats at once, and Celery's own tools on it."""

import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from routing.embedded.private_server import PrivateServer
from routing.events import JOB_FINISHED, JOB_QUEUED
from routing.jobs.job import JobRequest, JobState
from routing.templates.version import Snapshot
from tests.fleets.shop import shop
from tests.fleets.worker_fleet import ROOT, WorkerFleet, events_of, fleet, until_state
from tests.programs.agent_book import Book
from tests.waiting import run, wait_until


@pytest.fixture
def made(tmp_path: Path, redis_client: Redis, redis_server: PrivateServer) -> Iterator[WorkerFleet]:
    """A worker and beat."""
    assert redis_client.ping()
    with fleet(tmp_path, redis_server.url) as processes:
        processes.worker()
        processes.beat()
        yield processes


def test_a_paused_fleet_claims_nothing_until_it_is_resumed(made: WorkerFleet, tmp_path: Path) -> None:
    """What is queued stays queued, whatever messages there are; afterwards it runs once."""
    book = Book(tmp_path / "book")
    parts = made.coalmine()
    parts.templates.add("implementer", book.snapshot())
    parts.switch.pause("the tests are broken")
    jobs = [parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job for _ in range(3)]
    wait_until(lambda: parts.publisher.depth("champion") == 0, description="the messages are read")
    parts.publisher.publish(jobs[0], "champion", parts.jobs.find(jobs[0]).request.priority)
    wait_until(lambda: parts.publisher.depth("champion") == 0, description="one more message is read")
    assert {parts.jobs.find(job).state for job in jobs} == {JobState.QUEUED}
    assert book.pids("start") == []
    parts.switch.resume("repaired")
    for job in jobs:
        until_state(parts, job, JobState.SUCCEEDED)
    assert len(book.pids("start")) == 3


def test_two_beats_and_two_workers_do_everything_once(
    tmp_path: Path, redis_client: Redis, redis_server: PrivateServer
) -> None:
    """Each issue has one job, one run and one comment."""
    assert redis_client.ping()
    book = Book(tmp_path / "book")
    agent = book.snapshot("echo done >> done.txt").command or ""
    with shop(tmp_path, redis_server.url, agent) as made:
        made.fleet.worker("w2")
        made.fleet.beat("beat2")
        issues = [made.open_issue(number) for number in (3, 4)]
        wait_until(
            lambda: all(made.issue(issue).state == "closed" for issue in issues),
            description="both issues are closed",
        )
        for reference in issues:
            assert len(made.until_shown(reference).comments or ()) == 1
        jobs = made.parts.jobs.newest(most=10)
        assert sorted(job.request.issue for job in jobs) == [str(issue) for issue in issues]
        for job in jobs:
            assert len(book.pids("start", job.id)) == 1
            assert len(events_of(made.parts, job.id, JOB_QUEUED)) == 1
            assert len(events_of(made.parts, job.id, JOB_FINISHED)) == 1


def celery(made: WorkerFleet, *arguments: str) -> str:
    """What a command of Celery prints."""
    asked = [sys.executable, "-m", "celery", "-A", "tasks", *arguments]
    done = run(asked, cwd=ROOT, env=made.environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.long
def test_celerys_own_tools_know_the_fleet(made: WorkerFleet) -> None:
    """`inspect` lists the tasks, and Flower's command is there."""
    listed = celery(made, "inspect", "registered", "--timeout", "5")
    for name in ("work", "sweep", "harvest", "watch", "land", "poll", "dispatch", "ci", "notify"):
        assert f"tasks.{name}" in listed
    assert "Web based tool" in celery(made, "flower", "--help")


def test_a_worker_may_open_many_files(
    tmp_path: Path, redis_client: Redis, redis_server: PrivateServer
) -> None:
    """Its soft limit is raised as far as the hard one allows, within reason; its agents inherit that."""
    assert redis_client.ping()
    limit = tmp_path / "limit"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with fleet(tmp_path, redis_server.url) as processes:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, soft), hard))
        try:
            processes.worker()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        parts = processes.coalmine()
        parts.templates.add("implementer", Snapshot(prompt="work", command=f"ulimit -n > {limit}"))
        job = parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job
        until_state(parts, job, JobState.SUCCEEDED)
    assert int(limit.read_text()) == (min(hard, 65_536) if hard != resource.RLIM_INFINITY else 65_536)
