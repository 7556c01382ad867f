"""A limit that a program met and overcame is not what its turn ends by; one that it ends with is."""

import json
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from routing.accounts.limit import AccountLimit, LimitKind
from routing.jobs.ending import Ending
from routing.process.table import ProcessTable
from tasks.agents.runtimes.agent_event import AgentEvent
from tasks.agents.runtimes.registry import runtime_for
from tasks.agents.runtimes.runtime import RuntimeSpec
from tasks.agents.turn.limits import TurnLimits
from tasks.agents.turn.process import run_turn
from tasks.agents.turn.result import TurnResult
from tasks.agents.turn.stop_signal import StopSignal
from tasks.agents.turn.tally import FLUSH_SECONDS
from tests.programs.agent_programs import AgentBench

#: What each program writes to standard error of a request that it will make again.
GEMINI = "Attempt 1 failed with status 429. Retrying with backoff... ApiError: RESOURCE_EXHAUSTED"
OPENCODE = (
    'timestamp=2026-11-30T11:00:00.000Z level=ERROR run=1 message="stream error" providerID=p modelID=m '
    "session.id=ses_1 small={small} agent=build mode=primary "
    'error.error="AI_APICallError: Rate limit reached"'
)
RETRIES = {"gemini": GEMINI, "opencode": OPENCODE.format(small="false")}

#: That its agent works on.
TOOLS = {
    "gemini": {"type": "tool_use", "tool_name": "run_shell_command", "parameters": {"command": "make"}},
    "opencode": {"type": "tool_use", "sessionID": "ses_1", "part": {"tool": "bash", "state": {"input": {}}}},
}

#: How the turn ends later, for a reason that has nothing to do with the account.
FAILS = {"exit 1": Ending.RESULT, "exec sleep 600": Ending.STALL}

NOW = datetime(2026, 11, 29, 17, 0, tzinfo=UTC).timestamp()
LIMITS = TurnLimits(time_limit_seconds=30, stall_seconds=1.0, kill_grace_seconds=0.3)


def turn_of(
    folder: Path, runtime: str, lines: Sequence[str], *, end: str = "exit 1", pause: float = 0.0
) -> TurnResult:
    """A turn of a program that runs these shell lines, under the name of the runtime's own.

    By the clock of the turn, which begins with NOW, `pause` seconds pass after each event.

    Each line begins once an event of the last one was heard: two streams are read in no order of theirs.
    """
    bench, heard, clock = AgentBench(folder=folder), folder / "heard", [NOW]

    def hear(_: AgentEvent) -> None:
        clock.append(clock[-1] + pause)
        heard.touch()

    program = folder / runtime
    until_heard = f"\nuntil [ -e {heard} ]; do sleep 0.02; done; rm {heard}\n"
    program.write_text("\n".join(["#!/bin/sh", "cat >/dev/null", until_heard.join(lines), end, ""]))
    program.chmod(0o700)
    turn = bench.turn_input()
    environment = {**turn.environment, "PATH": f"{folder}:{Path(sys.executable).parent}:/usr/bin:/bin"}
    fields = {name: getattr(turn, name) for name in type(turn).__slots__} | {"environment": environment}
    return run_turn(
        runtime_for(RuntimeSpec(runtime=runtime, command=str(program))), type(turn)(**fields),
        stop=StopSignal(), table=ProcessTable(), limits=LIMITS,
        on_event=hear, wall_clock=lambda: clock[-1],
    )  # fmt: skip


def says(line: str, *, stderr: bool = False) -> str:
    """A shell line that prints one."""
    return f"printf '%s\\n' {shlex.quote(line)}{' >&2' if stderr else ''}"


def limit_of(result: TurnResult) -> LimitKind | None:
    """The kind of the limit that a turn met."""
    return None if result.limit is None else result.limit.kind


@pytest.mark.parametrize("end", FAILS)
@pytest.mark.parametrize("runtime", RETRIES)
def test_a_limit_that_was_overcome_does_not_end_a_later_failure(
    tmp_path: Path, runtime: str, end: str
) -> None:
    """Asked again with success, worked on, and failed: the account serves."""
    lines = [says(RETRIES[runtime], stderr=True), says(json.dumps(TOOLS[runtime]))]
    result = turn_of(tmp_path, runtime, lines, end=end, pause=FLUSH_SECONDS + 1.0)
    assert (result.ended_by, result.clean, result.acted) == (FAILS[end], False, True)
    assert result.limit is None
    assert RETRIES[runtime] in result.output_tail, "people can read of it all the same"


@pytest.mark.parametrize("runtime", RETRIES)
def test_a_limit_that_comes_last_ends_the_turn(tmp_path: Path, runtime: str) -> None:
    """Whatever was done before it."""
    lines = [says(json.dumps(TOOLS[runtime])), says(RETRIES[runtime], stderr=True)]
    assert limit_of(turn_of(tmp_path, runtime, lines)) is LimitKind.RATE


#: Prints as most programs do by themselves: standard output is written when there is enough of it, or at the
#: end; standard error at once.
BUFFERED = """\
import sys
for line in {output!r}:
    print(line)
print({error!r}, file=sys.stderr, flush=True)
sys.exit(1)
"""

#: What such a program says of its work, and of the limit that ends it.
SPEAKS = {
    **{name: ([json.dumps(TOOLS[name])], line) for name, line in RETRIES.items()},
    "command": ([f"step {number} is done" for number in range(9)], "error: usage limit reached"),
}


@pytest.mark.parametrize("runtime", SPEAKS)
def test_work_that_a_program_prints_as_it_exits_was_done_before(tmp_path: Path, runtime: str) -> None:
    """Its words are read first, and end the turn all the same: it went on with nothing."""
    output, error = SPEAKS[runtime]
    script = tmp_path / "buffered.py"
    script.write_text(BUFFERED.format(output=output, error=error))
    end = f"exec {shlex.quote(sys.executable)} {script}"
    result = turn_of(tmp_path, runtime, [], end=end)
    assert result.exit_code == 1
    assert limit_of(result) in {LimitKind.RATE, LimitKind.USAGE}, result.output_tail


def test_the_time_of_a_limit_counts_from_when_it_was_said(tmp_path: Path) -> None:
    """The turn ends a minute after the program's last words."""
    words = {
        "type": "turn.failed",
        "error": {"message": "You've hit your usage limit. Try again in 5 minutes."},
    }
    limit = turn_of(tmp_path, "codex", [says(json.dumps(words))], pause=60.0).limit
    assert limit is not None
    assert limit.until == NOW + 300.0


def test_a_title_that_could_not_be_made_is_not_the_turns_end(tmp_path: Path) -> None:
    """A small model makes it beside the work, and opencode's log tells that apart."""
    result = turn_of(tmp_path, "opencode", [says(OPENCODE.format(small="true"), stderr=True)])
    assert (result.exit_code, result.limit) == (1, None)
    own = OPENCODE.format(small="false") + " small=true"
    kept = turn_of(tmp_path, "opencode", [says(own, stderr=True)])
    assert isinstance(kept.limit, AccountLimit), "what stands among the words is of the words"
