"""Real agent programs through `run_turn`: what the recordings say still holds."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from routing.jobs.ending import Ending
from routing.process.table import ProcessTable
from tasks.agents.runtimes.agent_event import Usage
from tasks.agents.runtimes.registry import runtime_for
from tasks.agents.runtimes.runtime import RuntimeSpec, TurnInput
from tasks.agents.turn.limits import TurnLimits
from tasks.agents.turn.process import run_turn
from tasks.agents.turn.result import TurnResult
from tasks.agents.turn.stop_signal import StopSignal
from tests.real.model_stub import INPUT_TOKENS, OUTPUT_TOKENS, ModelStub
from tests.real.programs import ENVIRONMENTS, MODELS

_UNKNOWN = "4b6e1f68-b08a-40d0-bd63-cdc8d1e1de3c"


@dataclass(kw_only=True)
class ProgramBench:
    """Runs turns of one program in one folder."""

    name: str
    folder: Path
    programs: Path
    url: str
    tools: tuple[str, ...] = ()

    @property
    def tree(self) -> Path:
        """The agent's work tree."""
        return self.folder / "tree"

    def turn(self, prompt: str, *, session: str | None = None, billed: Usage | None = None) -> TurnResult:
        """Run one turn to its end."""
        self.tree.mkdir(exist_ok=True)
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        path = os.pathsep.join([str(self.programs), os.environ["PATH"]])
        turn = TurnInput(
            prompt=prompt,
            worktree=self.tree,
            environment={"PATH": path, "HOME": str(home), **ENVIRONMENTS[self.name](home, self.url)},
            prompt_file=self.folder / "prompt.md",
            log_file=self.folder / "turn.log",
            session_id=session,
            billed=billed or Usage(),
        )
        spec = RuntimeSpec(runtime=self.name, model=MODELS[self.name], tools=self.tools)
        limits = TurnLimits(time_limit_seconds=90, stall_seconds=90)
        return run_turn(runtime_for(spec), turn, stop=StopSignal(), table=ProcessTable(), limits=limits)


@pytest.fixture(params=sorted(ENVIRONMENTS))
def bench(request: pytest.FixtureRequest, tmp_path: Path, programs: Path, model: ModelStub) -> ProgramBench:
    """One program after the other."""
    return ProgramBench(name=request.param, folder=tmp_path, programs=programs, url=model.url)


def test_a_first_turn_is_clean_and_counted(bench: ProgramBench, model: ModelStub) -> None:
    """The prompt arrives whole, the answer comes back, and all is known of what it took."""
    prompt = "mail one\n\nmail two: 'quoted' $(touch owned)"
    result = bench.turn(prompt)
    assert (result.ended_by, result.exit_code, result.clean) == (Ending.RESULT, 0, True)
    assert model.heard[-1] == [prompt]
    assert "heard: mail one" in result.output_tail
    assert result.session_id
    assert (result.usage.input_tokens, result.usage.output_tokens) == (INPUT_TOKENS, OUTPUT_TOKENS)
    assert bool(result.usage.cost_usd) == (bench.name == "claude")
    assert (result.malformed_lines, result.survivors) == (0, 0)
    assert not list(bench.tree.iterdir())


def test_a_resumed_turn_goes_on_and_is_billed_once(bench: ProgramBench, model: ModelStub) -> None:
    """The second turn knows of the first, under the same id, and costs what it costs alone."""
    first = bench.turn("alpha")
    second = bench.turn("beta", session=first.session_id, billed=first.usage)
    assert second.clean
    assert model.heard[-1] == ["alpha", "beta"]
    assert (second.session_id, second.resume_mismatch, second.session_lost) == (
        first.session_id,
        False,
        False,
    )
    assert second.usage.cost_usd == pytest.approx(first.usage.cost_usd)
    assert replace(second.usage, cost_usd=0) == replace(first.usage, cost_usd=0)


def test_an_unknown_session_is_lost(bench: ProgramBench, model: ModelStub) -> None:
    """The program gives up, and it is known why."""
    result = bench.turn("x", session=_UNKNOWN)
    assert (result.clean, result.session_lost, result.session_id) == (False, True, _UNKNOWN)
    assert model.heard == []


@pytest.mark.parametrize("status", [400, 429])
def test_a_refusal_of_the_model_is_not_a_clean_turn(
    bench: ProgramBench, model: ModelStub, status: int
) -> None:
    """API errors end the turn, and it is known that it was the API. What that cost is 0, or was not said."""
    model.refuses_with = status
    result = bench.turn("x")
    assert (result.ended_by, result.clean) == (Ending.RESULT, False)
    assert result.api_error is not None
    assert result.api_error.status in {status, None}
    assert result.usage in {Usage(), Usage(cost_usd=0.0)}


def test_an_agent_may_run_commands_and_write_in_its_tree(bench: ProgramBench, model: ModelStub) -> None:
    """Nobody is asked, and nothing is denied, unless the version says so."""
    model.command = "echo made > made.txt"
    assert bench.turn("write a file").clean
    assert (bench.tree / "made.txt").read_text() == "made\n"


@pytest.mark.parametrize(("name", "tools"), [("claude", ("Read",)), ("codex", ("read-only",))])
def test_the_tools_of_the_version_are_a_limit(
    name: str, tools: tuple[str, ...], tmp_path: Path, programs: Path, model: ModelStub
) -> None:
    """What the version does not name is denied, and the turn goes on."""
    model.command = "echo made > made.txt"
    bench = ProgramBench(name=name, folder=tmp_path, programs=programs, url=model.url, tools=tools)
    assert bench.turn("write a file").ended_by is Ending.RESULT
    assert not (bench.tree / "made.txt").exists()


def test_an_empty_prompt_reaches_no_model(bench: ProgramBench, model: ModelStub) -> None:
    """Nothing to say is nothing done, and nothing done is not clean."""
    assert not bench.turn("").clean
    assert model.heard == []
