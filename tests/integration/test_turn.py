"""One turn of real programs: whatever they do, it ends, is recorded, and leaves no process behind."""

import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from routing.jobs.ending import Ending
from routing.process.command import SpawnError
from routing.process.descendants import ProcessIdentity
from routing.process.table import ProcessTable, start_ticks
from tasks.agents.runtimes.agent_event import AgentEvent, MalformedEvent, TextEvent, Usage
from tasks.agents.runtimes.registry import runtime_for
from tasks.agents.runtimes.runtime import Runtime, RuntimeSpec
from tasks.agents.turn.limits import TurnLimits
from tasks.agents.turn.process import run_turn
from tasks.agents.turn.stop_signal import StopReason, StopSignal
from tests.programs.agent_programs import QUICK, AgentBench
from tests.waiting import wait_until

#: Starts a child as the test says, notes its pid in the work tree, and goes on.
_CHILD = """
import os, signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {child!r}], start_new_session={session}, env={environment})
open("child.pid", "w").write(str(child.pid))
"""
_SLEEP = "import time; print('ready', flush=True); time.sleep(60)"
_STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {_SLEEP}"


@pytest.fixture
def bench(tmp_path: Path) -> AgentBench:
    """Agents in a fresh folder."""
    return AgentBench(folder=tmp_path)


def _limits(**changes: float) -> TurnLimits:
    fields = {name: getattr(QUICK, name) for name in TurnLimits.__slots__}
    return TurnLimits(**(fields | changes))


def _child_of(bench: AgentBench) -> int:
    return int((bench.folder / "tree" / "child.pid").read_text())


def _is_gone(pid: int) -> bool:
    return start_ticks(pid) is None


def test_a_turn_records_events_usage_session_and_tail(bench: AgentBench) -> None:
    """JSON lines become events, other lines text; the prompt is on standard input and in the file."""
    result = bench.python(
        "import json, os, sys\n"
        "prompt = sys.stdin.read()\n"
        "assert open(os.environ['COALMINE_PROMPT_FILE']).read() == prompt\n"
        "print('got', prompt)\n"
        "for e in [{'type': 'session', 'id': 's-1'}, \n"
        "          {'type': 'usage', 'cost_usd': 0.25, 'input_tokens': 3},\n"
        "          {'type': 'usage', 'cost_usd': 0.5}, {'type': 'text', 'text': 7},\n"
        "          {'type': 'result', 'text': '\\x1b[31mdone\\x07'}]: print(json.dumps(e))\n"
    )

    assert (result.ended_by, result.exit_code, result.clean) == (Ending.RESULT, 0, True)
    assert result.session_id == "s-1"
    assert result.usage == Usage(cost_usd=0.75, input_tokens=3)
    assert (result.events, result.malformed_lines, result.survivors) == (6, 1, 0)
    assert result.output_tail == "got the prompt\ndone"
    assert bench.events[0] == TextEvent(text="got the prompt")
    assert bench.log_file.read_text().startswith("got the prompt\n")


def test_a_failing_program_is_not_clean_and_its_last_words_are_kept(bench: AgentBench) -> None:
    """An exit code other than 0 is reported, with what was said on standard error."""
    result = bench.shell("echo trying; echo 'no such model' >&2; exit 3")

    assert (result.ended_by, result.exit_code, result.clean) == (Ending.RESULT, 3, False)
    assert "no such model" in result.output_tail
    assert "stderr: no such model" in bench.log_file.read_text()


def test_a_result_that_says_error_is_not_clean(bench: AgentBench) -> None:
    """Exit code 0 does not outweigh a result that calls itself an error."""
    assert not bench.shell("""echo '{"type": "result", "is_error": true}'""").clean


def test_the_last_line_counts_without_a_newline(bench: AgentBench) -> None:
    """What was printed right before the exit is read, even without a newline."""
    assert bench.shell("printf 'last words'").output_tail == "last words"


def test_another_session_than_the_one_resumed_is_noticed(bench: AgentBench) -> None:
    """The observed session wins over the requested one and the difference is recorded."""
    bench.session_id = "old"
    result = bench.shell("""echo '{"type": "session", "id": "new"}'""")
    assert (result.session_id, result.resume_mismatch) == ("new", True)


def test_a_hanging_agent_is_ended_at_its_deadline(bench: AgentBench) -> None:
    """The wall clock ends an agent that goes on talking, and then there is no exit code of its own."""
    bench.limits = _limits(time_limit_seconds=0.5)
    result = bench.python("import time\nwhile True: print('busy', flush=True); time.sleep(0.05)")

    assert (result.ended_by, result.exit_code, result.clean) == (Ending.DEADLINE, None, False)
    assert 0.5 <= result.duration_seconds < 5


def test_a_silent_agent_is_stalled(bench: AgentBench) -> None:
    """An agent without events is ended after the stall time, long before its deadline."""
    bench.limits = _limits(stall_seconds=0.4)
    result = bench.python("import time; print('once', flush=True); time.sleep(60)")

    assert (result.ended_by, result.exit_code) == (Ending.STALL, None)
    assert result.duration_seconds < 5


def test_a_program_that_only_meets_its_limit_is_ended(bench: AgentBench) -> None:
    """Long before its deadline, and by the limit; one that does something in between goes on."""
    limit = """echo '{"type": "limit", "text": "enough"}'; sleep 0.1;"""
    bench.limits = _limits(limit_patience_seconds=0.3)
    result = bench.shell(f"while :; do {limit} done")
    assert (result.ended_by, result.exit_code) == (Ending.STALL, None)
    assert result.limit is not None
    assert result.duration_seconds < 10

    works = """echo '{"type": "tool", "name": "make"}';"""
    result = bench.shell(f"for i in 1 2 3 4 5; do {limit} {works} done; exit 1")
    assert (result.ended_by, result.exit_code, result.limit) == (Ending.RESULT, 1, None)


#: Prints its key: as it is, as JSON, in JSON's escapes, with terminal sequences and with NULs in between.
_TELLS = r"""
import json, os, sys
key = os.environ["API_KEY"]
print(key); print(json.dumps({"type": "text", "text": key}))
print('{"type": "text", "text": "' + key[:3] + "".join(f"\\u{ord(c):04x}" if at % 2 else c for at, c in
      enumerate(key[3:], start=1)) + '"}', flush=True)
print("\x1b[0m".join(key), "\0".join(key), file=sys.stderr)
"""
_HOSTILE = r"""
import sys
for line in (
    rb'{"type":"text","text":"lone \ud83d \u0000 nul"}',
    rb'{"type":"usage","cost_usd":NaN,"input_tokens":3}',
    b'{"type":"usage","cost_usd":' + b"9" * 6000 + b',"input_tokens":4}',
    b'{"type":"text","text":' + b"[" * 5000 + b"]" * 5000 + b"}",
    b"\xff\xfe\0bytes",
    b'\xef\xbb\xbf{"type":"session","id":"s-1"}',
    rb'{"type":"result","text":"\ud83d done","is_error":false}',
):
    sys.stdout.buffer.write(line + b"\n")
"""

#: Prints a result, and does not exit.
_DONE = "import json, sys, time; print(json.dumps({'type': 'result', 'text': 'done'}), flush=True)\n"


def test_a_result_is_the_end_of_the_work(bench: AgentBench) -> None:
    """A program that is done and does not exit is ended after a moment, and its turn is clean."""
    bench.limits = _limits(result_grace_seconds=0.2)
    result = bench.python(
        f"{_DONE}import signal\n"
        'def late(*_): print(\'{"type": "result", "is_error": true}\', flush=True); sys.exit(1)\n'
        "signal.signal(signal.SIGTERM, late)\n"
        "while True: print('server: alive', flush=True); time.sleep(0.02)"
    )
    assert (result.ended_by, result.exit_code, result.clean) == (Ending.RESULT, None, True)
    assert (result.lingered, result.survivors) == (True, 0)
    assert result.duration_seconds < 10


def test_a_result_that_says_error_ends_the_turn_as_well(bench: AgentBench) -> None:
    """There is nothing to wait for; the turn is not clean."""
    bench.limits = _limits(failure_grace_seconds=0.2)
    result = bench.shell("""echo '{"type": "result", "is_error": true}'; exec sleep 600""")
    assert (result.ended_by, result.exit_code, result.clean) == (Ending.RESULT, None, False)


def test_a_program_that_exits_after_its_result_is_judged_by_its_exit_code(bench: AgentBench) -> None:
    """The grace period is for what it still has to do."""
    result = bench.shell("""echo '{"type": "result"}'; sleep 0.3; echo more; exit 3""")
    assert (result.exit_code, result.clean, result.lingered) == (3, False, False)


def test_a_program_that_works_on_after_its_result_is_not_ended(bench: AgentBench) -> None:
    """It has to say another one."""
    bench.limits = _limits(result_grace_seconds=0.2, stall_seconds=1.0)
    tool = "print(json.dumps({'type': 'tool', 'name': 'bash'}), flush=True)"
    result = bench.python(f"{_DONE}{tool}; time.sleep(60)")
    assert (result.ended_by, result.clean) == (Ending.STALL, False)


@pytest.mark.parametrize(
    ("reason", "ended_by"),
    [
        (StopReason.DRAIN, Ending.RESULT),
        (StopReason.STALL, Ending.RESULT),
        (StopReason.CANCEL, Ending.CANCEL),
    ],
)
def test_work_that_is_done_is_not_done_twice(bench: AgentBench, reason: StopReason, ended_by: Ending) -> None:
    """A worker that shuts down after the result does not give the job back; a person's word holds."""
    running = bench.in_background(f"{_DONE}time.sleep(60)")
    wait_until(lambda: bench.events, description="the agent has said its result")
    bench.stop.set(reason)
    result = running.result()
    assert (result.ended_by, result.clean) == (ended_by, ended_by is Ending.RESULT)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_every_byte_is_a_sign_of_life(bench: AgentBench, stream: str) -> None:
    """Dots without a newline, and what is said on standard error, show that it lives."""
    bench.limits = _limits(stall_seconds=1.0)
    write = f"sys.{stream}.write('.'); sys.{stream}.flush()"
    result = bench.python(f"import sys, time\nfor _ in range(12): {write}; time.sleep(0.15)")
    assert (result.ended_by, result.clean) == (Ending.RESULT, True)


def test_an_agent_that_ignores_sigterm_is_killed(bench: AgentBench) -> None:
    """SIGKILL follows SIGTERM after the grace period."""
    bench.stop_at = "ready"
    result = bench.python(_STUBBORN)

    assert (result.ended_by, result.survivors) == (Ending.CANCEL, 0)
    assert QUICK.kill_grace_seconds <= result.duration_seconds < 10


def test_an_agent_may_use_the_grace_period_to_say_goodbye(bench: AgentBench) -> None:
    """Output after SIGTERM is still read."""
    bench.limits = _limits(kill_grace_seconds=10)
    bench.stop_at = "ready"
    result = bench.python(
        "import os, signal, time\n"
        "def bye(*_): os.write(1, b'goodbye'); os._exit(0)\n"
        "signal.signal(signal.SIGTERM, bye)\n"
        "print('ready', flush=True)\ntime.sleep(60)"
    )
    assert result.output_tail == "ready\ngoodbye"
    assert result.duration_seconds < 8


@pytest.mark.parametrize(
    ("child", "session", "environment"),
    [
        pytest.param(_SLEEP, False, "None", id="same group"),
        pytest.param(_SLEEP, True, "None", id="setsid"),
        pytest.param(_STUBBORN, True, "None", id="setsid, ignores SIGTERM"),
        pytest.param(_SLEEP, True, "{}", id="setsid, empty environment, parent alive"),
    ],
)
def test_what_an_agent_started_dies_with_it(
    bench: AgentBench, *, child: str, session: bool, environment: str
) -> None:
    """Ending a turn ends tools that detached themselves."""
    bench.stop_at = "ready"
    program = _CHILD.format(child=child, session=session, environment=environment) + "time.sleep(60)"
    result = bench.python(program)

    assert (result.ended_by, result.survivors) == (Ending.CANCEL, 0)
    assert _is_gone(_child_of(bench))


@pytest.mark.parametrize("session", [False, True])
def test_a_child_that_outlives_its_agent_neither_blocks_nor_survives(
    bench: AgentBench, *, session: bool
) -> None:
    """An agent that exits and leaves a child with its standard output is over when it exits."""
    program = _CHILD.format(child=_SLEEP, session=session, environment="None")
    result = bench.python(program + "print('started', flush=True)")

    assert (result.ended_by, result.exit_code, result.clean) == (Ending.RESULT, 0, True)
    assert result.duration_seconds < 5
    assert "started" in result.output_tail
    assert _is_gone(_child_of(bench))


def test_processes_of_others_are_left_alone(bench: AgentBench) -> None:
    """Ending one turn does not touch another one that runs meanwhile."""
    other = AgentBench(folder=bench.folder / "other")
    other.folder.mkdir()
    running = other.in_background("import time; print('on', flush=True); time.sleep(60)")
    wait_until(lambda: other.events, description="the other agent has spoken")

    bench.limits = _limits(stall_seconds=0.3)
    bench.python(_SLEEP)

    assert running.is_alive
    other.stop.set(StopReason.DRAIN)
    assert running.result().ended_by is Ending.DRAIN


@pytest.mark.long
def test_200_megabytes_of_output_take_little_memory(bench: AgentBench) -> None:
    """Output is streamed; the log stays within its cap."""
    bench.limits = _limits(log_bytes=100_000, time_limit_seconds=600)
    bench.events = _Count()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = bench.python(
        "import sys\nline = b'x' * 9999 + b'\\n'\nfor _ in range(20_000): sys.stdout.buffer.write(line)"
    )

    assert (result.exit_code, result.output_bytes, result.events) == (0, 200_000_000, 20_000)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) < 32 * 1024  # kilobytes on Linux
    assert bench.log_file.stat().st_size < 101_000
    assert len(result.output_tail) <= 4096


class _Count(list[AgentEvent]):
    """Takes events and keeps none."""

    def append(self, event: AgentEvent) -> None:
        """Forget it."""


def test_a_line_of_20_megabytes_is_cut_and_counted(bench: AgentBench) -> None:
    """Only the beginning of an endless line is kept, and the lines after it are read."""
    result = bench.python("print('y' * 20_000_000); print('after')")

    assert (result.oversized_lines, result.malformed_lines, result.exit_code) == (1, 1, 0)
    assert isinstance(bench.events[0], MalformedEvent)
    assert result.output_tail == "after"
    assert bench.log_file.stat().st_size < 1_100_000


def test_too_much_output_ends_the_turn(bench: AgentBench) -> None:
    """An agent that prints without end is ended at the output limit."""
    bench.limits = _limits(output_bytes=3_000_000)
    bench.events = _Count()
    result = bench.python("while True: print('z' * 1000)")
    assert (result.ended_by, result.exit_code) == (Ending.OUTPUT_LIMIT, None)


def test_spending_too_much_ends_the_turn(bench: AgentBench) -> None:
    """The cost that the agent reports is held against its limit."""
    bench.limits = _limits(cost_usd=1.0)
    result = bench.shell("""echo '{"type": "usage", "cost_usd": 1.5}'; sleep 600""")
    assert (result.ended_by, result.usage.cost_usd) == (Ending.BUDGET, 1.5)


def test_an_agent_need_not_read_its_prompt(bench: AgentBench) -> None:
    """A prompt that does not fit into the pipe blocks nobody."""
    bench.prompt = "p" * 1_000_000
    result = bench.shell("echo done")
    assert (result.exit_code, result.output_tail) == (0, "done")

    bench.limits = _limits(stall_seconds=0.4)
    assert bench.python("import time; time.sleep(60)").ended_by is Ending.STALL


def test_a_large_prompt_arrives_whole(bench: AgentBench) -> None:
    """Every byte of the prompt is written, then standard input ends."""
    bench.prompt = "\u00fc" * 500_000
    assert bench.shell("wc -c").output_tail.strip() == "1000000"


@pytest.mark.parametrize("reason", list(StopReason))
def test_a_stop_ends_the_turn_at_once_with_its_reason(bench: AgentBench, reason: StopReason) -> None:
    """A stop does not wait for a poll."""
    running = bench.in_background("import time; print('on', flush=True); time.sleep(60)")
    wait_until(lambda: bench.events, description="the agent has spoken")
    asked_at = time.monotonic()
    bench.stop.set(reason)
    result = running.result()

    assert time.monotonic() - asked_at < 1.5
    assert (result.ended_by, result.exit_code) == (Ending(reason.value), None)


def test_a_turn_that_was_stopped_before_it_began_ends_at_once(bench: AgentBench) -> None:
    """A stop that came first is not overlooked."""
    bench.stop.set(StopReason.CANCEL)
    assert bench.python(_SLEEP).ended_by is Ending.CANCEL


def test_secrets_are_kept_out_of_log_events_and_tail(bench: AgentBench) -> None:
    """An agent that prints what it was entrusted with does not publish it, however it is spelled."""
    bench.secrets = {"API_KEY": 'sk-"12345678'}
    result = bench.python(_TELLS)
    kept = bench.log_file.read_text() + str(bench.events) + result.output_tail
    assert "12345678" not in kept
    assert [str(event).count("[API_KEY]") for event in bench.events] == [1, 1, 1]
    assert result.output_tail.count("[API_KEY]") == 5


def test_hostile_values_lose_their_field_alone(bench: AgentBench) -> None:
    """Half a character, NUL, numbers that are none, brackets by the thousand: all else is read, and valid."""
    result = bench.python(_HOSTILE)
    assert (result.clean, result.session_id, result.usage.input_tokens) == (True, "s-1", 7)
    assert result.usage.cost_usd is None  # it has said nothing that is a number
    assert bench.events[0] == TextEvent(text="lone ? ? nul")
    assert result.output_tail.endswith("? done")
    str(bench.events).encode()


def test_an_agent_that_cannot_be_started_leaves_nothing(bench: AgentBench) -> None:
    """A missing work tree is a SpawnError, not a result."""
    turn = bench.turn_input()
    turn.worktree.rmdir()
    with pytest.raises(SpawnError, match="could not be started"):
        run_turn(_runtime("true"), turn, stop=StopSignal(), table=ProcessTable())


def test_an_agent_that_cannot_be_registered_is_killed_before_it_has_its_prompt(bench: AgentBench) -> None:
    """What registering raises is passed on and the process is gone."""
    spawned: list[ProcessIdentity] = []

    def refuse(identity: ProcessIdentity) -> None:
        spawned.append(identity)
        raise ConnectionError("the store is away")

    with pytest.raises(ConnectionError, match="away"):
        run_turn(
            _runtime("cat > seen; sleep 600"),
            bench.turn_input(),
            stop=StopSignal(),
            table=ProcessTable(),
            on_spawn=refuse,
        )
    assert _is_gone(spawned[0].pid)
    seen = bench.folder / "tree" / "seen"
    assert not seen.exists() or not seen.read_text()


def test_a_failing_listener_ends_the_turn_and_its_processes(bench: AgentBench) -> None:
    """What `on_event` raises is passed on, after the agent's processes were ended."""

    def fail(_: AgentEvent) -> None:
        raise ConnectionError("the store is away")

    with pytest.raises(ConnectionError):
        run_turn(
            _runtime("setsid sleep 600 & echo $! > child.pid; echo on; sleep 600"),
            bench.turn_input(),
            stop=StopSignal(),
            table=ProcessTable(),
            limits=QUICK,
            on_event=fail,
        )
    assert _is_gone(_child_of(bench))


def test_no_descriptor_is_left_open(bench: AgentBench) -> None:
    """A turn gives back every descriptor that it opened, however it ended."""

    def count() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # the names are all that is wanted

    runs: list[Callable[[], object]] = [
        lambda: bench.shell("echo done"),
        lambda: bench.shell("setsid sleep 600 & exit 1"),
    ]
    before = count()
    for run in runs:
        run()
    assert count() == before


def _runtime(line: str) -> Runtime:
    return runtime_for(RuntimeSpec(command=line))
