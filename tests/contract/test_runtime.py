"""What every runtime keeps to, whichever program it runs."""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.sandbox.profile import SandboxKind, SandboxProfile
from routing.templates.version import Snapshot
from tasks.agents.runtimes.agent_event import (
    MalformedEvent,
    ResultEvent,
    SessionEvent,
    TextEvent,
)
from tasks.agents.runtimes.json_lines import json_objects
from tasks.agents.runtimes.registry import RUNTIMES, runtime_for
from tasks.agents.runtimes.runtime import Runtime, RuntimeRefusedError, RuntimeSpec, Seen, TurnInput
from tests.pages import Page


@dataclass(frozen=True, kw_only=True)
class Case:
    """A runtime, and lines as its program writes them."""

    spec: RuntimeSpec
    session_line: str  # names session `s-1`
    result_line: str  # a good result
    error_line: str  # a result that says it failed
    unfit: list[RuntimeSpec] = field(default_factory=list)  # specs that it must refuse


def _options(runtime: str) -> list[RuntimeSpec]:
    """Models and tools that would be taken for options."""
    return [
        RuntimeSpec(runtime=runtime, model="--dangerous"),
        RuntimeSpec(runtime=runtime, model=" "),
        RuntimeSpec(runtime=runtime, tools=("Read", "--dangerous")),
    ]


CASES = {
    "command": Case(
        spec=RuntimeSpec(command="agent --headless", model="m", tools=("read", "edit")),
        session_line='{"type": "session", "id": "s-1"}',
        result_line='{"type": "result", "text": "done"}',
        error_line='{"type": "result", "text": "no", "is_error": true}',
        unfit=[RuntimeSpec(command=None), RuntimeSpec(command="  ")],
    ),
    "claude": Case(
        spec=RuntimeSpec(runtime="claude", model="m", tools=("Read", "Bash(git *)")),
        session_line='{"type": "system", "subtype": "init", "session_id": "s-1"}',
        result_line='{"type": "result", "subtype": "success", "is_error": false, "result": "done"}',
        error_line='{"type": "result", "subtype": "success", "is_error": true, "result": "no"}',
        unfit=_options("claude"),
    ),
    "codex": Case(
        spec=RuntimeSpec(runtime="codex", model="m", tools=("workspace-write",)),
        session_line='{"type": "thread.started", "thread_id": "s-1"}',
        result_line='{"type": "turn.completed", "usage": {}}',
        error_line='{"type": "turn.failed", "error": {"message": "no"}}',
        unfit=[
            *_options("codex"),
            RuntimeSpec(runtime="codex", tools=("shell",)),
            RuntimeSpec(runtime="codex", tools=("read-only", "workspace-write")),
        ],
    ),
    "gemini": Case(
        spec=RuntimeSpec(runtime="gemini", model="m", tools=("read_file", "glob")),
        session_line='{"type": "init", "session_id": "s-1"}',
        result_line='{"type": "result", "status": "success"}',
        error_line='{"type": "result", "status": "error", "error": {"message": "no"}}',
        unfit=_options("gemini"),
    ),
    "opencode": Case(
        spec=RuntimeSpec(runtime="opencode", model="p/m", tools=("read", "bash")),
        session_line='{"type": "step_start", "sessionID": "s-1"}',
        result_line='{"type": "step_finish", "part": {"reason": "stop"}}',
        error_line='{"type": "error", "sessionID": "s-1", "error": {"name": "APIError"}}',
        unfit=_options("opencode"),
    ),
}
PROMPT = "do; $(touch owned) 'it' \u00fc\n```"


@pytest.fixture(params=sorted(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    """One runtime after the other."""
    return CASES[request.param]


@pytest.fixture
def runtime(case: Case) -> Runtime:
    """The runtime under test."""
    return runtime_for(case.spec)


@pytest.fixture
def turn(tmp_path: Path) -> TurnInput:
    """Some turn."""
    return TurnInput(
        prompt=PROMPT,
        worktree=tmp_path,
        environment={},
        prompt_file=tmp_path / "prompt.md",
        log_file=tmp_path / "turn.log",
        session_id="s-1",
    )


def test_every_runtime_is_under_contract() -> None:
    """A runtime that is registered is also tested here, under the name that it gives itself."""
    assert set(CASES) == set(RUNTIMES)
    assert all(runtime_for(case.spec).name == name for name, case in CASES.items())


def test_the_prompt_goes_in_by_standard_input_and_never_by_argument(
    runtime: Runtime, turn: TurnInput
) -> None:
    """Nothing of the prompt is on the command line or in the environment."""
    assert PROMPT.encode()[:20] in runtime.stdin(turn)
    outside = [*runtime.argv(turn), *runtime.environment(turn).values()]
    assert all(isinstance(part, str) and "touch owned" not in part for part in outside)


def test_the_session_reaches_a_program_that_can_resume(runtime: Runtime, turn: TurnInput) -> None:
    """A session id is handed over by argument or environment."""
    outside = [*runtime.argv(turn), *runtime.environment(turn).values()]
    assert ("s-1" in outside) == runtime.resumes


def test_model_and_tools_reach_the_program(runtime: Runtime, case: Case, turn: TurnInput) -> None:
    """What the version says about model and tools is handed over by argument or environment."""
    outside = " ".join([*runtime.argv(turn), *runtime.environment(turn).values()])
    assert case.spec.model is not None
    assert all(word in outside for word in (case.spec.model, *case.spec.tools))


def test_an_oddly_coded_prompt_is_sent_all_the_same(runtime: Runtime, turn: TurnInput) -> None:
    """A lone surrogate, which no encoding knows, does not stop a turn."""
    assert b"be" in runtime.stdin(replace(turn, prompt="be\ud800fore"))


def test_session_and_result_lines_are_understood(runtime: Runtime, case: Case) -> None:
    """The two events that every program must be understood in."""
    assert SessionEvent(session_id="s-1") in runtime.parse(case.session_line)
    results = [event for event in runtime.parse(case.result_line) if isinstance(event, ResultEvent)]
    assert [result.is_error for result in results] == [False]


@pytest.mark.parametrize("code", [0, 1, 143, -9])
def test_only_exit_code_0_with_a_good_result_is_clean(runtime: Runtime, case: Case, code: int) -> None:
    """A failing exit, or a result that says error, is never clean."""

    def seen(line: str) -> Seen:
        results = [event for event in runtime.parse(line) if isinstance(event, ResultEvent)]
        return Seen(events=1, result=results[-1], session_id="s-1")

    assert runtime.clean(code, seen(case.result_line)) == (code == 0)
    assert not runtime.clean(code, seen(case.error_line))


def test_a_session_id_that_could_be_an_option_is_not_taken(runtime: Runtime, case: Case) -> None:
    """An id comes back as an argument one day, so it never looks like an option or a path."""
    for bad in ("--dangerous", "../../etc", "a b", "", "x\\u0000y", "s\\n"):
        events = runtime.parse(case.session_line.replace("s-1", bad))
        assert not [event for event in events if isinstance(event, SessionEvent)]


@pytest.mark.parametrize("name", sorted(CASES))
@given(
    line=st.text()
    | st.sampled_from(["{" * 100_000, "[" * 100_000, '{"type": "result", "text": {}}', "9" * 5000])
)
def test_no_line_breaks_the_parser(name: str, line: str) -> None:
    """Whatever a program prints is read without an exception."""
    runtime = runtime_for(CASES[name].spec)
    runtime.parse(line)


def test_a_lone_surrogate_ends_at_the_line_that_holds_it(runtime: Runtime) -> None:
    """Programs print one as an escape; no file, no store and no other program would take it."""
    for event in runtime.parse('{"type": "text", "text": "\\ud83d", "part": {"text": "\\ud83d"}}'):
        json.dumps(asdict(event), ensure_ascii=False).encode()
    face = {"type": "text", "text": "\U0001f600 ?"}
    assert json_objects('{"type": "text", "text": "\\ud83d\\ude00 \\ud83d"}').objects == [face]


#: A result, and lines of which it is a part.
_GOOD = '{"type": "result", "text": "done"}'


@pytest.mark.parametrize(
    "line", ["....{}", "50% {}", "{} {}", "[12:00:01Z] {}", "INFO: {}", "{3} {}", "{}..."]
)
def test_a_command_may_print_progress_beside_an_event(line: str) -> None:
    """Dots, numbers, times, one word, other events."""
    events = runtime_for(CASES["command"].spec).parse(line.replace("{}", _GOOD))
    assert set(events) == {ResultEvent(text="done")}


@pytest.mark.parametrize("line", ["I shall print {}", "{} was printed", "{", '{"type": "result"', "{}{"])
def test_a_command_that_speaks_of_an_event_says_a_text(line: str) -> None:
    """What an agent quotes does not end its turn, and neither does half an event."""
    said = line.replace("{}", _GOOD)
    events = runtime_for(CASES["command"].spec).parse(said)
    assert events == ([ResultEvent(text="done")] if line == "{}{" else [TextEvent(text=said)])


@pytest.mark.parametrize("beside", ["data: {}", "claude: 3 warnings {} and more", "\ufeff{}", "{}{}"])
def test_nothing_beside_an_object_hides_it_from_a_program_that_prints_nothing_else(beside: str) -> None:
    """The programs that have a runtime of their own print JSON alone."""
    for name in ("claude", "codex", "gemini", "opencode"):
        events = runtime_for(CASES[name].spec).parse(beside.replace("{}", CASES[name].result_line))
        assert ResultEvent in {type(event) for event in events}


def test_a_wrong_field_beside_a_result_does_not_hide_it() -> None:
    """It is counted, and left out: costs that are none, lists of other things."""
    line = (
        '{"type": "result", "is_error": false, "result": "done", "total_cost_usd": NaN, "errors": 3,'
        ' "modelUsage": {"m": {"inputTokens": -1, "outputTokens": 7}}}'
    )
    events = runtime_for(CASES["claude"].spec).parse(line)
    assert ResultEvent(text="done") in events
    assert [type(event) for event in events].count(MalformedEvent) == 1
    step = '{"type": "step_finish", "part": {"reason": "stop", "cost": "much", "tokens": {"cache": null}}}'
    assert ResultEvent() in runtime_for(CASES["opencode"].spec).parse(step)


def test_a_known_event_with_wrong_fields_is_malformed(runtime: Runtime, case: Case) -> None:
    """What cannot be read is counted, not guessed."""
    assert isinstance(runtime.parse(case.session_line.replace('"s-1"', "{}"))[0], MalformedEvent)


def test_a_spec_that_cannot_be_run_is_refused(case: Case) -> None:
    """The refusal comes before anything is started."""
    for spec in case.unfit:
        with pytest.raises(RuntimeRefusedError):
            runtime_for(spec)


def test_an_unknown_runtime_is_refused_by_name() -> None:
    """The message names what was asked for and what there is."""
    with pytest.raises(RuntimeRefusedError, match=r"'astrology'.*command"):
        runtime_for(RuntimeSpec(runtime="astrology"))


def test_a_spec_takes_over_all_of_a_snapshot_but_its_prompt() -> None:
    """A field that is added to snapshots reaches runtimes, or this fails."""
    snapshot = Snapshot(
        prompt="p",
        command="agent",
        model="m",
        tools=("read",),
        environment={"A": "b"},
        secrets=("KEY",),
        time_limit_seconds=9.0,
        sandbox=SandboxKind.AUTO,
        profile=SandboxProfile(read=("/opt/tools",)),
    )
    spec = asdict(RuntimeSpec.of(snapshot))
    words = {"prompt", "prompts", "accounts", "fallback"}  # the last two are the claim's
    assert spec == {name: getattr(snapshot, name) for name in Snapshot.model_fields if name not in words}


def test_a_runtime_is_short() -> None:
    """The one that docs/add-a-runtime.md writes has at most 32 lines; test_pages.py shows that it works."""
    code = Page.read("add-a-runtime.md").steps[0]["code"]
    assert len([line for line in code.splitlines() if line]) <= 32
