"""In which sandbox a version runs: every row of the table, and that a refusal says what to do."""

import pytest

from routing.jobs.signal import SignalKind
from routing.jobs.turn import HindranceKind
from routing.sandbox.bubblewrap_here import Bubblewrap, find_bubblewrap
from routing.sandbox.profile import Injection, SandboxKind, SandboxProfile
from tasks.agents.faults import before_turn
from tasks.agents.runtimes.runtime import RuntimeRefusedError, RuntimeSpec
from tasks.agents.sandbox.choice import SandboxMissingError, choose
from tasks.agents.sandbox.turn_sandbox import AgentSandboxes, _network_variables, needs_login

WORKS = Bubblewrap(program="/usr/bin/bwrap")
FAILS = Bubblewrap(why_not="bwrap is not installed", remedy="install bubblewrap")
NONE, AUTO, BUBBLEWRAP = SandboxKind.NONE, SandboxKind.AUTO, SandboxKind.BUBBLEWRAP


@pytest.mark.parametrize(
    ("wanted", "required", "here", "used"),
    [
        (NONE, NONE, WORKS, NONE),
        (NONE, NONE, FAILS, NONE),
        (AUTO, NONE, WORKS, BUBBLEWRAP),
        (AUTO, NONE, FAILS, NONE),
        (AUTO, AUTO, FAILS, NONE),
        (AUTO, BUBBLEWRAP, WORKS, BUBBLEWRAP),
        (BUBBLEWRAP, NONE, WORKS, BUBBLEWRAP),
        (BUBBLEWRAP, BUBBLEWRAP, WORKS, BUBBLEWRAP),
        (AUTO, BUBBLEWRAP, FAILS, SandboxMissingError),
        (BUBBLEWRAP, NONE, FAILS, SandboxMissingError),
        (NONE, AUTO, WORKS, RuntimeRefusedError),
        (NONE, BUBBLEWRAP, WORKS, RuntimeRefusedError),
    ],
)
def test_a_version_runs_in_what_it_asks_for_or_not_at_all(
    wanted: SandboxKind, required: SandboxKind, here: Bubblewrap, used: SandboxKind | type[Exception]
) -> None:
    """Only `auto` may end in none, and only where the settings do not require more."""
    spec = RuntimeSpec(sandbox=wanted)
    if isinstance(used, SandboxKind):
        assert choose(spec, required=required, bubblewrap=here).kind is used
        return
    with pytest.raises(used):
        choose(spec, required=required, bubblewrap=here)


@pytest.mark.parametrize(("wanted", "refused"), [(NONE, RuntimeRefusedError), (AUTO, SandboxMissingError)])
def test_a_version_whose_secret_is_added_outside_never_runs_without(
    wanted: SandboxKind, refused: type[Exception]
) -> None:
    """Its agent would have no key, and work with whatever login it finds in the home."""
    injected = Injection.model_validate(
        {"host": "api.anthropic.com", "header": "x-api-key", "secret": "ANTHROPIC_API_KEY"}
    )
    spec = RuntimeSpec(sandbox=wanted, profile=SandboxProfile(inject=(injected,)))
    with pytest.raises(refused, match="secret added outside"):
        choose(spec, required=NONE, bubblewrap=FAILS)


def test_running_without_is_reported() -> None:
    """With the reason, what it means, and what to do."""
    choice = choose(RuntimeSpec(sandbox=AUTO), required=NONE, bubblewrap=FAILS)
    assert choice.is_weaker
    assert "bwrap is not installed" in choice.note
    assert "install bubblewrap" in choice.note
    assert not choose(RuntimeSpec(), required=NONE, bubblewrap=FAILS).note


def test_agents_of_another_user_are_not_in_a_sandbox() -> None:
    """They change their user, which nothing can in one: a version that insists does not run."""
    assert choose(RuntimeSpec(sandbox=AUTO), required=NONE, bubblewrap=WORKS, as_other_user=True).is_weaker
    with pytest.raises(SandboxMissingError, match=r"agent\.group"):
        choose(RuntimeSpec(sandbox=BUBBLEWRAP), required=NONE, bubblewrap=WORKS, as_other_user=True)


def test_a_host_that_cannot_leaves_the_job_for_another() -> None:
    """It costs no attempt. What the settings do not allow is the version's own fault."""
    with pytest.raises(SandboxMissingError) as missing:
        choose(RuntimeSpec(sandbox=BUBBLEWRAP), required=NONE, bubblewrap=FAILS)
    waits = before_turn(missing.value)
    assert waits is not None
    assert (waits.hindrance, waits.fault) == (HindranceKind.UNABLE, None)
    with pytest.raises(RuntimeRefusedError) as refused:
        choose(RuntimeSpec(), required=BUBBLEWRAP, bubblewrap=WORKS)
    fails = before_turn(refused.value)
    assert fails is not None
    assert fails.fault is SignalKind.AGENT_ERRORED


def test_a_machine_without_bubblewrap_says_so(tmp_path: object) -> None:
    """By name, and with what to install."""
    found = find_bubblewrap(str(tmp_path))
    if not found.works:  # a wheel beside us may have one
        assert "not installed" in found.why_not
        assert "install bubblewrap" in found.remedy


def test_a_version_without_a_sandbox_has_nothing_looked_for() -> None:
    """So that a fleet that wants none starts no program for it."""
    sandboxes = AgentSandboxes()
    assert sandboxes.choose(RuntimeSpec()).kind is NONE
    assert "bubblewrap" not in vars(sandboxes)


@pytest.mark.parametrize(
    ("runtime", "secrets", "needed"),
    [
        ("claude", (), True),
        ("claude", ("PACKAGE_INDEX_TOKEN",), True),
        ("claude", ("PACKAGE_INDEX_TOKEN", "ANTHROPIC_API_KEY"), False),
        ("codex", ("ANTHROPIC_API_KEY",), True),
        ("codex", ("CODEX_API_KEY",), False),
    ],
)
def test_a_login_is_given_unless_the_version_names_a_key_of_its_program(
    runtime: str, secrets: tuple[str, ...], *, needed: bool
) -> None:
    """A secret that is for something else leaves the agent its way to a model."""
    assert needs_login(RuntimeSpec(runtime=runtime, secrets=secrets)) is needed


@pytest.mark.parametrize(
    ("injected", "needed"),
    [
        ({"host": "api.anthropic.com", "secret": "OUR_KEY"}, False),
        ({"host": "models.example.com", "secret": "ANTHROPIC_API_KEY"}, False),
        ({"host": "models.example.com", "secret": "OUR_KEY", "variable": "ANTHROPIC_BASE_URL"}, False),
        ({"host": "pypi.example.com", "secret": "INDEX_TOKEN", "variable": "PIP_INDEX_URL"}, True),
    ],
)
def test_a_login_is_given_unless_the_key_of_its_model_is_injected(
    injected: dict[str, str], *, needed: bool
) -> None:
    """By its name, by its host, or by where programs look for that; the token of an index is none."""
    profile = SandboxProfile.model_validate({"inject": [{"header": "authorization", **injected}]})
    assert needs_login(RuntimeSpec(runtime="claude", profile=profile)) is needed


@pytest.mark.parametrize(
    ("allow", "near"),
    [
        ((), "localhost,127.0.0.1,::1"),
        (("git.example.com", "127.0.0.10:80"), "localhost,127.0.0.1,::1"),
        (("127.0.0.1:11434",), "localhost,::1"),
        (("localhost", "127.0.0.1"), "::1"),
    ],
)
def test_a_server_of_the_machine_that_is_allowed_is_asked_through_the_proxy(
    allow: tuple[str, ...], near: str
) -> None:
    """By its name the sandbox would find itself; other names of its loopback stay its own."""
    variables = _network_variables(SandboxProfile(allow=allow), [3128])
    assert variables["NO_PROXY"] == variables["no_proxy"] == near
