"""Workers that are killed or frozen: no work is lost, nothing is done twice, no agent lives on."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from routing.embedded.private_server import PrivateServer
from routing.events import JOB_FINISHED, JOB_LEASE_EXPIRED
from routing.jobs.job import JobRequest, JobState
from tests.fleets.worker_fleet import WorkerFleet, events_of, fleet, until_state
from tests.programs.agent_book import HANG_AT_FIRST, Book, until_gone
from tests.servers.private_server import process_runs
from tests.waiting import wait_until

#: Seconds of a lease in these tests.
LEASE = 2.0


@pytest.fixture
def made(tmp_path: Path, redis_client: Redis, redis_server: PrivateServer) -> Iterator[WorkerFleet]:
    """A fleet with short leases and no process yet."""
    assert redis_client.ping()
    settings = {"COALMINE_TIMES__LEASE_SECONDS": str(LEASE), "COALMINE_JOB__MAX_ATTEMPTS": "3"}
    with fleet(tmp_path, redis_server.url, **settings) as processes:
        yield processes


@pytest.fixture
def book(tmp_path: Path) -> Book:
    """What the agents of a test did."""
    return Book(tmp_path / "book")


@pytest.mark.parametrize("pool", [pytest.param("threads", marks=pytest.mark.long), "prefork"])
def test_a_job_of_a_killed_worker_runs_again_and_finishes_once(
    made: WorkerFleet, book: Book, pool: str
) -> None:
    """It runs again within the lease and five seconds, and its first agent is dead by then."""
    parts = made.coalmine()
    parts.templates.add("implementer", book.snapshot(HANG_AT_FIRST))
    made.worker("w1", pool=pool, concurrency=2)
    made.beat()
    job = parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job
    first = book.until_started(job)
    assert process_runs(first)  # from here on any worker of this machine may end it
    made.worker("w2", pool=pool, concurrency=2)  # after a time without any sweep, leases last longer
    made.kill("w1")
    until_gone(first, timeout=LEASE + 5)
    book.until_started(job, 2, timeout=LEASE + 5)
    done = until_state(parts, job, JobState.SUCCEEDED)
    assert done.attempts == 2
    assert len(book.pids("start", job)) == 2
    assert len(book.pids("end", job)) == 1
    assert len(events_of(parts, job, JOB_LEASE_EXPIRED)) == 1
    assert len(events_of(parts, job, JOB_FINISHED)) == 1


def test_a_lost_worker_is_not_a_failing_agent(made: WorkerFleet, book: Book) -> None:
    """When the last attempt's worker is lost the job is a dead letter, and no score is made of it."""
    made.variables["COALMINE_JOB__MAX_ATTEMPTS"] = "1"
    parts = made.coalmine()
    parts.templates.add("implementer", book.snapshot("sleep 600"))
    made.worker("w1", queues="champion")
    made.worker("w2", queues="control")
    made.beat()
    job = parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job
    agent = book.until_started(job)
    made.kill("w1")
    until_gone(agent, timeout=LEASE + 5)
    done = until_state(parts, job, JobState.FAILED)
    assert "its worker was lost" in done.reason
    assert parts.job_store.dead(10) == [job]
    wait_until(lambda: parts.jobs.find(job).excluded, description="the job is settled without a score")
    assert len(book.pids("start", job)) == 1


def test_what_an_orphan_started_dies_with_it(made: WorkerFleet, book: Book, tmp_path: Path) -> None:
    """A process that left the agent's session and lost its parent is found when the worker is gone."""
    child = tmp_path / "child"
    parts = made.coalmine()
    line = f'setsid sh -c "echo \\$\\$ > {child}; exec sleep 600" & sleep 600'
    parts.templates.add("implementer", book.snapshot(line))
    made.worker("w1")
    made.worker("w2", queues="control")
    job = parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job
    agent = book.until_started(job)
    wait_until(lambda: child.exists() and child.read_text().strip(), description="the child runs")
    pid = int(child.read_text())
    made.kill("w1")
    until_gone(agent, timeout=LEASE + 5)
    until_gone(pid, timeout=2.0)


def test_a_frozen_worker_that_wakes_has_its_result_refused(
    made: WorkerFleet, book: Book, tmp_path: Path
) -> None:
    """Its agent ended well while it was frozen; by then another worker had the job."""
    go_on = tmp_path / "go-on"
    wait = f"while [ ! -e {go_on} ]; do sleep 0.05; done"
    parts = made.coalmine()
    line = f'if [ "$COALMINE_ATTEMPT" = 1 ]; then sleep 1; else {wait}; fi'
    parts.templates.add("implementer", book.snapshot(line))
    made.worker("w1")
    job = parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job
    book.until_started(job)
    made.freeze("w1")
    made.worker("w2")
    made.beat()
    book.until_started(job, 2)
    assert len(book.pids("end", job)) == 1
    made.thaw("w1")
    wait_until(lambda: "job.result_refused" in made.log("w1"), description="the old result is refused")
    assert parts.jobs.find(job).state is JobState.RUNNING
    assert parts.jobs.find(job).worker == "w2@test"
    go_on.touch()
    done = until_state(parts, job, JobState.SUCCEEDED)
    assert (done.attempts, done.worker) == (2, "w2@test")
    assert len(events_of(parts, job, JOB_FINISHED)) == 1


def test_turns_of_one_job_never_overlap(made: WorkerFleet, book: Book) -> None:
    """The agent of a frozen worker is dead before the next worker's agent begins in the same tree."""
    parts = made.coalmine()
    parts.templates.add("implementer", book.snapshot(HANG_AT_FIRST))
    made.worker("w1")
    job = parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job
    first = book.until_started(job)
    made.freeze("w1")
    made.worker("w2")
    made.beat()
    book.until_started(job, 2)
    assert not process_runs(first)
    until_state(parts, job, JobState.SUCCEEDED)
    made.thaw("w1")
    wait_until(lambda: "job.ended" in made.log("w1"), description="the frozen worker has given up")
    assert len(book.pids("end", job)) == 1
    assert len(events_of(parts, job, JOB_FINISHED)) == 1


def test_a_woken_worker_ends_the_agent_of_a_job_that_it_lost(made: WorkerFleet, book: Book) -> None:
    """Nobody else runs the job: the worker itself must notice."""
    made.variables["COALMINE_JOB__MAX_ATTEMPTS"] = "1"
    parts = made.coalmine()
    parts.templates.add("implementer", book.snapshot("sleep 600"))
    made.worker("w1", queues="champion")
    made.worker("w2", queues="control")
    made.beat()
    job = parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job
    agent = book.until_started(job)
    made.freeze("w1")
    until_state(parts, job, JobState.FAILED)
    assert process_runs(agent)
    made.thaw("w1")
    until_gone(agent, timeout=3.0)
    assert parts.jobs.find(job).state is JobState.FAILED


@pytest.mark.parametrize("pool", ["threads", pytest.param("prefork", marks=pytest.mark.long)])
def test_a_worker_whose_places_are_taken_leaves_messages_to_others(
    made: WorkerFleet, book: Book, pool: str
) -> None:
    """A message that it took would wait for its agents; it takes one as soon as one of them has ended."""
    parts = made.coalmine()
    parts.templates.add("implementer", book.snapshot("sleep 600"))
    made.worker("w1", concurrency=1, queues="champion", pool=pool)
    first = parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job
    book.until_started(first)
    second = parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job
    made.worker("w2", concurrency=1, queues="champion", pool=pool)
    book.until_started(second, timeout=3)  # no sweep runs, which would repeat the message
    third = parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job
    parts.jobs.cancel(first, by="ada", at=parts.now())
    book.until_started(third, timeout=3)
    for job in (second, third):
        parts.jobs.cancel(job, by="ada", at=parts.now())
        until_state(parts, job, JobState.CANCELLED)
