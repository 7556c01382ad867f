"""Cancelling a job, whatever it is at."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from routing.embedded.private_server import PrivateServer
from routing.events import JOB_FINISHED
from routing.jobs.children import ChildOrder
from routing.jobs.ending import Ending
from routing.jobs.job import JobRequest, JobResult, JobState
from routing.jobs.lifecycle import Claim
from routing.jobs.signal import SignalKind
from tasks.agents.turn.stop_signal import StopSignal
from tasks.composition.composition import Coalmine
from tasks.composition.worker import Worker
from tasks.work.outcome import Ran
from tests.fakes.scripted import ScriptedDraws
from tests.fleets.worker_fleet import WorkerFleet, events_of, fleet, until_state
from tests.programs.agent_book import Book, until_gone
from tests.servers.private_server import process_runs
from tests.waiting import wait_until

#: Seconds between SIGTERM and SIGKILL in these tests.
GRACE = 1.0


@pytest.fixture
def made(tmp_path: Path, redis_client: Redis, redis_server: PrivateServer) -> Iterator[WorkerFleet]:
    """A fleet without processes."""
    assert redis_client.ping()
    settings = {
        "COALMINE_AGENT__KILL_GRACE_SECONDS": str(GRACE),
        "COALMINE_TIMES__WATCHDOG_INTERVAL_SECONDS": "3600",  # nothing here waits for that tick
        "COALMINE_CANARY__ON_ROLLBACK": "cancel",
        "COALMINE_JOB__MAX_ATTEMPTS": "3",
    }
    with fleet(tmp_path, redis_server.url, **settings) as processes:
        yield processes


@pytest.fixture
def book(tmp_path: Path) -> Book:
    """What the agents of a test did."""
    return Book(tmp_path / "book")


def cancel(parts: Coalmine, job: str) -> None:
    """A person wants the job no more."""
    parts.jobs.cancel(job, by="ada", at=parts.job_store.now())


def excluded(parts: Coalmine, job: str) -> bool:
    """Whether the job was settled without a score, for the reason that it was cancelled."""
    kinds = {fact.kind for fact in parts.signals.read(job)}
    return parts.jobs.find(job).excluded and kinds == {SignalKind.CANCELLED}


def test_a_queued_job_never_runs(made: WorkerFleet, book: Book) -> None:
    """Its message is still in the broker when a worker comes; nothing is started for it."""
    parts = made.coalmine()
    parts.templates.add("implementer", book.snapshot())
    jobs = [parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job for _ in range(2)]
    cancel(parts, jobs[0])
    assert parts.jobs.find(jobs[0]).state is JobState.CANCELLED
    made.worker()
    made.beat()
    until_state(parts, jobs[1], JobState.SUCCEEDED)
    wait_until(lambda: excluded(parts, jobs[0]), description="the cancelled job is excluded")
    assert book.pids("start", jobs[0]) == []
    assert len(events_of(parts, jobs[0], JOB_FINISHED)) == 1


def test_a_running_agent_is_gone_soon_however_stubborn(made: WorkerFleet, book: Book) -> None:
    """It ignores SIGTERM; it is dead within the grace period and a second of the command."""
    parts = made.coalmine()
    parts.templates.add("implementer", book.snapshot("trap '' TERM; while true; do sleep 1; done"))
    made.worker()
    made.beat()
    job = parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job
    agent = book.until_started(job)
    cancel(parts, job)
    until_gone(agent, timeout=GRACE + 1)
    done = until_state(parts, job, JobState.CANCELLED, timeout=1.0)
    assert done.cancel == "cancelled by ada"
    wait_until(lambda: excluded(parts, job), description="the cancelled job is excluded")
    assert len(events_of(parts, job, JOB_FINISHED)) == 1


def test_agents_of_a_rejected_canary_are_gone_soon(made: WorkerFleet, book: Book) -> None:
    """With a child that outlived its parent, within the grace period and a second; the champion's goes on."""
    stubborn = "trap '' TERM; while true; do sleep 1; done"
    parts = made.coalmine(ScriptedDraws([0.1, 0.1, 0.9]))
    parts.templates.add("implementer", book.snapshot(stubborn))
    canary = parts.templates.propose("implementer", book.snapshot(stubborn, model="two")).version
    parts.proposals.open(canary, parts.settings.canary.policy, by="ada")
    parent, on_canary, on_champion = (
        parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job for _ in range(3)
    )
    order = ChildOrder(parent=parent, name="part", spec="work", role="builder")
    child = parts.children.dispatch(order).job
    end_at_once(parts, parent)
    made.worker()
    agents = {job: book.until_started(job) for job in (on_canary, child, on_champion)}
    asked_at = time.monotonic()
    parts.templates.reject("implementer@v2", by="ada")
    for job in (on_canary, child):
        until_gone(agents[job], timeout=max(0.1, asked_at + GRACE + 1 - time.monotonic()))
    assert process_runs(agents[on_champion])
    for job in (on_canary, child):
        done = until_state(parts, job, JobState.CANCELLED)
        assert done.cancel == "cancelled by the rejection of implementer@v2"
    cancel(parts, on_champion)
    until_gone(agents[on_champion], timeout=GRACE + 1)


def end_at_once(parts: Coalmine, job: str) -> None:
    """A worker of ours ends a job well before its agent could begin."""
    claim = parts.jobs.claim(job, worker="w0", lease_seconds=30)
    assert isinstance(claim, Claim), claim
    parts.jobs.end(claim, JobState.SUCCEEDED, reason="done", result=JobResult())


class LastMoment:
    """A runner whose job is cancelled when its agent has just ended."""

    def __init__(self, parts: Coalmine, ran: Ran) -> None:
        self._parts = parts
        self._ran = ran

    def run(self, claim: Claim, stop: StopSignal) -> Ran:
        """Run one attempt."""
        del stop
        cancel(self._parts, claim.job.id)
        return self._ran

    def keep(self, claim: Claim) -> str:
        """It did nothing."""
        del claim
        return ""


@pytest.mark.parametrize(
    "ran",
    [
        Ran(ended_by=Ending.RESULT, clean=True, has_repository=True, result=JobResult(commit="1" * 40)),
        Ran(ended_by=Ending.RESULT, result=JobResult(exit_code=1)),
        Ran(ended_by=Ending.DRAIN),
    ],
    ids=["pushed", "failed", "drained"],
)
def test_a_cancel_in_the_last_moment_is_not_lost(made: WorkerFleet, ran: Ran) -> None:
    """A job that would be watched, tried again or given back ends instead."""
    parts = made.coalmine()
    parts.templates.add("implementer", Book(made.folder / "book").snapshot())
    job = parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job
    said = Worker(coalmine=parts, runner=LastMoment(parts, ran)).work.work(job, worker="w1")
    assert said == "cancel"
    assert parts.jobs.find(job).state is JobState.CANCELLED
    assert {fact.kind for fact in parts.signals.read(job)} == {SignalKind.CANCELLED}
