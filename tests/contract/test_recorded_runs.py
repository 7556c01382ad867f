"""Each runtime against recordings of its real program: what goes to it, and what is made of its doings."""

import json
import os
import shlex
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import tests.programs.replay_agent
from routing.jobs.ending import Ending
from routing.process.table import ProcessTable
from tasks.agents.runtimes.agent_event import AgentEvent, MalformedEvent
from tasks.agents.runtimes.registry import RUNTIMES, runtime_for
from tasks.agents.runtimes.runtime import Runtime, RuntimeSpec, TurnInput
from tasks.agents.turn.limits import TurnLimits
from tasks.agents.turn.process import run_turn
from tasks.agents.turn.result import TurnResult
from tasks.agents.turn.stop_signal import StopReason, StopSignal
from tests.contract.recorded_outcomes import OUTCOMES, Ends, Expects
from tests.recordings.agent_recording import FOLDER, AgentRecording, recording_names

_ENDINGS = {
    "by itself": Ending.RESULT,
    "at the deadline": Ending.DEADLINE,
    "by a cancel": Ending.CANCEL,
}
_CLEAN = [
    "claude-1-basic",
    "codex-2-stdin",
    "gemini-1-basic",
    "opencode-1-basic",
]


@dataclass(kw_only=True)
class Stage:
    """A turn whose program is a replay."""

    folder: Path
    recording: AgentRecording
    file: Path | None = None  # the recording as it is to be played, where it was changed
    ends: Ends = "by itself"
    changes: dict[str, Any] = field(default_factory=dict)  # to the turn's input
    events: list[AgentEvent] = field(default_factory=list)
    stop: StopSignal = field(default_factory=StopSignal)

    @property
    def runtime(self) -> Runtime:
        """The runtime, set up as the recording's program was."""
        return runtime_for(RuntimeSpec(runtime=self.recording.runtime, model=self.recording.model))

    def play(self) -> TurnResult:
        """Run the turn."""
        return run_turn(
            self.runtime,
            self.turn_input(),
            stop=self.stop,
            table=ProcessTable(),
            limits=TurnLimits(time_limit_seconds=self._time_limit(), kill_grace_seconds=5),
            on_event=self._hear,
            clock=self._clock,
        )

    def turn_input(self) -> TurnInput:
        """What the turn is given."""
        programs, tree = self.folder / "bin", self.folder / "tree"
        for folder in (programs, tree):
            folder.mkdir(exist_ok=True)
        replay = shlex.join([sys.executable, str(tests.programs.replay_agent.__file__)])
        for name in RUNTIMES:
            (programs / name).write_text(f'#!/bin/sh\nexec {replay} {name} "$@"\n')
            (programs / name).chmod(0o700)
        variables = {
            "PATH": f"{programs}{os.pathsep}/usr/bin:/bin",
            "REPLAY_RECORDING": str(self.file or FOLDER / f"{self.recording.name}.json"),
            "REPLAY_RECEIVED": str(self.folder / "received.json"),
            "REPLAY_ENDS": self.ends,
        }
        fields: dict[str, Any] = {
            "prompt": self.recording.prompt,
            "worktree": tree,
            "environment": variables,
            "prompt_file": self.folder / "prompt.md",
            "log_file": self.folder / "turn.log",
            "session_id": self.recording.session_id,
        }
        return TurnInput(**(fields | self.changes))

    def received(self) -> dict[str, Any]:
        """What the program was given."""
        value: dict[str, Any] = json.loads((self.folder / "received.json").read_text())
        return value

    def _time_limit(self) -> float:
        # A program that says nothing gives no sign to wait for, and nothing that could be missed.
        return 1.0 if self.ends == "at the deadline" and not self._expected_events() else 60.0

    def _all_was_said(self) -> bool:
        log = self.folder / "turn.log"
        expected = self._expected_events()
        return expected > 0 and log.exists() and len(self.events) >= expected

    def _expected_events(self) -> int:
        runtime, said = self.runtime, self.recording
        printed = sum(len(runtime.parse(line)) for line in said.stdout)
        return printed + sum(len(runtime.parse_error(line)) for line in said.stderr)

    def _hear(self, event: AgentEvent) -> None:
        self.events.append(event)
        if self.ends == "by a cancel" and self._all_was_said():
            self.stop.set(StopReason.CANCEL)

    def _clock(self) -> float:
        late = self.ends == "at the deadline" and self._all_was_said()
        return time.monotonic() + (1000.0 if late else 0.0)


def _label(outcome: Expects) -> str:
    return f"{outcome.recording} {outcome.ends}"


@pytest.mark.parametrize("outcome", OUTCOMES, ids=_label)
def test_a_recorded_run_comes_to_its_outcome(outcome: Expects, tmp_path: Path) -> None:
    """A turn whose program does what was recorded is judged, billed and resumed as the table says."""
    recording = AgentRecording.load(outcome.recording)
    stage = Stage(folder=tmp_path, recording=recording, ends=outcome.ends, changes={"billed": outcome.billed})
    result = stage.play()
    assert (result.ended_by, result.exit_code) == (_ENDINGS[outcome.ends], outcome.code)
    assert result.clean == outcome.clean
    assert (result.session_id or "").startswith(outcome.session or "")
    assert (result.session_id is None) == (outcome.session is None)
    assert (result.session_lost, result.resume_mismatch) == (outcome.lost, outcome.mismatch)
    cost = None if outcome.cost is None else pytest.approx(outcome.cost, abs=1e-12)
    assert result.usage.cost_usd == cost
    assert (result.usage.input_tokens, result.usage.output_tokens) == outcome.tokens
    assert outcome.says in result.output_tail
    assert (result.api_error is not None) == outcome.api_error
    assert (result.api_error.status if result.api_error else None) == outcome.status
    assert (result.malformed_lines, result.oversized_lines, result.survivors) == (0, 0, 0)


@pytest.mark.parametrize("name", sorted({outcome.recording for outcome in OUTCOMES}))
def test_the_program_is_given_what_the_real_one_was(name: str, tmp_path: Path) -> None:
    """The recorded words are on the command line in their order, and the prompt on standard input alone."""
    recording = AgentRecording.load(name)
    prompt = "unlike anything else: mail one\n\nmail two"
    stage = Stage(folder=tmp_path, recording=recording, changes={"prompt": prompt})
    stage.play()
    received = stage.received()
    assert received["argv"][0] == recording.runtime
    sent = iter(received["argv"][1:])
    assert [word for word in recording.words if word not in _NOT_SENT and word not in sent] == []
    assert not [word for word in received["argv"] if "unlike" in word]
    assert received["cwd"] == str((tmp_path / "tree").resolve())
    if recording.runtime == "claude":
        assert json.loads(received["stdin"]) == {
            "type": "user",
            "message": {"role": "user", "content": prompt},
        }
    else:
        assert received["stdin"] == prompt


#: Words of recorded command lines that tried what we do not do, or of which the suite has no use.
_NOT_SENT = frozenset({"--dangerously-skip-permissions", "--no-such-flag", "--nosuch", "--max-turns", "1"})


@pytest.mark.parametrize("name", recording_names())
def test_every_recorded_line_is_understood(name: str) -> None:
    """No line of any recording raises, and none is of a kind that the runtime does not know."""
    recording = AgentRecording.load(name)
    runtime = runtime_for(RuntimeSpec(runtime=recording.runtime))
    for line in recording.stdout:
        events = runtime.parse(line)
        assert events
        assert not [event for event in events if isinstance(event, MalformedEvent)]
        for cut in (1, len(line) // 2, len(line) - 1):
            assert isinstance(runtime.parse(line[:cut])[0], MalformedEvent)


@pytest.mark.parametrize("name", _CLEAN)
def test_noise_is_skipped_and_counted(name: str, tmp_path: Path) -> None:
    """Broken, unknown and huge lines between the others change nothing but the counts."""
    recording = AgentRecording.load(name)
    data = json.loads((FOLDER / f"{name}.json").read_text())
    noise = [
        "Warning: no JSON",
        '{"type": "quantum_leap"}',
        "[1]",
        '{"type": 3}',
        "x" * 9_000_000,
    ]
    data["stdout"] = [[0, line] for line in [*noise, *recording.stdout, "{"]]
    changed = tmp_path / "noisy.json"
    changed.write_text(json.dumps(data))
    result = Stage(folder=tmp_path, recording=recording, file=changed).play()
    assert result.clean
    assert (result.malformed_lines, result.oversized_lines) == (6, 1)


@pytest.mark.parametrize("name", _CLEAN)
def test_nothing_beside_a_line_hides_it(name: str, tmp_path: Path) -> None:
    """Terminal sequences, progress before and after it, a string of megabytes in it: the run is the same."""
    recording = AgentRecording.load(name)
    data = json.loads((FOLDER / f"{name}.json").read_text())
    long = {"padding": 'a "quoted" word\n' * 600_000}
    lines = [json.dumps(long | json.loads(line)) for line in recording.stdout[-1:]]
    data["stdout"] = [
        [0, f"\x1b]0;title\x07\x1b[?25h....50%\r{line}\x1b[0m\r"] for line in [*recording.stdout[:-1], *lines]
    ]
    changed = tmp_path / "decorated.json"
    changed.write_text(json.dumps(data))
    result = Stage(folder=tmp_path, recording=recording, file=changed).play()
    assert result.clean
    assert (result.malformed_lines, result.oversized_lines) == (0, 1)


@pytest.mark.parametrize("name", _CLEAN)
def test_without_its_last_line_a_run_is_not_clean(name: str, tmp_path: Path) -> None:
    """Exit code 0 is not enough: the program has to say that the turn is over."""
    recording = AgentRecording.load(name)
    data = json.loads((FOLDER / f"{name}.json").read_text())
    data["stdout"].pop()
    cut = tmp_path / "cut.json"
    cut.write_text(json.dumps(data))
    result = Stage(folder=tmp_path, recording=recording, file=cut).play()
    assert (result.exit_code, result.clean) == (0, False)


@pytest.mark.parametrize("runtime", ["claude", "codex", "gemini", "opencode"])
def test_an_empty_prompt_sends_nothing(runtime: str, tmp_path: Path) -> None:
    """Programs refuse empty input or do nothing; none of them is given a message without words."""
    recording = AgentRecording.load(next(name for name in _CLEAN if name.startswith(runtime)))
    stage = Stage(folder=tmp_path, recording=recording, changes={"prompt": ""})
    assert stage.runtime.stdin(stage.turn_input()) == b""
