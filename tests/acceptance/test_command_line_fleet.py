"""`coalmine pause`, `resume`, `doctor`, `config show`; help and reference."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from console.boundary import MEANINGS
from tests.programs.command_line import CommandLine, whole_command_line
from tests.servers.faulty_proxy import faulty_proxy

REFERENCE = Path(__file__).parents[2] / "docs" / "command-line.md"


def commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command with its words."""
    command = command or whole_command_line()
    for name, inner in sorted(getattr(command, "commands", {}).items()):
        if hasattr(inner, "commands"):
            yield from commands(inner, (*path, name))
        else:
            yield " ".join((*path, name)), inner


def findings(coalmine: CommandLine, code: int, **variables: str) -> dict[str, str]:
    """The doctor's findings, by check, and its exit code."""
    result = coalmine("doctor", "--wait", "0.1", "--json", **variables)
    assert result.exit_code == code, result.stdout
    found = dict(re.findall(r'"check": "([^"]+)",\s+"status": "([^"]+)"', result.stdout))
    if "sandbox" in found:
        assert found.pop("sandbox") in {"ok", "warning"}  # a warning where there is no bubblewrap
    if "kill-switch" in found:
        assert found.pop("secrecy") in {"ok", "warning"}  # a warning where the tests are run by root
    return found


def test_pause_and_resume(coalmine: CommandLine, template: str) -> None:
    """Dispatch stops with a reason; jobs are accepted meanwhile, and the command says that they wait."""
    assert coalmine.document("pause", "upgrade") == {"paused": True, "changed": True, "reason": "upgrade"}
    assert coalmine.document("pause", "again")["reason"] == "upgrade"
    result = coalmine("enqueue", template, "do")
    assert result.exit_code == 0
    assert "paused (upgrade)" in result.stderr
    assert coalmine.document("resume")["changed"] is True
    assert coalmine.document("resume")["changed"] is False


def test_doctor_finds_a_healthy_store_without_workers(coalmine: CommandLine, template: str) -> None:
    """All is well but for the workers, which is a warning, not a problem."""
    assert template
    found = findings(coalmine, 0)
    assert {check for check, status in found.items() if status != "ok"} == {"workers"}
    shown = coalmine.shown("doctor", "--wait", "0.1")
    assert "read from the environment; there is no coalmine.toml" in shown
    assert "0 agents at work, 0 jobs wait for room" in shown
    assert {"settings", "git", "redis-append-only-file", "dead-letters", "trials"} <= set(found)


def test_doctor_finds_what_is_wrong(coalmine: CommandLine, template: str, tmp_path: Path) -> None:
    """Stranded trials and missing paths are problems; a pause and missing secrets are warnings."""
    coalmine.shown("trial", "open", template)
    coalmine.shown("pause", "upgrade")
    coalmine.shown("template", "add", "other", "--command", "x", "--secret", "NOBODY_HAS_THIS")
    found = findings(
        coalmine, 1, COALMINE_CANARY__ENABLED="false", COALMINE_KILL_SWITCH="on",
        COALMINE_FORGE__LOCAL__REPOSITORY=str(tmp_path), COALMINE_FORGE__LOCAL__ISSUES=str(tmp_path / "no"),
    )  # fmt: skip
    wrong = {check: status for check, status in found.items() if status != "ok"}
    assert wrong == {
        "trials": "problem", "local-forge": "problem", "local-forge-issues": "problem",
        "pause": "warning", "secrets": "warning", "kill-switch": "warning", "workers": "warning",
    }  # fmt: skip


def test_doctor_survives_wrong_settings_and_a_server_that_is_down(coalmine: CommandLine) -> None:
    """What cannot be examined is a finding, not an error."""
    assert findings(coalmine, 1, COALMINE_SEED="x")["settings"] == "problem"
    assert findings(coalmine, 1, COALMINE_REDIS_URL="redis://127.0.0.1:1/0")["redis"] == "problem"


def test_doctor_goes_on_where_a_server_refuses(coalmine: CommandLine) -> None:
    """A refusal is a problem of the server, and no other check is left out for it."""
    with faulty_proxy(coalmine.url) as proxy:
        proxy.refuse("MISCONF it cannot save", only_writes=True)
        found = findings(coalmine, 1, COALMINE_REDIS_URL=proxy.url)
    assert found["redis"] == "problem"
    assert {"settings", "kill-switch", "git"} <= set(found)


def test_config_shows_sources_and_masks_secrets(coalmine: CommandLine, tmp_path: Path) -> None:
    """Each value says where it is from; passwords are shown by no form of the answer."""
    (tmp_path / "coalmine.toml").write_text("[job]\nmax_attempts = 5\n")
    variables = {
        "COALMINE_REDIS_URL": "redis://user:hunter2@127.0.0.1:1/0",
        "COALMINE_BROKER_URL": "amqp://user:hunter2@127.0.0.1:5672//",
        "COALMINE_CANARY__POLICY": '{"share": 0.2}',
    }
    found = coalmine.document("--namespace", "mine", "config", "show", **variables)["settings"]
    assert found["job.max_attempts"]["value"] == 5
    sources = {name: found[name]["source"] for name in ("job.max_attempts", "redis_url", "namespace", "seed")}
    assert sources == {
        "job.max_attempts": "file", "redis_url": "environment", "namespace": "option", "seed": "default",
    }  # fmt: skip
    assert found["canary.policy.share"]["value"] == 0.2
    assert found["times.lease_seconds"]["variable"] == "COALMINE_TIMES__LEASE_SECONDS"
    for shown in (str(found), coalmine.shown("config", "show", **variables)):
        assert "hunter2" not in shown
        assert "127.0.0.1:5672" in shown


#: Commands whose standard output has a form already, which another program reads.
SPEAK_A_PROTOCOL = {"mcp"}


@pytest.mark.parametrize(("words", "command"), list(commands()), ids=[words for words, _ in commands()])
def test_every_command_has_help_examples_json_and_a_reference(
    coalmine: CommandLine, words: str, command: Any
) -> None:
    """The help says what it does with examples, `-h` is enough, and the reference names it."""
    shown = coalmine.shown(*words.split(), "-h")
    assert "Examples" in shown
    assert f"coalmine {words}" in shown
    assert ("--json" in shown) is (words not in SPEAK_A_PROTOCOL)
    assert command.help
    assert f"`{words}" in REFERENCE.read_text()


def test_reference_names_every_exit_code() -> None:
    """With the meaning that the help gives."""
    text = REFERENCE.read_text()
    for code, meaning in MEANINGS.items():
        assert f"| {code.value} | `{code.name}` | {meaning} |" in text


def test_options_show_their_variables(coalmine: CommandLine) -> None:
    """Where a setting exists, the help names its variable."""
    assert "COALMINE_REDIS_URL" in coalmine.shown("-h")
    assert "COALMINE_CANARY__POLICY__SHARE" in re.sub(r"\s|│", "", coalmine.shown("trial", "open", "-h"))
