"""One run of the command line: its settings and the parts, made when a command first needs them."""

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

#: How long a command waits for a server that does not answer.
PATIENCE_SECONDS = 1.0

#: `--json`, which every command takes.
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON with stable keys, for scripts.")]

#: `--reason`, for steps that a person takes.
Reason = Annotated[str, typer.Option(help="Why, in words; kept with the decision.")]


@dataclass(kw_only=True)
class Invocation:
    """What the options in front of the command said. Help and completion need no settings and no server."""

    config: Path | None = None  # settings file; None: COALMINE_CONFIG or coalmine.toml
    given: dict[str, Any] = field(default_factory=dict)  # settings that options gave

    @cached_property
    def file(self) -> Path:
        """The settings file; it need not exist unless it was named."""
        return settings_file({"COALMINE_CONFIG": str(self.config)} if self.config else {})

    @cached_property
    def settings(self) -> Settings:
        """All settings, checked. Where no server is named, the fleet that runs here is meant."""
        if "redis_url" not in self.given:
            for name, value in running_variables().items():
                os.environ.setdefault(name, value)
        return load_settings(self.file, **self.given)

    @cached_property
    def coalmine(self) -> Coalmine:
        """All parts, wired; a missing server shows when it is first asked."""
        configure_logs(self.settings)
        return compose(self.settings, patience_seconds=PATIENCE_SECONDS)

    @cached_property
    def user(self) -> str:
        """Who decides, for the record."""
        try:
            return getuser()
        except (OSError, KeyError):  # no such user in this container
            return "somebody"

    def close(self) -> None:
        """Close what was opened."""
        if "coalmine" in self.__dict__:
            self.coalmine.redis.close()
            self.coalmine.app.close()


def started(ctx: typer.Context) -> Invocation:
    """The invocation that a command runs in."""
    found = ctx.find_object(Invocation)
    if found is None:
        raise TypeError(ctx.command_path)  # a command outside the app's root
    return found


def opened(ctx: typer.Context, *, as_json: bool) -> tuple[Coalmine, Terminal]:
    """What nearly every command begins with: the parts, and where to print."""
    return started(ctx).coalmine, Terminal(as_json=as_json)


def examples(*lines: str) -> str:
    """The examples under a command's help."""
    return "\n\n".join(["Examples:", *(f"  coalmine {line}".replace("[", "\\[") for line in lines)])
