"""A task that is revoked and terminated, as Flower does it, takes its agent with it."""

import time
from pathlib import Path

from redis import Redis

from routing.embedded.private_server import PrivateServer
from routing.jobs.job import JobRequest, JobState
from tests.fleets.worker_fleet import fleet, task_of, until_state
from tests.programs.agent_book import Book, until_gone
from tests.servers.private_server import process_runs
from tests.waiting import wait_until

#: Seconds between SIGTERM and SIGKILL for an agent in this test.
GRACE = 1.0


def test_terminated_task_ends_its_agent_and_cancels_its_job(
    tmp_path: Path, redis_client: Redis, redis_server: PrivateServer
) -> None:
    """The agent, and a child that left its session, are gone soon; the job does not run again."""
    assert redis_client.ping()
    book, child = Book(tmp_path / "book"), tmp_path / "child"
    line = f"setsid sh -c 'trap \"\" TERM; echo $$ > {child}; sleep 600; sleep 600' & sleep 600"
    with fleet(
        tmp_path, redis_server.url,
        COALMINE_AGENT__KILL_GRACE_SECONDS=str(GRACE), COALMINE_JOB__MAX_ATTEMPTS="3",
        COALMINE_JOB__DRAIN_GRACE_SECONDS="0.1",
    ) as made:  # fmt: skip
        parts = made.coalmine()
        parts.templates.add("implementer", book.snapshot(line))
        made.worker("w1", pool="prefork", concurrency=2)
        made.beat()
        job = parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job
        agent = book.until_started(job)
        wait_until(lambda: child.exists() and child.read_text().strip(), description="the child runs")
        stray = int(child.read_text())
        task = task_of(parts, job)
        asked_at = time.monotonic()
        parts.app.control.revoke(task, terminate=True)
        until_gone(agent, timeout=GRACE + 1)
        until_gone(stray, timeout=max(0.1, asked_at + GRACE + 1 - time.monotonic()))
        done = until_state(parts, job, JobState.CANCELLED, timeout=10)
        assert "a revoked task" in done.cancel or "a revoked task" in done.reason
        wait_until(lambda: parts.agents.live() == [], description="the agent is finished too")
        after = parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job
        assert process_runs(book.until_started(after)), "the pool goes on"
        assert len(book.pids("start", job)) == 1


def test_job_of_a_terminated_task_runs_again_when_a_person_retries_it(
    tmp_path: Path, redis_client: Redis, redis_server: PrivateServer
) -> None:
    """At once and on the same worker, which drops what it was asked to drop and nothing else."""
    assert redis_client.ping()
    book = Book(tmp_path / "book")
    marker = tmp_path / "again"
    with fleet(
        tmp_path, redis_server.url,
        COALMINE_AGENT__KILL_GRACE_SECONDS="0.2", COALMINE_JOB__DRAIN_GRACE_SECONDS="0.1",
    ) as made:  # fmt: skip
        parts = made.coalmine()
        parts.templates.add("implementer", book.snapshot(f"[ -e {marker} ] || sleep 600"))
        made.worker("w1", pool="prefork", concurrency=2)
        made.beat()
        job = parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job
        agent, first = book.until_started(job), task_of(parts, job)
        parts.app.control.revoke(first, terminate=True)
        until_gone(agent, timeout=10)
        until_state(parts, job, JobState.CANCELLED, timeout=10)
        marker.touch()
        parts.jobs.retry(job, by="ada")
        until_state(parts, job, JobState.SUCCEEDED, timeout=10)
        assert len(book.pids("start", job)) == 2
        assert first in made.log("w1")
