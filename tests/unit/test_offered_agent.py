"""The agent that `up` is given: the content of its version, and what is looked at before it works."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis
from pydantic import SecretStr

from console.doctor.agent_programs import agent_programs
from console.local.offered_agent import OfferedAgent, check_programs, take
from routing.errors import InvalidInputError
from routing.sandbox.profile import SandboxProfile
from routing.store.redis.health import Status
from routing.templates.version import Snapshot
from tasks.composition.composition import Coalmine, compose
from tasks.settings.forge_tables import ForgeTables
from tasks.settings.origins import Origins
from tasks.settings.settings import Settings
from tasks.settings.up_settings import UpSettings

#: Variables that become options.
RUNTIME = frozenset({"COALMINE_UP__RUNTIME"})


def origins(options: frozenset[str] = frozenset()) -> Origins:
    """Where settings come from: from options, or from nowhere."""
    return Origins(variables={}, options=options, forges=ForgeTables.read({}, {}), renamed={}, file={})


def offered(environment: Mapping[str, str] | None = None, *, asked: bool = False, **up: Any) -> OfferedAgent:
    """What these settings describe."""
    settings = UpSettings.model_validate({"runtime": "claude"} | up)
    made = OfferedAgent.of(settings, origins(RUNTIME if asked else frozenset()), environment or {})
    assert made is not None
    return made


@pytest.fixture
def parts(fake_redis: redis.Redis) -> Coalmine:
    """A fleet without templates."""
    return compose(Settings(redis_url=SecretStr("redis://127.0.0.1:1/0")), redis=fake_redis)


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine on which `claude` is installed."""
    (tmp_path / "claude").write_text("#!/bin/sh\n")
    (tmp_path / "claude").chmod(0o755)
    return {"PATH": str(tmp_path), "HOME": str(tmp_path)}


def logged_in(argv: Sequence[str], environment: Mapping[str, str]) -> tuple[int | None, str]:
    """The answers of a program that is ready."""
    del argv, environment
    return 0, "99.0.0"


def logged_out(argv: Sequence[str], environment: Mapping[str, str]) -> tuple[int | None, str]:
    """The answers of one that nobody logged in."""
    del environment
    return (0, "99.0.0") if argv[1] == "--version" else (1, "")


def test_a_known_program_gets_the_keys_and_places_of_this_shell() -> None:
    """Keys by their names alone, besides those that were named; places as they are; nothing else."""
    environment = {"ANTHROPIC_API_KEY": "k", "CLAUDE_CONFIG_DIR": "/c", "CODEX_HOME": "/x", "MINE": "m"}
    snapshot = offered(environment, secrets=["MINE"], model="opus", prompt="Go.").snapshot
    assert snapshot == Snapshot(
        runtime="claude", model="opus", prompt="Go.", secrets=("ANTHROPIC_API_KEY", "MINE"),
        environment={"CLAUDE_CONFIG_DIR": "/c"},
    )  # fmt: skip


def test_a_sandbox_lets_the_program_reach_its_model() -> None:
    """The host of the address that this shell names, with its port, and those that are given."""
    environment = {"ANTHROPIC_BASE_URL": "http://127.0.0.1:11434/v1", "CLAUDE_CONFIG_DIR": "/c"}
    snapshot = offered(environment, allow=["git.example.com"]).snapshot
    assert snapshot.profile == SandboxProfile(allow=("127.0.0.1:11434", "git.example.com"))


@pytest.mark.parametrize(
    ("up", "words"),
    [
        ({"runtime": "gpt"}, "no agent program is known as 'gpt'; give --runtime claude|codex"),
        ({"agent": "./a.sh"}, "do not describe one agent"),
        ({"runtime": "command"}, "do not describe one agent"),
        ({"runtime": None, "model": "opus"}, r"up\.model is given without an agent; give --runtime claude"),
        ({"runtime": None, "prompt": "Go."}, r"up\.prompt is given without an agent"),
    ],
)
def test_half_an_agent_and_two_are_refused(up: dict[str, Any], words: str) -> None:
    """With what to give."""
    with pytest.raises(InvalidInputError, match=words):
        offered(**up)


def test_a_program_that_cannot_be_run_starts_nothing(parts: Coalmine, machine: dict[str, str]) -> None:
    """Neither the one that is offered nor that of the champion; what is found is said."""
    agent = offered()
    said = check_programs(parts, "implementer", agent, environment=machine, ask=logged_in)
    assert said == ["Claude Code 99.0.0 is installed and logged in"]
    take(parts, "implementer", agent, is_needed=True)
    for again in (agent, None):
        with pytest.raises(InvalidInputError, match=r"nothing was started: .* logged in.*claude auth"):
            check_programs(parts, "implementer", again, environment=machine, ask=logged_out)


def test_a_named_account_is_a_way_in(fake_redis: redis.Redis, machine: dict[str, str]) -> None:
    """One that works is enough; where none does, the first one's lack is said."""
    accounts = [
        {"name": "away", "runtime": "claude", "secrets": ["ANTHROPIC_API_KEY=AWAY_KEY"]},
        {
            "name": "team",
            "runtime": "claude",
            "environment": {"CLAUDE_CONFIG_DIR": machine["HOME"] + "/team"},
        },
    ]
    settings = Settings.model_validate({"redis_url": "redis://127.0.0.1:1/0", "account": accounts})
    parts = compose(settings, redis=fake_redis)
    for is_there in (False, True):
        if is_there:
            Path(machine["HOME"], "team").mkdir()
            Path(machine["HOME"], "team", ".credentials.json").write_text("{}")
            said = check_programs(parts, "implementer", offered(), environment=machine, ask=logged_out)
            assert said == ["Claude Code 99.0.0 is installed and logged in"]
        else:
            with pytest.raises(InvalidInputError, match="is not logged in"):
                check_programs(parts, "implementer", offered(), environment=machine, ask=logged_out)


def test_an_agent_of_the_settings_is_offered_once(parts: Coalmine) -> None:
    """Other keys make it no other agent, and a champion that was promoted since stays; a new model is new."""
    first = offered({"ANTHROPIC_API_KEY": "k"}, model="opus")
    assert take(parts, "implementer", first, is_needed=True) == [
        "implementer@v1 is the champion; it runs: Claude Code with the model opus"
    ]
    parts.templates.propose("implementer", Snapshot(command="./better.sh"))
    parts.templates.promote("implementer@v2", by="me", reason="")
    assert take(parts, "implementer", offered(model="opus"), is_needed=True) == []
    assert parts.templates.champion("implementer").number == 2
    (what, _) = take(parts, "implementer", offered(model="sonnet"), is_needed=True)
    assert what == "implementer@v3 has the new agent and is pending; the champion works on."


def test_an_agent_that_was_asked_for_is_answered(parts: Coalmine) -> None:
    """Also when there is nothing to do."""
    take(parts, "implementer", offered(), is_needed=True)
    said = take(parts, "implementer", offered(asked=True), is_needed=True)
    assert said == ["implementer@v1 (champion) has this agent already"]


def test_without_an_agent_there_is_nobody_to_work(parts: Coalmine) -> None:
    """Refused where issues wait for one, with the ways to name one."""
    with pytest.raises(
        InvalidInputError, match=r"--runtime claude\|codex\|gemini\|opencode, or --agent 'CMD'"
    ):
        take(parts, "implementer", None, is_needed=True)
    assert take(parts, "implementer", None, is_needed=False) == []


def test_doctor_looks_for_the_programs_of_champions(parts: Coalmine, machine: dict[str, str]) -> None:
    """As a warning, since workers may be elsewhere; a key that is not set is the finding of another check."""
    parts.templates.add("writer", Snapshot(command="./agent.sh"))
    assert agent_programs(parts, machine, logged_out).message == (
        "no champion names a program that can be looked for"
    )
    parts.templates.add("implementer", Snapshot(runtime="claude"))
    found = agent_programs(parts, machine, logged_out)
    assert found.status is Status.WARNING
    assert "the champion of implementer cannot be run on this machine: Claude Code 99.0.0" in found.message
    assert agent_programs(parts, machine, logged_in).message == "installed and logged in: Claude Code 99.0.0"
    parts.templates.add("reviewer", Snapshot(runtime="codex", secrets=("CODEX_API_KEY",)))
    assert agent_programs(parts, machine, logged_in).status is Status.OK
