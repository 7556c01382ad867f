"""Whether an agent's program can be run: what is asked of it, and the words that help."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tasks.agents.runtimes.known_program import KnownProgram, LoginFile, version_of
from tasks.agents.runtimes.readiness import ProgramReadiness, readiness_of
from tasks.agents.runtimes.registry import PROGRAMS, runtime_for
from tasks.agents.runtimes.runtime import RuntimeSpec


class Machine:
    """A machine with programs that answer as the test says, and that notes what they were asked."""

    def __init__(self, folder: Path) -> None:
        self.environment = {"PATH": str(folder / "bin"), "HOME": str(folder)}
        self.folder = folder
        self.version = "99.0.0"
        self.usage = ""
        self.logged_in = False
        self.asked: list[tuple[str, ...]] = []
        self.seen: Mapping[str, str] = {}
        (folder / "bin").mkdir()

    def install(self, program: KnownProgram) -> None:
        """Put a program on the PATH."""
        file = self.folder / "bin" / program.command
        file.write_text("#!/bin/sh\n")
        file.chmod(0o755)

    def ask(self, argv: Sequence[str], environment: Mapping[str, str]) -> tuple[int | None, str]:
        """Answer for the program."""
        self.asked.append(tuple(argv[1:]))
        self.seen = environment
        if argv[1] == "--version":
            return (0, f"it is {self.version}") if self.version else (None, "")
        if "status" in argv:
            return (0 if self.logged_in else 1), ""
        return 0, self.usage

    def readiness(self, runtime: str, **spec: tuple[str, ...]) -> ProgramReadiness:
        """What is found about a version with this runtime."""
        wanted = RuntimeSpec(runtime=runtime, **spec)  # type: ignore[arg-type]
        found = readiness_of(runtime_for(wanted), wanted, self.environment, self.ask)
        assert found is not None
        return found


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """With nothing on it."""
    return Machine(tmp_path)


@pytest.mark.parametrize("runtime", PROGRAMS)
def test_a_program_that_is_not_there_is_named_with_its_installation(machine: Machine, runtime: str) -> None:
    """Nothing is asked of it."""
    found, program = machine.readiness(runtime), PROGRAMS[runtime]
    assert found.lack == f"{program.name} is not installed: no `{program.command}` is on the PATH"
    assert program.install in found.remedy
    assert machine.asked == []


@pytest.mark.parametrize("runtime", PROGRAMS)
def test_a_program_without_a_log_in_is_named_with_the_ways_in(machine: Machine, runtime: str) -> None:
    """Unless it has a model that is free; with each of its keys, or its own word, it is ready."""
    program = PROGRAMS[runtime]
    machine.install(program)
    assert bool(machine.readiness(runtime).lack) == program.needs_login
    if not program.needs_login:
        return
    assert machine.readiness(runtime).words.endswith(f"as agents run it; {program.log_in}")
    for key in program.keys:
        machine.environment[key] = "k"
        assert machine.readiness(runtime).lack, f"{key} of the worker alone does not reach agents"
        assert not machine.readiness(runtime, secrets=(key,)).lack
        assert machine.seen[key] == "k"
        del machine.environment[key]
    machine.logged_in = True
    assert (machine.readiness(runtime).lack == "") == bool(program.login_status)


def test_a_key_that_the_version_names_and_nobody_set_is_a_lack(machine: Machine) -> None:
    """Said with the line that sets it; the program is not asked."""
    machine.install(PROGRAMS["claude"])
    found = machine.readiness("claude", secrets=("ANTHROPIC_API_KEY",))
    assert "needs ANTHROPIC_API_KEY" in found.lack
    assert "export ANTHROPIC_API_KEY=…" in found.remedy


@pytest.mark.parametrize("runtime", PROGRAMS)
def test_an_older_program_is_refused_for_the_options_that_it_lacks(machine: Machine, runtime: str) -> None:
    """Its own help decides; one that knows them all is good enough."""
    program = PROGRAMS[runtime]
    machine.install(program)
    machine.version, machine.usage = "0.0.9", " ".join(program.options[1:])
    found = machine.readiness(runtime, secrets=())
    assert found.lack == f"{program.name} 0.0.9 does not know {program.options[0]}"
    assert found.remedy == f"install {program.seen} or newer: {program.install}"
    machine.usage = " ".join(program.options)
    assert "know" not in machine.readiness(runtime).lack


@pytest.mark.parametrize("version", ["", "soon"])
def test_a_program_that_does_not_say_its_version_is_broken(machine: Machine, version: str) -> None:
    """No answer in time, or something else than a version."""
    machine.install(PROGRAMS["codex"])
    machine.version = version
    assert "--version`" in machine.readiness("codex").lack


def test_a_program_of_nobody_knows_what_is_not_looked_at() -> None:
    """A shell line may be anything."""
    spec = RuntimeSpec(command="./agent.sh")
    assert readiness_of(runtime_for(spec), spec, {}) is None


@pytest.mark.parametrize(
    ("runtime", "file", "text"),
    [
        ("claude", ".claude/.credentials.json", "{}"),
        ("codex", ".codex/config.toml", '[x]\nmodel_provider = "mine"\n'),
        ("gemini", ".gemini/settings.json", json.dumps({"security": {"auth": {"selectedType": "oauth"}}})),
        ("gemini", ".gemini/.env", "GEMINI_API_KEY=k\n"),
    ],
)
def test_a_file_of_the_programs_may_show_a_way_in(
    machine: Machine, runtime: str, file: str, text: str
) -> None:
    """Below the home that agents have."""
    machine.install(PROGRAMS[runtime])
    (machine.folder / file).parent.mkdir()
    (machine.folder / file).write_text("nothing of it")
    assert bool(machine.readiness(runtime).lack) == (runtime != "claude")
    (machine.folder / file).write_text(text)
    assert not machine.readiness(runtime).lack


def test_a_file_is_looked_for_where_its_variable_says(tmp_path: Path) -> None:
    """And nowhere without a home."""
    (tmp_path / "auth").write_text("x")
    file = LoginFile(variable="MINE", folder=".mine", path="auth")
    assert file.vouches({"MINE": str(tmp_path)})
    assert not file.vouches({"HOME": str(tmp_path)})
    assert not file.vouches({})


def test_an_address_with_a_password_is_given_as_a_secret() -> None:
    """Only its name is stored; an address without one is a part of the version."""
    program, name = PROGRAMS["claude"], "ANTHROPIC_BASE_URL"
    for address, is_secret in (("http://127.0.0.1:8", False), ("http://me:pw@127.0.0.1:8", True)):
        assert (name in program.keys_in({name: address})) == is_secret
        assert (name in program.surroundings_in({name: address})) != is_secret


@pytest.mark.parametrize(
    ("text", "version"),
    [("2.1.329 (Claude Code)", (2, 1, 329)), ("codex-cli 0.169.0-alpha.1", (0, 169, 0)), ("none", ())],
)
def test_a_version_is_found_in_what_is_printed(text: str, version: tuple[int, ...]) -> None:
    """The first one counts."""
    assert version_of(text) == version
