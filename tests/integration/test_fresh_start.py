"""A conversation that the program does not have any more: begun anew within the turn, once, at no cost."""

import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

import tests.programs.replay_agent
from routing.jobs.job import JobState
from routing.templates.version import Snapshot
from tasks.agents.mail.letter import Letter
from tasks.agents.session.state import SessionState
from tests.fleets.attempts import AttemptsFleet
from tests.fleets.post import ADA
from tests.recordings.agent_recording import FOLDER

BASIC, UNKNOWN = "claude-1-basic", "claude-5-resume-unknown"


class Replays(AttemptsFleet):
    """Attempts whose program is a replay of Claude Code; each run of it is kept."""

    def __init__(self, client: redis.Redis, folder: Path) -> None:
        self.runs, programs = folder / "runs", folder / "bin"
        for made in (self.runs, programs):
            made.mkdir()
        replay = shlex.join([sys.executable, str(tests.programs.replay_agent.__file__)])
        self._program = programs / "claude"
        self._script = (
            f'export REPLAY_RECEIVED={self.runs}/$(ls {self.runs} | wc -l) REPLAY_ENDS="by itself"\n'
            'case " $* " in *" --resume "*) file=$RESUMED;; *) file=$BEGUN;; esac\n'
            f'REPLAY_RECORDING="$file" exec {replay} claude "$@"\n'
        )
        super().__init__(client, folder, path=f"{programs}:/usr/bin:/bin", max_attempts=2)
        self.app.templates.add(
            "implementer", Snapshot(prompt="work", runtime="claude", model="claude-sonnet-4-5")
        )
        self.crashed = folder / "crashed.json"
        basic = json.loads((FOLDER / f"{BASIC}.json").read_text())
        self.crashed.write_text(json.dumps(basic | {"rc": 1}))

    def plays(self, *, begun: Path, resumed: Path = FOLDER / f"{UNKNOWN}.json") -> None:
        """What the program does in a new conversation, and in one that it is to resume."""
        said = f"#!/bin/sh\nBEGUN={shlex.quote(str(begun))} RESUMED={shlex.quote(str(resumed))}\n"
        self._program.write_text(said + self._script)
        self._program.chmod(0o700)

    def received(self) -> list[dict[str, Any]]:
        """What each run was given, in order."""
        files = sorted(self.runs.iterdir(), key=lambda file: int(file.name))
        return [json.loads(file.read_text()) for file in files]

    def with_a_conversation(self) -> str:
        """A job whose first attempt failed in a conversation."""
        self.plays(begun=self.crashed)
        job = self.job()
        assert self.work(job) == "retry"
        assert self.session(job).runtime_session.startswith("37e45e0a")
        return job


@pytest.fixture
def replays(fake_redis: redis.Redis, tmp_path: Path) -> Iterator[Replays]:
    """Two attempts a job."""
    with Replays(fake_redis, tmp_path) as made:
        yield made


def test_lost_conversation_costs_no_attempt(replays: Replays) -> None:
    """The last attempt that there is begins anew with a recap, and ends the job well."""
    job = replays.with_a_conversation()
    letter = Letter.checked(to=replays.agent(job), subject="mind the roof")
    mail = replays.app.post_office.send(ADA, letter)[0]
    replays.plays(begun=FOLDER / f"{BASIC}.json")
    assert replays.work(job) == "finished"
    done = replays.find(job)
    assert (done.state, done.attempts, done.turns) == (JobState.SUCCEEDED, 2, 2)
    _, resumed, afresh = replays.received()
    assert "--resume" in resumed["argv"]
    assert "--resume" not in afresh["argv"]
    assert "An earlier turn did not come to its end" in afresh["stdin"]
    assert "Recap of the earlier turn" in afresh["stdin"]
    assert afresh["stdin"].count("mind the roof") == 1
    assert replays.app.post_office.find(mail.id).state == "acked"
    (event,) = replays.fleet.events("session.lost")
    assert event.data["session"].startswith("37e45e0a")
    assert event.data["reason"] == "its program no longer has it"
    assert replays.fleet.events("session.resume_mismatch") == []
    session = replays.session(job)
    assert (session.state, session.fence, session.turns) == (SessionState.COMPLETED, 2, 2)


def test_conversation_that_no_model_takes_costs_no_attempt(replays: Replays) -> None:
    """The API refuses what is resumed, as a real program reports it: begun anew with a recap, at once."""
    job = replays.with_a_conversation()
    replays.plays(begun=FOLDER / f"{BASIC}.json", resumed=FOLDER / "claude-7-err400.json")
    assert replays.work(job) == "finished"
    _, resumed, afresh = replays.received()
    assert "--resume" in resumed["argv"]
    assert "--resume" not in afresh["argv"]
    assert "Recap of the earlier turn" in afresh["stdin"]
    (event,) = replays.fleet.events("session.lost")
    assert event.data["reason"] == "the model's API refused it: API Error: 400 stub error 400"


def test_conversation_that_became_too_long_is_not_resumed(replays: Replays) -> None:
    """It was refused in the turn that began it: the next attempt begins a new one."""
    replays.plays(begun=FOLDER / "claude-7-err400.json")
    job = replays.job()
    assert replays.work(job) == "retry"
    assert replays.session(job).runtime_session == ""
    assert "refused its conversation" in replays.session(job).reason
    replays.plays(begun=FOLDER / f"{BASIC}.json")
    assert replays.work(job) == "finished"
    assert all("--resume" not in run["argv"] for run in replays.received())


def test_turn_is_begun_anew_once(replays: Replays) -> None:
    """A program that gives up again has failed; there is no third process, and the attempt is lost."""
    job = replays.with_a_conversation()
    replays.plays(begun=FOLDER / f"{UNKNOWN}.json")
    assert replays.work(job) == "fail"
    assert len(replays.received()) == 3
    assert replays.find(job).state is JobState.FAILED
    assert len(replays.fleet.events("session.lost")) == 1


def test_agent_that_was_at_work_is_not_begun_anew(replays: Replays) -> None:
    """It crashed in its conversation: that is for the next attempt, which may find the conversation."""
    job = replays.with_a_conversation()
    replays.plays(begun=replays.crashed, resumed=replays.crashed)
    replays.work(job)
    assert len(replays.received()) == 2
    assert replays.fleet.events("session.lost") == []
