"""What an agent learns about itself, what its role makes of its work, and what is left of it on its host."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from routing.embedded.private_server import PrivateServer
from routing.jobs.job import Job, JobRequest, JobState
from routing.jobs.signal import SignalKind
from routing.templates.version import Snapshot
from tasks.composition.worker import Worker
from tests.fleets.worker_fleet import WorkerFleet, fleet
from tests.repositories import TemporaryRepository, new_repository

#: Writes down who it is, and does what `next` says.
AGENT = """
echo "$COALMINE_AGENT $COALMINE_VERSION $PWD $COALMINE_PROMPT_FILE" > "$NOTES/given"
. "$NOTES/next"
"""


class RoleBench:
    """Runs jobs of roles to their end, as a worker does."""

    def __init__(self, made: WorkerFleet, repository: TemporaryRepository, notes: Path) -> None:
        self.parts = made.coalmine()
        self.worker = Worker(coalmine=self.parts)
        self.repository, self.notes = repository, notes
        notes.mkdir()
        snapshot = Snapshot(command=AGENT, environment={"NOTES": str(notes)})
        self.parts.templates.add("implementer", snapshot)

    def run(self, line: str = "true", *, role: str = "builder", repository: str = "local:shop") -> Job:
        """Run a job whose agent does a line."""
        (self.notes / "next").write_text(line)
        fields = {"template": "implementer", "task": "look around", "role": role, "repository": repository}
        job = self.parts.mailbox.enqueue(JobRequest.checked(**fields)).job
        self.worker.work.work(job, worker="w1")
        return self.parts.jobs.find(job)

    def given(self) -> list[str]:
        """What the last agent was given: name, version, folder, prompt."""
        return (self.notes / "given").read_text().split()


@pytest.fixture
def bench(tmp_path: Path, redis_client: Redis, redis_server: PrivateServer) -> Iterator[RoleBench]:
    """A bench with a repository."""
    assert redis_client.ping()
    repository = new_repository(tmp_path)
    (tmp_path / "issues").mkdir()
    settings = {
        "COALMINE_FORGE__LOCAL__REPOSITORY": str(repository.path),
        "COALMINE_FORGE__LOCAL__ISSUES": str(tmp_path / "issues"),
        "COALMINE_FORGE__LOCAL__STATE": str(tmp_path / "forge"),
    }
    with fleet(tmp_path, redis_server.url, **settings) as made:
        at = RoleBench(made, repository, tmp_path / "notes")
        yield at
        at.worker.turns.mail_server.shut()


@pytest.mark.parametrize(
    ("role", "state", "kind"),
    [
        ("scout", JobState.SUCCEEDED, SignalKind.FINISHED),
        ("reviewer", JobState.SUCCEEDED, SignalKind.FINISHED),
        ("builder", JobState.ESCALATED, SignalKind.NOTHING_PUSHED),
    ],
)
def test_agent_that_only_reads_has_succeeded(
    bench: RoleBench, role: str, state: JobState, kind: SignalKind
) -> None:
    """It ended cleanly and committed nothing, as its task was; a builder's was to commit."""
    job = bench.run(role=role)
    assert job.state is state
    assert [fact.kind for fact in bench.parts.signals.read(job.id)] == [kind]


def test_agent_that_only_reads_and_fails_has_failed(bench: RoleBench) -> None:
    """Its role does not excuse a crash."""
    assert bench.run("exit 3", role="scout").state is JobState.FAILED


def test_commit_of_an_agent_that_only_reads_is_watched(bench: RoleBench) -> None:
    """What it made all the same is not lost."""
    job = bench.run("echo found > found.txt", role="scout")
    assert job.state is JobState.WAITING
    assert bench.repository.tip(job.branch) == job.result.commit


def test_agent_gets_its_name_and_its_version(bench: RoleBench) -> None:
    """Mail reaches it by the one; its commits bear the other."""
    job = bench.run(
        'git commit --quiet --allow-empty --message="Look"; echo x > y; git add y; git commit -qm y'
    )
    name, version, *_ = bench.given()
    assert bench.parts.agents.find(name).job == job.id
    assert version == "implementer@v1"
    assert bench.repository.git("log", "-1", "--format=%an", job.branch) == "implementer@v1"


@pytest.mark.parametrize("repository", ["", "local:shop"])
def test_nothing_of_an_ended_job_is_left_on_its_host(bench: RoleBench, repository: str) -> None:
    """Its folder, its prompts and logs go with the next tidying; those of one that goes on stay."""
    goes_on = bench.run("echo found > found.txt")
    _, _, kept, kept_prompt = bench.given()
    ended = bench.run(role="scout", repository=repository)
    _, _, folder, prompt = bench.given()
    assert (goes_on.state, ended.state) == (JobState.WAITING, JobState.SUCCEEDED)
    assert bench.worker.tidy()
    assert not Path(folder).exists()
    assert not Path(prompt).parent.parent.exists()
    assert Path(kept).exists()
    assert Path(kept_prompt).exists()
