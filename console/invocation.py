"""One run of the command line: its settings and its parts, made when a command first needs them.

Every command gets at the fleet through `opened` or `started`, so that help, completion and usage errors
work on a machine without settings, file or server. What all commands share of the command line is here too:
the annotations of `--json` and `--reason`, and the form of examples.

Parts and settings are imported where they are made, as every command imports this file, and many need few of
them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.local.fleet_place import FleetPlace
from console.output.rendering import when
from console.output.terminal import Terminal
from routing.errors import InvalidInputError, SettingsError
from routing.printable import valid

if TYPE_CHECKING:
    from routing.embedded.private_server import PrivateServer
    from tasks.composition.composition import Coalmine
    from tasks.settings.origins import Origins
    from tasks.settings.settings import Settings

#: Seconds that a command waits for a server that does not answer.
PATIENCE_SECONDS = 1.0

#: `--json`, which every command takes.
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON with stable keys, for scripts.")]

#: `--reason`, for steps that a person takes.
Reason = Annotated[str, typer.Option(help="Why; kept with the decision.")]


@dataclass(kw_only=True)
class Invocation:
    """The options before the command, and what is made from them on first use.

    The root callback makes one for each run and typer's context carries it to the command. Each property is
    made at most once; `close` is called when the command has ended, however it ended, and closes only what
    was made. It is used by one thread; commands that start threads hand them `coalmine`.
    """

    config: Path | None = None  # settings file; None: COALMINE_CONFIG or coalmine.toml
    given: dict[str, Any] = field(default_factory=dict)  # settings that options gave
    _history: PrivateServer | None = None  # of a fleet that does not run; to be stopped at the end
    _lent: set[str] = field(default_factory=set)  # variables that the fleet that was found gave this process

    def take(self, name: str, value: Any) -> None:
        """Keep an option that was given; the last one counts. Called before anything else is."""
        if name == "config":
            self.config = value
        else:
            self.given[name] = value

    @property
    def options(self) -> tuple[str, ...]:
        """The options that were given, before the command or after it."""
        named = [f"--{name.replace('_', '-')}" for name in self.given]
        return (*(["--config"] if self.config else []), *named)

    def refuse_options(self, because: str, *, but: frozenset[str] = frozenset()) -> None:
        """Refuse the options that cannot hold for a command, instead of passing over them.

        `because` says of the command why; `but` names those that hold, as they are typed. Raises
        InvalidInputError when others were given.
        """
        refused = [option for option in self.options if option not in but]
        if refused:
            message = f"{because}; leave out {', '.join(refused)}"
            raise InvalidInputError(message)

    @property
    def variables(self) -> dict[str, str]:
        """The same options as variables, for processes that this one starts; paths are absolute."""
        from tasks.settings.forge_tables import variable_of

        variables = {variable_of(name): str(value) for name, value in self.given.items()}
        return variables | ({"COALMINE_CONFIG": str(self.config.absolute())} if self.config else {})

    @cached_property
    def file(self) -> Path:
        """The settings file; it need not exist unless it was named.

        Where none is named and this folder has none, it is that of the fleet that was found. Raises
        SettingsError for a file that `--config` or COALMINE_CONFIG names and that is not there.
        """
        from tasks.settings.settings import settings_file

        file = settings_file({"COALMINE_CONFIG": str(self.config)} if self.config else None)
        if self._names_a_file or file.is_file() or self.place is None:
            return file
        return self.place.file or file

    @cached_property
    def settings(self) -> Settings:
        """All settings, checked. Without a server in them, those of the fleet that runs in this folder.

        An option counts most, then the environment, then the file. The running fleet's variables are added
        to the environment where they are not set, so they count more than the file and less than what a
        person exported; a server that an option, the environment or a named file gives is another fleet's.
        Raises one SettingsError with everything that is wrong. Old names are read, and a warning on standard
        error says what they are called now.
        """
        from tasks.settings.settings import load_settings

        for name, value in self._found_variables().items():
            if name not in os.environ:
                os.environ[name] = value
                self._lent.add(name)
        return load_settings(self.file, **self.given)

    @cached_property
    def place(self) -> FleetPlace | None:
        """The fleet of this folder, or of the nearest one above; None when a server was named."""
        return None if self._names_a_server else FleetPlace.around()

    def open_history(self) -> bool:
        """Start the private server of a fleet that does not run, to read what it left; `close` stops it.

        Called before the settings are read. Returns whether there was anything to start.
        """
        from tasks.settings.forge_tables import variable_of

        place = self.place
        if place is None or place.is_running or not place.data.is_dir():
            return False
        if not place.has_own_server or variable_of("redis_url") not in place.variables:
            return False
        from routing.embedded.private_server import PrivateServer

        self._history = PrivateServer(place.data)
        self._history.start()
        return True

    def _found_variables(self) -> Mapping[str, str]:
        """The settings of the fleet that was found, if it runs or its server was started to read it."""
        from tasks.settings.forge_tables import variable_of

        if self.place is None:
            return {}
        if self._history is not None:
            return {**self.place.variables, variable_of("redis_url"): self._history.url}
        return self.place.variables if self.place.is_running else {}

    @property
    def origins(self) -> Origins:
        """Where each of the settings comes from; they are read first, as a fleet that is found lends some."""
        from tasks.settings.origins import Origins

        _ = self.settings
        return Origins.read(self.file, options=frozenset(self.variables), fleet=frozenset(self._lent))

    @property
    def _names_a_server(self) -> bool:
        """Whether a person said which server is meant, in another way than by the folder's own file."""
        from tasks.settings.forge_tables import variable_of
        from tasks.settings.settings import file_values

        if "redis_url" in self.given or variable_of("redis_url") in os.environ:
            return True
        return self._names_a_file and "redis_url" in file_values(self.file)

    @property
    def _names_a_file(self) -> bool:
        return self.config is not None or "COALMINE_CONFIG" in os.environ

    @cached_property
    def coalmine(self) -> Coalmine:
        """All parts, connected to each other. A server that does not answer is an error at its first use.

        Calls give up after PATIENCE_SECONDS, sooner than a worker's: a person waits for the answer. Raises
        SettingsError where neither a folder nor the settings lead to a fleet that runs.
        """
        if self.settings.redis_url is None:
            raise SettingsError(no_fleet(self.place))
        from tasks.composition.composition import compose
        from tasks.logs import configure_logs

        configure_logs(self.settings)
        return compose(self.settings, patience_seconds=PATIENCE_SECONDS)

    @cached_property
    def user(self) -> str:
        """The user of this machine, who is recorded with a decision."""
        try:
            return valid(getuser())
        except (OSError, KeyError):  # the user id has no name, as in some containers
            return "somebody"

    def close(self) -> None:
        """Close what was opened. A command that never touched `coalmine` has nothing to close."""
        # cached_property stores what it made in __dict__: asking for the attribute would make it only to
        # close it.
        if "coalmine" in self.__dict__:
            self.coalmine.close()
        if self._history is not None:
            self._history.stop()
            self._history = None


def started(ctx: typer.Context) -> Invocation:
    """The invocation of a command; for commands that need settings or the user, and not the parts.

    TypeError when the command does not hang below the root, which is a fault in how it was registered.
    """
    found = ctx.find_object(Invocation)
    if found is None:
        raise TypeError(ctx.command_path)  # a command outside the app's root
    return found


def opened(ctx: typer.Context, *, as_json: bool, reads: bool = False) -> tuple[Coalmine, Terminal]:
    """The parts, and where to print: nearly every command begins with this.

    Nothing has been sent to a server yet when it returns, so input may be checked before or after it. One
    that only `reads` also shows what a fleet of this folder has left that does not run.
    """
    invocation, terminal = started(ctx), Terminal(as_json=as_json)
    if reads and invocation.open_history() and invocation.place is not None:
        terminal.note(not_running(invocation.place))
    return invocation.coalmine, terminal


def noted(ctx: typer.Context, thing: str = "", *, reason: str = "", by: str = "") -> None:
    """Note what a command has changed, in the command's words and after it did; `thing` is "" for the fleet.

    Who decided is the user of this machine where the command was not given a name.
    """
    from console.decisions.noting import DecisionDoor, note_decision

    invocation, words = started(ctx), " ".join(ctx.command_path.split()[1:])
    note_decision(
        invocation.coalmine, words, thing, by=by or invocation.user, way=DecisionDoor.COMMAND, reason=reason
    )


def no_fleet(place: FleetPlace | None) -> str:
    """That no fleet runs here, or its server is not known, and what to do; `place` is one that was found."""
    if place is not None and place.is_running:
        return (
            f"the fleet of {place.folder} runs, and its server is not known here: its address has a "
            "password, and is in the environment of that `coalmine up` alone; set COALMINE_REDIS_URL here too"
        )
    if place is not None:
        seen = f", last seen {when(place.last_seen_at)}" if place.last_seen_at is not None else ""
        return f"the fleet of {place.folder} is not running{seen}; start it with `coalmine up` there"
    return (
        "no fleet was found: neither this folder nor one above it has a .coalmine folder, and no server is "
        "named; start one with `coalmine up` in your project's folder (`coalmine init` asks what it needs), "
        "or name its server by COALMINE_REDIS_URL"
    )


def not_running(place: FleetPlace) -> str:
    """That a fleet does not run, and when it was last seen."""
    seen = f", last seen {when(place.last_seen_at)}" if place.last_seen_at is not None else ""
    return (
        f"The fleet of {place.folder} is not running{seen}: this is what it left. `coalmine up` there "
        "goes on."
    )


def examples(*lines: str) -> str:
    """Examples for the end of a command's help; typer reads brackets as markup, so they are escaped.

    Each line is a command without the word `coalmine`. The lines are separated by blank ones, because typer
    joins lines that are not.
    """
    return "\n\n".join(["Examples:", *(f"  coalmine {line}".replace("[", "\\[") for line in lines)])
