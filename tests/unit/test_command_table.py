"""The table of commands says what the commands say of themselves, and keeps a start short."""

import ast
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from console.boundary import Boundary
from console.cli import app
from console.command_table import TABLE, CommandEntry, ListedCommands, imported
from tests.programs.command_line import whole_command_line
from tests.source import ROOT, modules, tree

#: What no command imports before it knows which it is, nor to show a list of commands.
PARTS = {"celery", "kombu", "redis", "pydantic", "requests", "fastapi", "harvest", "structlog"}


@pytest.mark.parametrize("entry", TABLE, ids=lambda entry: entry.name)
def test_a_line_of_the_table_is_its_command(entry: CommandEntry) -> None:
    """Name, summary and kind are the command's own, and help and completion show them alike."""
    listed, command = ListedCommands(name="coalmine").commands[entry.name], imported(entry)
    assert command.name == entry.name
    assert command.help.split("\n\n")[0].replace("\n", " ") == entry.summary
    assert isinstance(command, TyperGroup) is entry.is_group
    assert listed.get_short_help_str() == command.get_short_help_str()
    assert (listed.hidden, listed.deprecated) == (command.hidden, command.deprecated)


def test_every_command_is_in_the_table() -> None:
    """What a module of `console.commands` offers, the command line has."""
    offered = set()
    for path in modules("console"):
        if path.parent == Path("console/commands"):
            offered |= {(path.stem, name) for name in _typers(path)}
    assert offered == {(entry.module, f"{entry.module}_app") for entry in TABLE}
    for entry in TABLE:
        if not entry.is_group:
            names = {other.name for other in TABLE if other.module == entry.module}
            assert names == _commands_of(entry.module)


def _typers(path: Path) -> Iterator[str]:
    """The names of a module that are made by `typer.Typer(…)`."""
    for node in tree(path).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("typer.Typer("):
            yield from (ast.unparse(target) for target in node.targets)


def _commands_of(module: str) -> set[str]:
    whole = imported(CommandEntry(module, module, "", is_group=True))
    return set(whole.commands)


@pytest.mark.parametrize("columns", ["60", "80", "200"])
def test_the_list_is_as_if_all_were_imported(columns: str) -> None:
    """`coalmine --help` prints byte for byte what it would with the commands themselves."""

    class Whole(Boundary):
        """The same, with the real commands."""

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            """The command itself, also for a list."""
            del ctx
            return self.load(cmd_name)

    own = CliRunner().invoke(app, ["--help"], env={"COLUMNS": columns}).stdout
    kept = app.info.cls
    app.info.cls = Whole
    try:
        whole = CliRunner().invoke(app, ["--help"], env={"COLUMNS": columns}).stdout
    finally:
        app.info.cls = kept
    assert own == whole


@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_help_imports_no_part_of_a_fleet(words: list[str]) -> None:
    """A start costs what it uses."""
    program = "import sys; from console.cli import app; app(sys.argv[1:], standalone_mode=False); "
    program += "print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    ended = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=True, cwd=ROOT
    )
    found = set(ended.stderr.split())
    assert "console" in found
    assert not found & PARTS


#: Commands for which options of the root cannot hold, with those that do.
REFUSING = {"demo": set[str](), "config example": set[str](), "init": {"--config"}}

#: What a command calls to have its options hold.
USES = re.compile(
    r"\bopened\(|\b(started\(ctx\)|invocation)\.(settings|coalmine)\b|(_plan|examine)\(started\(ctx\)"
)


def leaves(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every command below one, with the words that run it."""
    for word, below in getattr(command, "commands", {}).items():
        yield from leaves(below, f"{name} {word}".strip())
    if not hasattr(command, "commands"):
        yield name, command


def test_each_command_uses_the_options_of_the_root_or_refuses_them() -> None:
    """None passes over a server, a broker, a namespace or a file of settings that somebody gave."""
    silent, found = set[str](), dict(leaves(whole_command_line()))
    for name, command in found.items():
        whole = Path(inspect.getsourcefile(inspect.unwrap(command.callback)) or "").read_text()
        own = inspect.getsource(inspect.unwrap(command.callback))
        called = re.findall(r"\b(_\w+)\(", own)
        body = r"\(.*?(?=^\S|\Z)"
        helpers = [re.search(f"^def {one}{body}", whole, re.MULTILINE | re.DOTALL) for one in called]
        text = own + "".join(helper[0] for helper in helpers if helper)
        if not USES.search(text):
            silent.add(name)
    assert silent == REFUSING.keys()


@pytest.mark.parametrize("name", REFUSING)
def test_an_option_that_cannot_hold_is_refused(name: str, tmp_path: Path) -> None:
    """Before the command and after it; nothing is written."""
    url = "redis://127.0.0.1:1"
    options = {"--redis-url": url, "--broker-url": url, "--namespace": "prod"}
    options["--config"] = str(tmp_path / "mine.toml")
    for option, value in options.items():
        if option in REFUSING[name]:
            continue
        for words in ([option, value, *name.split()], [*name.split(), option, value]):
            ended = CliRunner().invoke(app, words)
            assert ended.exit_code == 2
            assert f"leave out {option}" in ended.stderr
    assert not list(tmp_path.iterdir())


#: What the commands that read templates and the fleet need not: brokers, forges that are not set up, agents.
NEEDLESS = (
    "celery", "kombu", "requests", "yaml", "routing.forges.gitea", "routing.forges.gitlab",
    "routing.trackers.jira", "routing.webhook", "routing.jobs.mailbox", "harvest.trials.harvester",
    "tasks.backtests", "tasks.agents",
)  # fmt: skip

#: Imports the commands that read, reads both as they do, and prints what was imported.
READ = """
import random, sys
from pathlib import Path
import fakeredis
import console.commands.issue, console.commands.job, console.commands.status, console.commands.template
from console.output.template_views import template_documents
from console.status.fleet_reading import read_status
from routing.templates.version import Snapshot
from tasks.composition.composition import Coalmine
from tasks.settings.settings import load_settings

redis = fakeredis.FakeRedis(decode_responses=True)
parts = Coalmine(settings=load_settings(Path("coalmine.toml")), redis=redis, generator=random.Random(1))
parts.templates.add("shop", Snapshot(command="true"))
assert [each["champion"] for each in template_documents(parts)] == ["shop@v1"]
assert read_status(parts).queued == 0
print(*sys.modules)
"""


def test_commands_that_read_import_what_they_read(tmp_path: Path) -> None:
    """No broker, no forge that is not set up, nothing that runs agents, backtests or the harvest."""
    ended = subprocess.run(
        [sys.executable, "-c", READ],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
    )
    found = ended.stdout.split()
    assert "harvest.evidence.policy" in found
    assert [name for name in found if name.startswith(NEEDLESS)] == []


def test_a_command_is_imported_once() -> None:
    """Asked again, the same one is there."""
    root: Any = get_command(app)
    assert root.load("job") is root.load("job") is root.commands["job"]


def test_a_broken_module_passes_the_boundary(monkeypatch: pytest.MonkeyPatch) -> None:
    """`coalmine` says whose it is when a floor was written over, also when a command finds that."""
    monkeypatch.setitem(sys.modules, "console.commands.config", None)
    with pytest.raises(ImportError):
        get_command(app).main(["config", "show"], standalone_mode=False)
