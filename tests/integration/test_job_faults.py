"""Whose fault it was: what the version, the fleet and the agent each do wrong, with real workers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from console.doctor.backlog import held
from routing.events import JOB_FINISHED, JOB_RETRIED
from routing.jobs.job import Job, JobRequest, JobState
from routing.jobs.signal import SignalKind
from routing.jobs.turn import HindranceKind
from routing.templates.version import Snapshot
from tasks.composition.composition import Coalmine
from tests.fleets.worker_fleet import events_of, fleet, until_state
from tests.programs.agent_book import Book
from tests.servers.private_server import private_server
from tests.waiting import wait_until

#: One process of the suite makes what all of these share.
pytestmark = pytest.mark.xdist_group("job-faults")


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coalmine]:
    """A worker and beat on a server of their own; two attempts a job."""
    folder = tmp_path_factory.mktemp("faults")
    with private_server(folder) as server, fleet(folder, server.url, COALMINE_JOB__MAX_ATTEMPTS="2") as made:
        made.worker()
        made.beat()
        yield made.coalmine()


def failed(parts: Coalmine, template: str, snapshot: Snapshot, **fields: Any) -> Job:
    """A job of the version, when it has failed for good and is settled."""
    parts.templates.add(template, snapshot)
    job = parts.mailbox.enqueue(JobRequest(template=template, task="work", **fields)).job
    until_state(parts, job, JobState.FAILED)
    wait_until(lambda: parts.jobs.find(job).settled_at, description="the job is settled")
    return parts.jobs.find(job)


def kinds(parts: Coalmine, job: Job) -> set[SignalKind]:
    """The kinds of facts that are known of a job."""
    return {fact.kind for fact in parts.signals.read(job.id)}


@pytest.mark.parametrize(
    ("template", "secrets", "repository", "lacks"),
    [
        ("secretive", ("NOT_THERE_KEY",), "", "NOT_THERE_KEY"),
        ("lost", (), "local:nowhere", "local:nowhere"),
    ],
)
def test_a_worker_that_cannot_do_a_job_leaves_it_to_one_that_can(
    parts: Coalmine, template: str, secrets: tuple[str, ...], repository: str, lacks: str
) -> None:
    """No attempt is used up; the job, and doctor, say what it waits for."""
    parts.templates.add(template, Snapshot(prompt="work", command="true", secrets=secrets))
    job = parts.mailbox.enqueue(JobRequest(template=template, task="work", repository=repository)).job

    def waits_again() -> bool:
        found = parts.jobs.find(job)
        return bool(found.hindrance and found.hindrance.times > 1 and found.state is JobState.QUEUED)

    wait_until(waits_again, description="it was offered twice")
    found = parts.jobs.find(job)
    assert found.hindrance is not None
    assert (found.hindrance.kind, found.attempts) == (HindranceKind.UNABLE, 0)
    assert lacks in found.hindrance.words
    assert lacks in held(parts).message
    assert kinds(parts, found) == set()
    parts.jobs.cancel(job, by="the test", at=parts.now())


@pytest.mark.parametrize(
    ("template", "snapshot"),
    [
        ("unheard-of", Snapshot(prompt="work", runtime="abacus")),
        ("overreaching", Snapshot(prompt="work", command="true", environment={"COALMINE_REDIS_URL": "mine"})),
    ],
)
def test_a_version_that_cannot_be_run_has_failed(parts: Coalmine, template: str, snapshot: Snapshot) -> None:
    """The version is to blame: score 0."""
    job = failed(parts, template, snapshot)
    assert kinds(parts, job) == {SignalKind.AGENT_ERRORED}
    assert (job.excluded, job.score) == (False, 0.0)


def test_a_failing_job_is_tried_again_later_and_then_a_dead_letter(parts: Coalmine, tmp_path: Path) -> None:
    """Attempts are bounded and spaced; a person may begin anew, and the list forgets the job."""
    book, repaired = Book(tmp_path / "book"), tmp_path / "repaired"
    job = failed(parts, "failing", book.snapshot(f"test -e {repaired}"))
    assert len(book.pids("start", job.id)) == job.attempts == 2
    (retried,) = events_of(parts, job.id, JOB_RETRIED)
    assert 0.05 <= retried.data["delay_seconds"] <= 0.1
    assert job.id in parts.job_store.dead(100)
    repaired.touch()
    parts.jobs.retry(job.id, by="ada")
    done = until_state(parts, job.id, JobState.SUCCEEDED)
    assert done.attempts == 1
    assert job.id not in parts.job_store.dead(100)
    assert len(events_of(parts, job.id, JOB_FINISHED)) == 2, "one for each life"
