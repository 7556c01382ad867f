"""The same jobs under each of Celery's pools that are supported: threads, prefork and solo."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from routing.events import JOB_CLAIMED, JOB_FINISHED
from routing.jobs.job import Job, JobRequest, JobState
from routing.jobs.signal import SignalKind
from routing.templates.version import Snapshot
from tasks.composition.composition import Coalmine
from tests.fleets.worker_fleet import events_of, fleet, until_state
from tests.programs.agent_book import Book, until_gone
from tests.servers.private_server import private_server
from tests.waiting import wait_until

#: One process of the suite makes what all of these share.
pytestmark = pytest.mark.xdist_group("worker-pools")

#: The pool that workers have by default is tried in the quick suite.
POOLS = ["threads", *(pytest.param(pool, marks=pytest.mark.long) for pool in ("prefork", "solo"))]


@pytest.fixture(scope="module", params=POOLS)
def parts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coalmine]:
    """A worker with the pool on a server of its own, and beat."""
    folder = tmp_path_factory.mktemp(request.param)
    with private_server(folder) as server, fleet(folder, server.url) as made:
        made.by_command = True
        made.worker(pool=request.param)
        made.beat()
        yield made.coalmine()


@pytest.fixture
def book(tmp_path: Path) -> Book:
    """What the agents of a test did."""
    return Book(tmp_path / "book")


def enqueue(parts: Coalmine, request: pytest.FixtureRequest, snapshot: Snapshot) -> str:
    """A job of a template of the test's own."""
    template = request.node.originalname.removeprefix("test_").replace("_", "-")[:30].rstrip("-")
    parts.templates.add(template, snapshot)
    return parts.mailbox.enqueue(JobRequest(template=template, task="work")).job


def kinds(parts: Coalmine, job: Job) -> set[SignalKind]:
    """The kinds of facts that are known of a job."""
    return {fact.kind for fact in parts.signals.read(job.id)}


def test_an_agent_that_succeeds(parts: Coalmine, request: pytest.FixtureRequest, book: Book) -> None:
    """One turn, one end, full score."""
    job = enqueue(parts, request, book.snapshot())
    done = until_state(parts, job, JobState.SUCCEEDED)
    assert done.result.exit_code == 0
    assert len(book.pids("end", job)) == 1
    assert len(events_of(parts, job, JOB_FINISHED)) == 1
    assert wait_until(lambda: parts.jobs.find(job).score, description="the job is scored") == 1.0


def test_an_agent_that_fails(parts: Coalmine, request: pytest.FixtureRequest, book: Book) -> None:
    """Its exit code is reported, and its score is 0."""
    job = enqueue(parts, request, book.snapshot("exit 7"))
    done = until_state(parts, job, JobState.FAILED)
    assert "exit code 7" in done.reason
    assert kinds(parts, done) == {SignalKind.AGENT_ERRORED}
    wait_until(lambda: parts.jobs.find(job).score == 0.0, description="the job is scored")


def test_an_agent_that_takes_too_long(parts: Coalmine, request: pytest.FixtureRequest, book: Book) -> None:
    """It is ended at its version's time limit."""
    job = enqueue(parts, request, book.snapshot("sleep 600", time_limit_seconds=3))
    agent = book.until_started(job)
    done = until_state(parts, job, JobState.FAILED)
    assert "time limit" in done.reason
    assert kinds(parts, done) == {SignalKind.AGENT_ABORTED}
    until_gone(agent, timeout=1.0)


def test_an_agent_that_is_cancelled(parts: Coalmine, request: pytest.FixtureRequest, book: Book) -> None:
    """It is gone soon after, and its job counts for nobody."""
    job = enqueue(parts, request, book.snapshot("sleep 600"))
    agent = book.until_started(job)
    parts.jobs.cancel(job, by="ada", at=parts.job_store.now())
    until_gone(agent, timeout=3.0)
    done = until_state(parts, job, JobState.CANCELLED)
    assert kinds(parts, done) == {SignalKind.CANCELLED}
    wait_until(lambda: parts.jobs.find(job).excluded, description="the job is settled without a score")


def test_what_an_agent_left_running(
    parts: Coalmine, request: pytest.FixtureRequest, book: Book, tmp_path: Path
) -> None:
    """A child that left the session dies with the turn."""
    child = tmp_path / "child"
    wait = f"while [ ! -s {child} ]; do sleep 0.02; done"
    line = f"setsid sh -c 'echo $$ > {child}; exec sleep 600' & {wait}"
    job = enqueue(parts, request, book.snapshot(line))
    until_state(parts, job, JobState.SUCCEEDED)
    until_gone(int(child.read_text()), timeout=1.0)


def test_ten_messages_of_one_job(parts: Coalmine, request: pytest.FixtureRequest, book: Book) -> None:
    """It is claimed once: a message too many finds the lease taken or the job finished."""
    job = enqueue(parts, request, book.snapshot("sleep 0.5"))
    for _ in range(10):
        parts.publisher.publish(job, "champion", parts.jobs.find(job).request.priority)
    until_state(parts, job, JobState.SUCCEEDED)
    wait_until(lambda: parts.publisher.depth("champion") == 0, description="all messages are read")
    after = enqueue_next(parts, request)
    until_state(parts, after, JobState.SUCCEEDED)
    assert len(book.pids("start", job)) == 1
    assert len(events_of(parts, job, JOB_CLAIMED)) == 1
    assert len(events_of(parts, job, JOB_FINISHED)) == 1


def enqueue_next(parts: Coalmine, request: pytest.FixtureRequest) -> str:
    """One more job, after whose end a solo worker has seen every message before it."""
    template = f"next-{request.node.originalname.count('_')}"
    parts.templates.add(template, Snapshot(prompt="work", command="true"))
    return parts.mailbox.enqueue(JobRequest(template=template, task="work")).job


def test_messages_of_jobs_that_are_not_there(parts: Coalmine, request: pytest.FixtureRequest) -> None:
    """Unknown and malformed ids are passed over; the worker goes on."""
    before = enqueue(parts, request, Snapshot(prompt="work", command="true"))
    for identifier in ("0123456789abcdef", "no id at all", "../../etc/passwd", ""):
        parts.app.send_task("tasks.work", args=[identifier], queue="champion", ignore_result=True)
    after = enqueue_next(parts, request)
    for job in (before, after):
        until_state(parts, job, JobState.SUCCEEDED)
    assert parts.job_store.read("0123456789abcdef") is None
