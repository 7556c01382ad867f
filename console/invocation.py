"""One run of the command line: its settings and its parts, made when a command first needs them."""

import os
from dataclasses import dataclass, field
from functools import cached_property
from getpass import getuser
from pathlib import Path
from typing import Annotated, Any

import typer

from console.local.fleet import running_variables
from console.output.terminal import Terminal
from tasks.composition.composition import Coalmine, compose
from tasks.logs import configure_logs
from tasks.settings.settings import Settings, load_settings, settings_file

#: Seconds that a command waits for a server that does not answer.
PATIENCE_SECONDS = 1.0

#: `--json`, which every command takes.
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON with stable keys, for scripts.")]

#: `--reason`, for steps that a person takes.
Reason = Annotated[str, typer.Option(help="Why; kept with the decision.")]


@dataclass(kw_only=True)
class Invocation:
    """The options before the command, and what is made from them on first use.

    Help and completion read no settings and open no connection. `close` closes what was opened.
    """

    config: Path | None = None  # settings file; None: COALMINE_CONFIG or coalmine.toml
    given: dict[str, Any] = field(default_factory=dict)  # settings that options gave

    @cached_property
    def file(self) -> Path:
        """The settings file; it need not exist unless it was named."""
        return settings_file({"COALMINE_CONFIG": str(self.config)} if self.config else {})

    @cached_property
    def settings(self) -> Settings:
        """All settings, checked. Without a server in them, those of the fleet that runs in this folder."""
        if "redis_url" not in self.given:
            for name, value in running_variables().items():
                os.environ.setdefault(name, value)
        return load_settings(self.file, **self.given)

    @cached_property
    def coalmine(self) -> Coalmine:
        """All parts, connected to each other. A missing server is an error at its first use, not here."""
        configure_logs(self.settings)
        return compose(self.settings, patience_seconds=PATIENCE_SECONDS)

    @cached_property
    def user(self) -> str:
        """The user of this machine, who is recorded with a decision."""
        try:
            return getuser()
        except (OSError, KeyError):  # the user id has no name, as in some containers
            return "somebody"

    def close(self) -> None:
        """Close what was opened."""
        if "coalmine" in self.__dict__:
            self.coalmine.redis.close()
            self.coalmine.app.close()


def started(ctx: typer.Context) -> Invocation:
    """The invocation of a command; TypeError for a command that is not below the root."""
    found = ctx.find_object(Invocation)
    if found is None:
        raise TypeError(ctx.command_path)  # a command outside the app's root
    return found


def opened(ctx: typer.Context, *, as_json: bool) -> tuple[Coalmine, Terminal]:
    """The parts, and where to print: nearly every command begins with this."""
    return started(ctx).coalmine, Terminal(as_json=as_json)


def examples(*lines: str) -> str:
    """Examples for the end of a command's help; typer reads brackets as markup, so they are escaped."""
    return "\n\n".join(["Examples:", *(f"  coalmine {line}".replace("[", "\\[") for line in lines)])
