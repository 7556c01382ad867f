"""The help of every command, on a narrow terminal."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from console.cli import app
from tests.programs.command_line import whole_command_line


def every_command(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """A command and all below it, by their words."""
    yield words, command
    for name, below in getattr(command, "commands", {}).items():
        yield from every_command(below, (*words, name))


COMMANDS = list(every_command(whole_command_line()))

#: Variables that no terminal of 80 columns has room for; docs/settings.md lists them.
LONG = "COALMINE_CANARY__POLICY__"


@pytest.mark.parametrize(
    ("words", "command"), COMMANDS, ids=[" ".join(words) or "root" for words, _ in COMMANDS]
)
def test_options_are_whole_at_80_columns(words: tuple[str, ...], command: Any) -> None:
    """No variable and no word of an option's help is cut off, or taken for markup."""
    shown = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "80"}).stdout
    assert not re.search(r"<[a-z]+>", shown), "types are written as people write them"
    cells = " ".join(line.strip("│ ") for line in shown.splitlines() if line.startswith("│"))
    for option in command.params:
        if option.name in {"install_completion", "show_completion"} or getattr(option, "hidden", False):
            continue
        variable = option.envvar or ""
        assert variable in shown or variable.startswith(LONG)
        for word in (getattr(option, "help", None) or "").split():
            assert word in cells, f"{word} of {option.name}"
