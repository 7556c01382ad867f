"""A warm shutdown: turns go on for the grace period, then their jobs go back to the queue."""

from importlib.metadata import version
from pathlib import Path

import pytest
from redis import Redis

from console.decisions.worker_decisions import drain_worker
from console.details.fleet_lines import read_fleet_lines
from routing.embedded.private_server import PrivateServer
from routing.events import JOB_FINISHED, JOB_RETURNED
from routing.jobs.job import JobRequest, JobState
from tests.fleets.worker_fleet import events_of, fleet, until_state
from tests.programs.agent_book import Book, until_gone
from tests.waiting import until_ended, wait_until

#: Seconds for which a worker that shuts down lets turns go on.
GRACE = 1.0


@pytest.mark.parametrize("pool", ["threads", "prefork", "solo"])
def test_a_warm_shutdown_gives_the_job_back(
    tmp_path: Path, redis_client: Redis, redis_server: PrivateServer, pool: str
) -> None:
    """The worker is soon gone, the attempt does not count, and the next worker finishes the job."""
    assert redis_client.ping()
    first_done = tmp_path / "first-done"
    book = Book(tmp_path / "book")
    with fleet(tmp_path, redis_server.url, COALMINE_JOB__DRAIN_GRACE_SECONDS=str(GRACE)) as made:
        parts = made.coalmine()
        line = f"if [ ! -e {first_done} ]; then touch {first_done}; sleep 600; fi"
        parts.templates.add("implementer", book.snapshot(line))
        made.worker("w1", pool=pool)
        job = parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job
        agent = book.until_started(job)
        made.shut_down("w1", timeout=GRACE + 8)
        until_gone(agent, timeout=0.5)
        returned = parts.jobs.find(job)
        assert (returned.state, returned.attempts) == (JobState.QUEUED, 0)
        assert len(events_of(parts, job, JOB_RETURNED)) == 1
        made.worker("w2", pool=pool)
        made.beat()
        done = until_state(parts, job, JobState.SUCCEEDED)
        assert done.attempts == 1
        assert len(book.pids("end", job)) == 1
        assert len(events_of(parts, job, JOB_FINISHED)) == 1


def test_a_turn_that_ends_within_the_grace_period_is_not_cut_short(
    tmp_path: Path, redis_client: Redis, redis_server: PrivateServer
) -> None:
    """Its result is reported before the worker is gone."""
    assert redis_client.ping()
    book = Book(tmp_path / "book")
    with fleet(tmp_path, redis_server.url, COALMINE_JOB__DRAIN_GRACE_SECONDS="10") as made:
        parts = made.coalmine()
        parts.templates.add("implementer", book.snapshot("sleep 2"))
        made.worker("w1")
        job = parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job
        book.until_started(job)
        made.shut_down("w1", timeout=12)
        assert parts.jobs.find(job).state is JobState.SUCCEEDED
        assert len(book.pids("end", job)) == 1


@pytest.mark.long
def test_a_person_drains_a_worker_by_its_name(
    tmp_path: Path, redis_client: Redis, redis_server: PrivateServer
) -> None:
    """It says which queues it takes from and which Coalmine it is; one word ends it, with its turns."""
    assert redis_client.ping()
    book = Book(tmp_path / "book")
    with fleet(tmp_path, redis_server.url, COALMINE_JOB__DRAIN_GRACE_SECONDS=str(GRACE)) as made:
        parts = made.coalmine()
        parts.templates.add("implementer", book.snapshot("sleep 600"))
        process = made.worker("w1", queues="champion,canary")
        job = parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job
        book.until_started(job)
        wait_until(lambda: bool(parts.clocks.reports()), description="the worker has reported", timeout=20)
        lines = read_fleet_lines(parts)
        (line,) = lines.processes
        assert line.report is not None
        assert (line.name, line.report.queues) == ("w1@test", ("champion", "canary"))
        assert lines.versions == [version("coalmine")]
        assert [each.id for each in line.jobs] == [job]
        drain_worker(parts, "w1@test")
        until_ended(process, timeout=GRACE + 15)
        returned = parts.jobs.find(job)
        assert (returned.state, returned.attempts) == (JobState.QUEUED, 0)
