"""The commands of `coalmine`: their names and summaries in the order of `--help`, and where each one is.

A command is imported when it is run, or when its own help is asked for: all of them together take far longer
to import than most commands take to run. So what the help and the completion of the root show of a command
stands here, and a test compares it with the command.

A module of `console.commands` has its commands in a `typer.Typer` that is named after it: `job_app` in `job`.
"""

from importlib import import_module
from typing import Any, NamedTuple

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup


class CommandEntry(NamedTuple):
    """A line of `coalmine --help`."""

    name: str
    module: str  # of `console.commands`
    summary: str  # the first paragraph of the command's docstring, or the help of a group
    is_group: bool = False  # the module's commands stand below this name


#: In the order of `coalmine --help`: commands, then groups.
TABLE = (
    CommandEntry(
        "status", "status",
        "Show the fleet: agents at work, the queue, what is held and why, trials, what it costs.",
    ),
    CommandEntry(
        "enqueue", "enqueue",
        "Make a job and print its id, version, arm and draw. With --json, one JSON object on each line.",
    ),
    CommandEntry(
        "pause", "fleet", "Stop dispatch: no job is claimed or published. Agents that are running go on."
    ),
    CommandEntry("resume", "fleet", "Start dispatch again, and try versions again that did not start."),
    CommandEntry(
        "doctor", "doctor",
        "Check settings, servers, workers and forges: what is wrong and how to repair it.",
    ),
    CommandEntry("events", "fleet", "Print the stream of events. With --json, one JSON object on each line."),
    CommandEntry(
        "cost", "cost",
        "Print what agents have cost. Dollars that an agent did not say are unknown, and never counted as 0.",
    ),
    CommandEntry(
        "export", "archive",
        "Write all that the fleet keeps to a file: templates, trials, jobs, issues, mail, events.",
    ),
    CommandEntry(
        "import", "archive",
        "Put an export into an empty namespace. It is checked whole before anything is written.",
    ),
    CommandEntry(
        "init", "init", "Write coalmine.toml: which repository, issues, CI and agent, and who merges."
    ),
    CommandEntry(
        "up", "up",
        "Start the fleet: a private Redis server, workers, beat, pages. Ctrl-C ends it; `up` goes on.",
    ),
    CommandEntry("web", "web", "Serve pages, their API, webhooks and metrics until Ctrl-C."),
    CommandEntry(
        "mcp", "mcp",
        "Serve the Model Context Protocol on standard input and output, for an agent or an editor.",
    ),
    CommandEntry(
        "demo", "demo", "Play the whole story: a worse version is rolled back, a better one graduates."
    ),
    CommandEntry("template", "template", "Templates and their versions.", is_group=True),
    CommandEntry("version", "version", "Versions, and what they have come to.", is_group=True),
    CommandEntry("trial", "trial", "Trials of new versions.", is_group=True),
    CommandEntry(
        "backtest", "backtest", "Versions on past issues whose answer is known.", is_group=True
    ),
    CommandEntry("job", "job", "Jobs.", is_group=True),
    CommandEntry("issue", "issue", "Issues of the backlog.", is_group=True),
    CommandEntry("account", "account", "Accounts that agents work with, and their limits.", is_group=True),
    CommandEntry("mail", "mail", "Mail between people and agents.", is_group=True),
    CommandEntry("notify", "notify", "Notifications to people.", is_group=True),
    CommandEntry("config", "config", "Settings.", is_group=True),
)  # fmt: skip


class ListedCommands(TyperGroup):
    """A group whose commands are those of the table, each imported when it is needed.

    `commands` has a command of that name and summary for each, which lists and completions show and nobody
    runs, until `load` puts the real one in its place.
    """

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self._waiting = {entry.name: entry for entry in TABLE}
        self.commands.update({entry.name: TyperCommand(entry.name, help=entry.summary) for entry in TABLE})

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        """The command that is to be run, or completed: the real one."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command and self.load(str(name)), rest

    def load(self, name: str) -> Any:
        """Import a command, or a whole group, unless that was done; ImportError when its module is broken."""
        entry = self._waiting.pop(name, None)
        if entry is not None:
            self.commands[name] = self.prepared(imported(entry))
        return self.commands[name]

    def prepared(self, command: Any) -> Any:
        """A command that was just imported, as this group wants it; for subclasses."""
        return command


def imported(entry: CommandEntry) -> Any:
    """The command, or the group, of a line of the table."""
    module = import_module(f"console.commands.{entry.module}")
    holder = typer.Typer(add_completion=False, rich_markup_mode="rich")
    holder.add_typer(getattr(module, f"{entry.module}_app"), name=entry.name if entry.is_group else None)
    return typer.main.get_group(holder).commands[entry.name]
