"""Options of commands that stand for settings: they hold over the environment, and that over the file."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from typer.main import get_command

from console.cli import app
from console.input.up_options import UpOptions
from harvest.evidence.policy import TrialPolicy
from tests.programs.command_line import own_surroundings, whole_command_line

#: Commands that have such options, and the options that a test tries: here, for `up` in `test_origins`, for
#: trials, jobs and the protocol in the tests of their commands. `plan` shares the annotations of `open`.
TRIED: dict[str, set[str]] = {
    "up": set(UpOptions.__dataclass_fields__),
    "web": {"host", "port", "public"},
    "trial open": {*TrialPolicy.model_fields, "revert_window", "settle_deadline"},
    "trial plan": {*TrialPolicy.model_fields},
    "enqueue": {"max_attempts"},
    "mcp": {"token"},
}


@pytest.fixture(autouse=True)
def _own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    with own_surroundings():
        yield


def with_variables(group: Any, *names: str) -> Iterator[tuple[str, set[str]]]:
    """Each command that has options with a variable of ours, and those options."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from with_variables(command, *names, name)
            continue
        found = {each.name for each in command.params if str(each.envvar or "").startswith("COALMINE_")}
        if found:
            yield " ".join((*names, name)), found


def test_every_option_that_stands_for_a_setting_is_tried() -> None:
    """One that is added to a command is named here, with a test."""
    untried = {name: found - TRIED.get(name, set()) for name, found in with_variables(whole_command_line())}
    assert not {name: found for name, found in untried.items() if found}


def refused(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """Why `coalmine web` does not listen; no server is asked before that."""
    words = ["--redis-url", "redis://127.0.0.1:1", "web", *options]
    assert get_command(app).main(words, standalone_mode=False) != 0
    return capsys.readouterr().err


def test_each_option_of_the_web_process_holds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every address that is named is taken, so that what is said shows which one was meant."""
    with ExitStack() as stack:
        ports = list[int]()
        for host in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
            taken = stack.enter_context(socket.create_server((host, ports[0] if ports else 0)))
            ports.append(taken.getsockname()[1])
        port = str(ports[0])
        Path("coalmine.toml").write_text(tomli_w.dumps({"web": {"host": "127.0.0.1", "port": ports[0]}}))
        monkeypatch.setenv("COALMINE_WEB__HOST", "127.0.0.2")
        assert f"port {port} of 127.0.0.2 is in use" in refused(capsys)
        assert f"port {port} of 127.0.0.3 is in use" in refused(capsys, "--host", "127.0.0.3")
        assert "a public server needs a token" in refused(capsys, "--public")
        Path("coalmine.toml").write_text(tomli_w.dumps({"web": {"port": ports[0], "public": True}}))
        monkeypatch.setenv("COALMINE_WEB__PORT", "1")
        assert f"port {port} of 127.0.0.2 is in use" in refused(capsys, "--no-public", "--port", port)
