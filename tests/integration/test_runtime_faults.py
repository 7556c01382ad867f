"""Runtimes that raise where they may not: the turn ends, says why, and no process is left."""

from pathlib import Path
from typing import Any

import pytest

from routing.jobs.ending import Ending
from routing.process.table import ProcessTable, start_ticks
from tasks.agents.runtimes.agent_event import AgentEvent, TextEvent
from tasks.agents.runtimes.runtime import Runtime, RuntimeRefusedError, RuntimeSpec
from tasks.agents.turn.limits import TurnLimits
from tasks.agents.turn.process import run_turn
from tasks.agents.turn.result import TurnResult
from tasks.agents.turn.stop_signal import StopReason
from tests.programs.agent_programs import AgentBench
from tests.programs.descriptors import open_descriptors
from tests.programs.faulty_runtime import Faulty
from tests.waiting import wait_until

#: Leaves a process of its own session behind, says something, and hangs; says more at SIGTERM.
CLINGING = (
    "setsid sleep 600 & echo $! > child.pid; trap 'echo more; echo more; exit 1' TERM; echo said; "
    "while :; do sleep 0.05; done"
)
FAR = TurnLimits(time_limit_seconds=60, stall_seconds=60, kill_grace_seconds=10)


@pytest.fixture
def bench(tmp_path: Path) -> AgentBench:
    """Agents in a fresh folder."""
    return AgentBench(folder=tmp_path)


def run(bench: AgentBench, runtime: Runtime, **more: Any) -> TurnResult:
    """One turn of a runtime."""
    given: dict[str, Any] = {
        "stop": bench.stop,
        "table": ProcessTable(),
        "limits": FAR,
        "on_event": bench.events.append,
    }
    return run_turn(runtime, bench.turn_input(), **(given | more))


def faulty(line: str, fails_at: str = "parse", **more: Any) -> Faulty:
    """A runtime that raises."""
    return Faulty(RuntimeSpec(command=line), fails_at, **more)


def child_is_gone(bench: AgentBench) -> bool:
    """Whether what the agent left running has ended."""
    return start_ticks(int((bench.folder / "tree" / "child.pid").read_text())) is None


def has_exited(pid: int) -> bool:
    """Whether a process is gone, or waits for nothing but that its end is noted."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_parser_that_raises_ends_the_turn(bench: AgentBench) -> None:
    """The whole tree dies; the parser is not asked again, the raw lines are kept, and the reason says why."""
    runtime, before = faulty(CLINGING), open_descriptors()
    result = run(bench, runtime)
    assert (result.ended_by, result.exit_code, result.clean, result.survivors) == (
        Ending.PARSER_ERROR, None, False, 0,
    )  # fmt: skip
    assert result.reason == "RuntimeError: the parser is broken"
    assert child_is_gone(bench)
    assert runtime.calls == 1, "what the agent said at its end was not given to the broken parser"
    said = [line for line in bench.log_file.read_text().splitlines() if not line.startswith("stderr: ")]
    assert said == ["said", "more", "more"]
    assert open_descriptors() == before


def test_parser_that_raises_after_the_exit(bench: AgentBench) -> None:
    """The last line comes without a newline, when the process has ended; its exit code is known."""

    def until_it_has_exited(event: AgentEvent) -> None:
        assert isinstance(event, TextEvent)
        wait_until(lambda: has_exited(int(event.text)), description="the agent has exited")

    result = run(bench, faulty("echo $$; printf last; exit 0", after=1), on_event=until_it_has_exited)
    assert (result.ended_by, result.exit_code, result.clean) == (Ending.PARSER_ERROR, 0, False)
    assert bench.log_file.read_text().splitlines()[1:] == ["last"]


def test_what_ended_the_turn_first_holds(bench: AgentBench) -> None:
    """A parser that raises over the last words of a cancelled agent does not make it the parser's end."""
    result = run(bench, faulty(CLINGING, after=1), on_event=lambda _: bench.stop.set(StopReason.CANCEL))
    assert (result.ended_by, result.reason) == (Ending.CANCEL, "")
    assert child_is_gone(bench)


@pytest.mark.parametrize("given", [None, 3, [TextEvent(text=7)]])  # type: ignore[arg-type]
def test_what_is_not_an_event_is_a_parser_error_too(bench: AgentBench, given: Any) -> None:
    """Whatever a parser answers, the turn has an end."""
    runtime = faulty("echo said; sleep 600", "nowhere")
    runtime.parse = lambda _line: given  # type: ignore[method-assign,assignment]
    result = run(bench, runtime)
    assert (result.ended_by, result.clean) == (Ending.PARSER_ERROR, False)
    assert result.reason.startswith(("TypeError: ", "AttributeError: "))


def test_reason_is_bounded_and_holds_no_secret(bench: AgentBench) -> None:
    """Exceptions often repeat what they were given."""
    bench.secrets = {"API_KEY": "sk-12345678"}
    error = ValueError(f"cannot read\n'\x1b[31msk-12345678 {'x' * 10_000}'")
    result = run(bench, faulty("echo said; sleep 600", error=error))
    assert result.reason.startswith("ValueError: cannot read '[API_KEY] xxx")
    assert len(result.reason) <= 500


class Wordless(Exception):  # noqa: N818 - it is not an error of ours
    """An exception that cannot even be printed."""

    def __str__(self) -> str:
        """Raise."""
        raise self


def test_exception_without_words(bench: AgentBench) -> None:
    """The reason names its class."""
    result = run(bench, faulty("echo said; sleep 600", error=Wordless()))
    assert (result.ended_by, result.reason) == (Ending.PARSER_ERROR, "Wordless")


def test_runtime_that_cannot_say_whether_the_turn_was_clean(bench: AgentBench) -> None:
    """It was not; the exit code is known."""
    result = run(bench, faulty("echo said", "clean"))
    assert (result.ended_by, result.exit_code, result.clean) == (Ending.PARSER_ERROR, 0, False)
    assert result.reason == "RuntimeError: the parser is broken"


@pytest.mark.parametrize("where", ["argv", "environment", "stdin"])
def test_runtime_that_raises_before_the_start_is_refused(bench: AgentBench, where: str) -> None:
    """Nothing was started and nothing is left open."""
    before = open_descriptors()
    with pytest.raises(RuntimeRefusedError, match="RuntimeError: the parser is broken"):
        run(bench, faulty("touch started", where))
    assert not (bench.folder / "tree" / "started").exists()
    assert open_descriptors() == before


@pytest.mark.parametrize(
    ("name", "given"), [("argv", []), ("argv", [7]), ("environment", {"A": None}), ("stdin", "text")]
)
def test_runtime_that_gives_no_program_is_refused(bench: AgentBench, name: str, given: object) -> None:
    """An empty command, or values that no process can be given."""
    runtime = faulty("true", "nowhere")
    setattr(runtime, name, lambda _turn: given)
    with pytest.raises(RuntimeRefusedError, match="nothing was started"):
        run(bench, runtime)


@pytest.mark.parametrize("after", [0, 1])
def test_what_no_boundary_catches_leaves_no_process_either(bench: AgentBench, after: int) -> None:
    """A parser that wants the whole program to exit is passed on, when the agent's processes are gone."""
    before = open_descriptors()
    with pytest.raises(SystemExit):
        run(
            bench,
            faulty(CLINGING, error=SystemExit(3), after=after),
            on_event=lambda _: bench.stop.set(StopReason.CANCEL),
        )
    assert child_is_gone(bench)
    assert open_descriptors() == before


def test_listener_that_raises_at_the_end_leaves_no_process(bench: AgentBench) -> None:
    """It is passed on although the turn was being ended for another reason."""

    def hear(event: AgentEvent) -> None:
        bench.stop.set(StopReason.CANCEL)
        if event == TextEvent(text="more"):
            message = "no more"
            raise ValueError(message)

    with pytest.raises(ValueError, match="no more"):
        run(bench, faulty(CLINGING, "nowhere"), on_event=hear)
    assert child_is_gone(bench)
