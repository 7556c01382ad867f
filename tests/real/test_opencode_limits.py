"""opencode at a limit: it asks again in silence, for as long as the provider says."""

import json
import os
from pathlib import Path

from routing.accounts.limit import LimitKind
from routing.jobs.ending import Ending
from routing.process.table import ProcessTable
from tasks.agents.runtimes.registry import runtime_for
from tasks.agents.runtimes.runtime import RuntimeSpec, TurnInput
from tasks.agents.turn.limits import TurnLimits
from tasks.agents.turn.process import run_turn
from tasks.agents.turn.result import TurnResult
from tasks.agents.turn.stop_signal import StopSignal
from tests.real.model_stub import INPUT_TOKENS, ModelStub

#: Without what it would fetch from the internet before it begins.
ALONE = {
    "OPENCODE_DISABLE_MODELS_FETCH": "1", "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1", "OPENCODE_PURE": "1",
}  # fmt: skip

#: Seconds of silence that end a turn here, once the model has refused something.
SILENCE = 15.0


def opencode_turn(
    folder: Path, programs: Path, model: ModelStub, *, prompt: str, session: str | None = None
) -> TurnResult:
    """A turn of opencode in the folder's tree, with the stub as the provider of its only model.

    It may take long to begin: silence counts only while the model refuses.
    """
    tree, home = folder / "tree", folder / "home"
    for made in (tree, home):
        made.mkdir(exist_ok=True)
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "stub",
        "options": {"baseURL": f"{model.url}/v1", "apiKey": "none"},
        "models": {"stub-model": {"name": "stub", "tool_call": True}},
    }
    config = folder / "opencode.json"
    config.write_text(json.dumps({"provider": {"stub": provider}}))
    environment = {
        "PATH": os.pathsep.join([str(programs), os.environ["PATH"]]), "HOME": str(home),
        "OPENCODE_CONFIG": str(config), **ALONE,
    }  # fmt: skip
    turn = TurnInput(
        prompt=prompt, worktree=tree, environment=environment, prompt_file=folder / "prompt.md",
        log_file=folder / "turn.log", session_id=session,
    )  # fmt: skip
    runtime = runtime_for(RuntimeSpec(runtime="opencode", model="stub/stub-model"))
    limits = TurnLimits(time_limit_seconds=600, stall_seconds=SILENCE)
    refused = model.refused
    return run_turn(
        runtime, turn, stop=StopSignal(), table=ProcessTable(), limits=limits,
        waits_for_person=lambda: model.refused == refused,
    )  # fmt: skip


def test_silence_after_a_limit_in_mid_turn_is_the_limits(
    tmp_path: Path, programs: Path, model: ModelStub
) -> None:
    """Its tool has run, then it waits for an hour: the account's limit ended it; its session goes on."""
    model.command, model.after_command = "echo one > half", 429
    model.refusal, model.retry_after = "Rate limit reached for requests", 3600
    met = opencode_turn(tmp_path, programs, model, prompt="Do one half, then the other.")
    assert (met.ended_by, met.clean, met.acted) == (Ending.STALL, False, True), met.output_tail
    assert met.limit is not None
    assert (met.limit.kind, met.limit.in_words_alone) == (LimitKind.RATE, False)
    assert met.usage.input_tokens == INPUT_TOKENS
    assert (tmp_path / "tree" / "half").read_text() == "one\n"
    model.refuses_with = None
    after = opencode_turn(tmp_path, programs, model, session=met.session_id, prompt="Go on.")
    assert (after.clean, after.session_id, after.limit) == (True, met.session_id, None), after.output_tail
    heard = model.heard[-1]
    assert any("Do one half" in text for text in heard)
    assert "Go on." in heard[-1]
