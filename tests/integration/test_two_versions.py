"""Two releases of Coalmine in one fleet, as while it is upgraded: workers of an older commit beside ours.

The older code is taken from this repository's history, and runs with the libraries of this one.
"""

import io
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from routing.embedded.private_server import PrivateServer
from routing.jobs.job import JobRequest, JobState
from routing.templates.version import Snapshot
from tests.fleets.worker_fleet import WorkerFleet, events_of, fleet, until_state
from tests.source import OLDER, ROOT
from tests.waiting import run, wait_until

pytestmark = [pytest.mark.xdist_group("two-versions"), pytest.mark.long]

#: What the older release is asked to do, by its own mailbox; it prints the ids of its jobs.
ENQUEUE = """
import sys
from routing.jobs.job import JobRequest
from tasks.composition.composition import compose
from tasks.settings.settings import load_settings
parts = compose(load_settings())
for number in range(int(sys.argv[1])):
    print(parts.mailbox.enqueue(JobRequest(template="worker", task=f"older {number}")).job)
"""


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The older release, in a folder of its own."""
    folder = tmp_path_factory.mktemp("older")
    archive = subprocess.run(["git", "-C", ROOT, "archive", OLDER], capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder


@pytest.fixture
def mixed(redis_server: PrivateServer, tmp_path: Path) -> Iterator[WorkerFleet]:
    """A fleet of this release, in which nothing runs yet."""
    with fleet(tmp_path, redis_server.url) as made:
        yield made


def start_older(made: WorkerFleet, older: Path, name: str, *arguments: str) -> None:
    """Start `celery -A tasks …` of the older release; it ends with the fleet."""
    with (made.folder / f"{name}.log").open("wb") as log:
        made.processes[name] = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "tasks", *arguments], cwd=older,
            env=made.environment | {"PYTHONPATH": str(older)}, stdin=subprocess.DEVNULL, stdout=log,
            stderr=log, start_new_session=True,
        )  # fmt: skip


def enqueued_by_older(made: WorkerFleet, older: Path, count: int) -> list[str]:
    """The ids of jobs that the older release's mailbox has made."""
    environment = made.environment | {"PYTHONPATH": str(older)}
    done = run([sys.executable, "-c", ENQUEUE, str(count)], cwd=older, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.timeout(300)
def test_jobs_of_either_release_are_done_once_by_workers_of_either(mixed: WorkerFleet, older: Path) -> None:
    """By the older alone, by both, and by ours once the older was drained; none is lost, lists have both."""
    parts = mixed.coalmine()
    go = mixed.folder / "go"
    go.touch()
    parts.templates.add("worker", Snapshot(prompt="work", command=f"until [ -e {go} ]; do sleep 0.05; done"))
    queues, quiet = "champion,canary,control", ("--without-gossip", "--without-mingle")
    start_older(
        mixed, older, "older", "worker", "-n", "older@test", "-Q", queues, "-P", "threads", "-c", "2", *quiet
    )
    start_older(mixed, older, "older-beat", "beat")

    def enqueue(count: int) -> list[str]:
        requests = [JobRequest(template="worker", task=f"ours {number}") for number in range(count)]
        return [done.job for done in parts.mailbox.enqueue_many(requests)]

    def workers_of(jobs: list[str]) -> set[str]:
        return {until_state(parts, job, JobState.SUCCEEDED, timeout=60).worker for job in jobs}

    alone = [*enqueued_by_older(mixed, older, 2), *enqueue(2)]
    assert workers_of(alone) == {"older@test"}
    mixed.worker("ours", concurrency=2)
    go.unlink()
    both = [*enqueued_by_older(mixed, older, 4), *enqueue(4)]
    wait_until(
        lambda: {"older@test", "ours@test"} <= {parts.jobs.find(job).worker for job in both},
        description="both are at work",
    )
    go.touch()
    assert workers_of(both) == {"older@test", "ours@test"}
    wait_until(
        lambda: {"older@test", "ours@test"} <= {report.process for report in parts.clocks.reports()},
        description="both say that they are there",
    )
    mixed.shut_down("older", timeout=60)
    last = [*enqueued_by_older(mixed, older, 2), *enqueue(2)]
    assert workers_of(last) == {"ours@test"}
    for job in (*alone, *both, *last):
        assert len(events_of(parts, job, "job.finished")) == 1
    assert parts.job_store.depths()["queued"] == 0
