"""Claude Code and Codex as agents of a fleet: through Redis, a real Celery worker and their own processes."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from routing.accounts.limit import LimitKind
from routing.embedded.private_server import PrivateServer
from routing.jobs.job import Job, JobRequest, JobState
from routing.jobs.signal import SignalKind
from routing.jobs.turn import HindranceKind, TurnKind
from routing.templates.version import Snapshot
from tasks.composition.composition import Coalmine
from tests.fleets.worker_fleet import WorkerFleet, fleet, until_state
from tests.real.model_stub import ModelStub
from tests.real.programs import ENVIRONMENTS, MODELS, stubborn_environment
from tests.waiting import slowdown, wait_until

#: A command that an agent's tool runs, and that detaches itself as the programs' shells do.
SLOW_TOOL = "echo started > {mark}; sleep 300"


@dataclass(kw_only=True)
class Mine:
    """A fleet whose template `agent` is one of the programs."""

    fleet: WorkerFleet
    parts: Coalmine
    folder: Path
    stubborn: Snapshot  # the same program, which asks a model again for minutes

    def enqueue(self, task: str, template: str = "agent") -> str:
        """Ask the agent for something; one that asks for minutes has one attempt."""
        attempts = 1 if template == "stubborn" else None
        request = JobRequest(template=template, task=task, max_attempts=attempts)
        return self.parts.mailbox.enqueue(request).job

    def until(self, job: str, state: JobState) -> Job:
        """Wait for the job's state."""
        return until_state(self.parts, job, state, timeout=60)

    def until_held(self, job: str) -> None:
        """Wait until the job waits for its account."""
        wait_until(lambda: self.parts.job_store.limited(9) == [job], description="it is held", timeout=60)

    def until_settled(self, job: str) -> Job:
        """Wait for the job's score, or for its being left out."""
        wait_until(lambda: self.parts.jobs.find(job).settled_at, description="the job is settled")
        return self.parts.jobs.find(job)


@pytest.fixture(params=sorted(ENVIRONMENTS))
def mine(
    request: pytest.FixtureRequest, tmp_path: Path, programs: Path, model: ModelStub,
    redis_server: PrivateServer,
) -> Iterator[Mine]:  # fmt: skip
    """One program after the other, on an empty server."""
    home, stubborn_home = tmp_path / "home", tmp_path / "stubborn"
    for folder in (home, stubborn_home):
        folder.mkdir()
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    snapshot = Snapshot(
        runtime=request.param,
        model=MODELS[request.param],
        prompt="You are a careful agent.",
        environment={"PATH": path, "HOME": str(home), **ENVIRONMENTS[request.param](home, model.url)},
    )
    slow = min(slowdown(), 3.0)  # a silent model is waited for as long
    patience = stubborn_environment(request.param, stubborn_home, model.url)
    stubborn = snapshot.model_copy(
        update={
            "environment": {"PATH": path, "HOME": str(stubborn_home), **patience},
            "time_limit_seconds": 5.0 * slow,
        }
    )
    settings = {
        "COALMINE_NAMESPACE": f"real-{request.param}",
        "COALMINE_TIMES__LEASE_SECONDS": f"{3 * slow:.1f}",
        "COALMINE_JOB__MAX_ATTEMPTS": "2",
        "COALMINE_AGENT__STALL_SECONDS": f"{20 * slow:.1f}",
    }
    with fleet(tmp_path, redis_server.url, **settings) as made:
        parts = made.coalmine()
        parts.redis.flushall()
        parts.templates.add("agent", snapshot)
        made.worker()
        made.beat()
        yield Mine(fleet=made, parts=parts, folder=tmp_path, stubborn=stubborn)


def test_a_job_is_done_by_the_real_program(mine: Mine, model: ModelStub) -> None:
    """The version's prompt and the task reach the model; its answer and its cost come back."""
    job = mine.until(mine.enqueue("Paint the shed green."), JobState.SUCCEEDED)
    (heard,) = model.heard[-1]
    assert heard.startswith("You are a careful agent.")
    assert "Paint the shed green." in heard
    assert "heard: You are a careful agent." in job.result.tail
    assert job.result.exit_code == 0


#: What closes an account: what the model's API answers, to which program, and the kind of the limit.
LIMITS = [(429, "agent", LimitKind.RATE), (401, "stubborn", LimitKind.AUTH)]


def test_a_limit_puts_the_job_off_and_it_goes_on(mine: Mine, model: ModelStub) -> None:
    """By a program that gives up, or is ended for asking for minutes: no attempt is lost, and it resumes."""
    mine.parts.templates.add("stubborn", mine.stubborn)
    for status, template, kind in LIMITS:
        task = f"Answer {status}."
        model.refuses = {task: status}
        job = mine.enqueue(task, template)
        mine.until_held(job)
        held = mine.parts.jobs.find(job)
        assert (held.attempts, held.hindrance and held.hindrance.kind) == (0, HindranceKind.LIMIT)
        (closed,) = [each for each in mine.parts.breakers.all() if not each.is_open]
        assert (closed.kind, closed.account) == (kind, held.account)
        model.refuses = {}
        mine.parts.breakers.reopen(held.account, by="the test")
        assert mine.until(job, JobState.SUCCEEDED).attempts == 1
        assert "limit.lifted" in str(model.heard[-1])


def test_a_limit_after_a_tool_keeps_what_was_done(mine: Mine, model: ModelStub) -> None:
    """In the middle of its turn: no attempt is lost, and the conversation goes on in its tree."""
    model.command, model.after_command = "echo one > half", 429
    job = mine.enqueue("Do one half, then the other.")
    mine.until_held(job)
    held, refused = mine.parts.jobs.find(job), model.refused
    assert refused
    assert (held.attempts, held.kind, held.hindrance and held.hindrance.kind) == (
        0, TurnKind.LIFTED, HindranceKind.LIMIT,
    )  # fmt: skip
    assert mine.parts.breakers.closed()[0].kind is LimitKind.RATE
    assert mine.parts.signals.read(job) == []
    model.refuses_with, model.command = None, "cat half > seen; echo two >> half"
    model.after_command = None
    mine.parts.breakers.reopen(held.account, by="the test")
    assert mine.until(job, JobState.SUCCEEDED).attempts == 1
    first, *_, last = model.heard[-1]
    assert "Do one half" in first, "the model hears both turns"
    assert "limit.lifted" in last
    folder = mine.folder / "work" / ".coalmine" / "scratch" / job
    assert [(folder / name).read_text() for name in ("seen", "half")] == ["one\n", "one\ntwo\n"]


def test_an_api_out_of_reach_is_nobodys_fault(mine: Mine, model: ModelStub) -> None:
    """Recorded, and left out of trials."""
    mine.parts.templates.add("stubborn", mine.stubborn)
    model.refuses = {"Answer 503.": 503}
    job = mine.enqueue("Answer 503.", "stubborn")
    ended = mine.until(job, JobState.FAILED)
    assert mine.until_settled(job).excluded
    assert "the model's API refused" in ended.reason
    assert {fact.kind for fact in mine.parts.signals.read(job)} == {SignalKind.UNREACHABLE}
    assert ended.result.ended_by == "deadline"


def test_a_cancelled_agent_is_gone_with_its_tool(mine: Mine, model: ModelStub) -> None:
    """The tool that it runs dies too, although it has a session of its own."""
    mark = mine.folder / "mark"
    model.command = SLOW_TOOL.format(mark=mark)
    job = mine.enqueue("Run the slow tool.")
    wait_until(mark.exists, description="the tool runs", timeout=60)
    mine.parts.jobs.cancel(job, by="a test", at=mine.parts.now())
    mine.until(job, JobState.CANCELLED)
    wait_until(lambda: not _sleepers(), description="no tool is left", timeout=5)


def test_a_killed_worker_leaves_no_agent_and_its_job_goes_on(mine: Mine, model: ModelStub) -> None:
    """With a worker back on the host the old agent dies, and the job runs again to its end."""
    mark = mine.folder / "mark"
    model.command = SLOW_TOOL.format(mark=mark)
    job = mine.enqueue("Run the slow tool.")
    wait_until(mark.exists, description="the tool runs", timeout=60)
    mine.fleet.kill("w1")
    mine.fleet.worker("w2")
    wait_until(lambda: not _sleepers(), description="nothing of the old agent is left", timeout=10)
    ended = mine.until(job, JobState.SUCCEEDED)
    assert ended.attempts == 2
    first, *_, last = model.heard[-1]
    assert "Run the slow tool." in first, "the session was resumed: the model hears both turns"
    assert "An earlier turn did not come to its end" in last


def test_a_silent_model_is_a_stalled_agent(mine: Mine, model: ModelStub) -> None:
    """Nothing is heard for the stall time: the turn is ended, and after the last attempt the job failed."""
    request = JobRequest(template="agent", task="Paint the shed.", max_attempts=1)
    with model.silent():
        job = mine.until(mine.parts.mailbox.enqueue(request).job, JobState.FAILED)
    assert job.result.ended_by == "stall"
    assert "silent" in job.reason


def _sleepers() -> list[int]:
    """Processes that run the slow tool's command."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[:2] == [b"sleep", b"300"]:
            found.append(int(process.name))
    return found
