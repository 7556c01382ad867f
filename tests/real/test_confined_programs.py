"""Claude Code and Codex in sandboxes of a fleet: without their key, which the worker's proxy adds."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from routing.embedded.private_server import PrivateServer
from routing.jobs.job import Job, JobRequest, JobState
from routing.sandbox.profile import Injection, SandboxKind, SandboxProfile
from routing.templates.version import Snapshot
from tasks.composition.composition import Coalmine
from tests.fleets.worker_fleet import WorkerFleet, fleet, until_state
from tests.real.model_stub import ModelStub
from tests.real.programs import MODELS
from tests.real.sandbox_bench import long_sleep, sleepers
from tests.waiting import wait_until

#: The worker's key; no agent has it.
KEY = "sk-of-the-worker-alone-0123456789"

#: How each program has its key added: the header, what is before it, its name, and the address to speak to.
INJECTIONS = {
    "claude": {"header": "x-api-key", "secret": "ANTHROPIC_API_KEY", "variable": "ANTHROPIC_BASE_URL"},
    "codex": {
        "header": "authorization", "prefix": "Bearer ", "secret": "CODEX_API_KEY",
        "variable": "OPENAI_BASE_URL", "path": "/v1",
    },
}  # fmt: skip

#: A tool that looks for the key everywhere that an agent can look.
SEARCH = (
    "env > env.txt; cat /proc/*/environ >> env.txt 2>/dev/null; "
    "grep -rsl 'sk-of-the-worker-alon[e]' ~ /etc . > found.txt; "
    "echo looked > looked"
)


@dataclass(kw_only=True)
class Confined:
    """A fleet whose template `agent` is one of the programs, in a sandbox."""

    fleet: WorkerFleet
    parts: Coalmine
    work: Path

    def enqueue(self, task: str) -> str:
        """Ask the agent for something."""
        return self.parts.mailbox.enqueue(JobRequest(template="agent", task=task)).job

    def until(self, job: str, state: JobState) -> Job:
        """Wait for the job's state."""
        return until_state(self.parts, job, state, timeout=60)

    def folder(self, job: str) -> Path:
        """Where the job works."""
        return self.work / ".coalmine" / "scratch" / job

    def said(self, job: str) -> str:
        """The job's log."""
        return "\n".join(line.text for line in self.parts.log_store.read(job))


@pytest.fixture(params=sorted(INJECTIONS))
def confined(
    request: pytest.FixtureRequest, tmp_path: Path, programs: Path, model: ModelStub,
    redis_server: PrivateServer,
) -> Iterator[Confined]:  # fmt: skip
    """One program after the other, on an empty server; the worker has the key in its environment."""
    given = INJECTIONS[request.param]
    injection = {"host": model.url.removeprefix("http://"), "tls": False, **given}
    snapshot = Snapshot(
        runtime=request.param,
        model=MODELS[request.param],
        environment={"PATH": os.pathsep.join([str(programs), os.environ["PATH"]])},
        sandbox=SandboxKind.BUBBLEWRAP,
        profile=SandboxProfile(usual_hosts=False, inject=(Injection.model_validate(injection),)),
    )
    (tmp_path / "home").mkdir()
    settings = {"COALMINE_NAMESPACE": f"confined-{request.param}", "COALMINE_TIMES__LEASE_SECONDS": "3",
                "COALMINE_JOB__MAX_ATTEMPTS": "2",
                "HOME": str(tmp_path / "home"), str(given["secret"]): KEY}  # fmt: skip
    with fleet(tmp_path, redis_server.url, **settings) as made:
        parts = made.coalmine()
        parts.redis.flushall()
        parts.templates.add("agent", snapshot)
        made.worker()
        made.beat()
        yield Confined(fleet=made, parts=parts, work=tmp_path / "work")


def test_a_confined_program_works_without_its_key(confined: Confined, model: ModelStub) -> None:
    """The model is asked with the worker's key; nothing that the agent can read has it."""
    model.command = SEARCH
    job = confined.enqueue("Look for the key.")
    ended = confined.until(job, JobState.SUCCEEDED)
    assert model.keys in ({KEY}, {f"Bearer {KEY}"})
    folder = confined.folder(job)
    assert (folder / "looked").exists()
    assert (folder / "found.txt").read_text() == ""
    assert KEY not in (folder / "env.txt").read_text()
    assert "held-by-the-worker" in (folder / "env.txt").read_text()
    assert ended.result.exit_code == 0
    said = confined.said(job)
    assert "sandbox: bubblewrap" in said
    assert f"network: {model.url.removeprefix('http://')} reached" in said
    assert KEY not in said


def test_a_confined_agent_of_a_killed_worker_is_resumed(confined: Confined, model: ModelStub) -> None:
    """It dies with its worker, at once; the next turn goes on in the same conversation."""
    long = long_sleep()
    model.command = f"echo started > mark; sleep {long}"
    job = confined.enqueue("Run the slow tool.")
    mark = confined.folder(job) / "mark"
    wait_until(mark.exists, description="the tool runs", timeout=60)
    confined.fleet.kill("w1")
    wait_until(lambda: not sleepers(long), description="nothing of the agent is left", timeout=5)
    confined.fleet.worker("w2")
    ended = confined.until(job, JobState.SUCCEEDED)
    assert ended.attempts == 2
    first, *_, last = model.heard[-1]
    assert "Run the slow tool." in first, "the session was resumed: the model hears both turns"
    assert "An earlier turn did not come to its end" in last
