"""The Runtime protocol: all that differs between one kind of agent program and another, and what it is given.

A turn calls it in this order: `check`, `argv`, `environment` and `stdin` before the start, `parse` for each
line of standard output and `parse_error` for each of standard error, `clean` after the process has exited by
itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self

from routing.accounts.prices import ModelPrice
from routing.accounts.reset_time import Said
from routing.errors import InvalidInputError
from routing.sandbox.profile import SandboxKind, SandboxProfile
from routing.sandbox.sandbox import Sandbox
from routing.templates.version import Snapshot
from tasks.agents.accounts.limit_words import LimitWords
from tasks.agents.runtimes.agent_event import AgentEvent, ApiErrorEvent, LimitEvent, ResultEvent, Usage


class RuntimeRefusedError(InvalidInputError):
    """The version asks for a runtime that does not exist or cannot run as it is described."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RuntimeSpec:
    """What a version's snapshot says about running its agent; the prompts are left out."""

    runtime: str = "command"  # name of the runtime, see `tasks.agents.runtimes.registry`
    command: str | None = None  # shell line of the operator, for the `command` runtime
    model: str | None = None  # in the runtime's own words, None for its default
    tools: tuple[str, ...] = ()  # tools that the agent may use, in the runtime's own words
    environment: Mapping[str, str] = field(default_factory=dict)  # the version's own variables
    secrets: tuple[str, ...] = ()  # names of variables of the worker that the agent is given
    time_limit_seconds: float | None = None  # of a turn, None for the fleet's default
    sandbox: SandboxKind = SandboxKind.NONE  # in which it runs
    profile: SandboxProfile = field(default_factory=SandboxProfile)  # what that lets it reach

    @classmethod
    def of(cls, snapshot: Snapshot) -> Self:
        """Take over the part of a version's snapshot that concerns the runtime."""
        return cls(
            runtime=snapshot.runtime,
            command=snapshot.command,
            model=snapshot.model,
            tools=snapshot.tools,
            environment=dict(snapshot.environment),
            secrets=snapshot.secrets,
            time_limit_seconds=snapshot.time_limit_seconds,
            sandbox=snapshot.sandbox or SandboxKind.NONE,
            profile=snapshot.profile or SandboxProfile(),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionFiles:
    """Where a program keeps its sessions, and what else of the user's it reads there."""

    folder: str  # below the home
    variable: str = ""  # that names another folder, "" for none
    settings: tuple[str, ...] = ()  # files that say how it works
    logins: tuple[str, ...] = ()  # files with which it is logged in

    def place(self, home: Path, environment: Mapping[str, str]) -> Path:
        """The folder, as a program finds it."""
        named = environment.get(self.variable, "") if self.variable else ""
        return Path(named) if Path(named).is_absolute() else home / self.folder


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnInput:
    """What one process of a turn is given."""

    prompt: str  # the whole prompt, see `tasks.agents.turn.prompt`
    worktree: Path  # working directory of the process
    environment: Mapping[str, str]  # the whole environment, see `tasks.agents.environment`
    prompt_file: Path  # where the prompt is also written; outside the work tree
    log_file: Path  # where the output is kept; outside the work tree
    session_id: str | None = None  # session to resume, None to start one
    billed: Usage = field(default_factory=Usage)  # what earlier turns of that session consumed
    secrets: Mapping[str, str] = field(default_factory=dict)  # values by name, kept out of log and events
    price: ModelPrice | None = None  # of its model, for a program that says no dollars; None: not known
    group: int | None = None  # of users that may read the prompt and change what the agent writes
    sends_mail: bool = True  # False for a shadow: nobody hears of it
    sandbox: Sandbox | None = None  # that the process runs in; None: it reaches what the worker can


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """The totals of a turn's events, by which `clean` decides."""

    events: int = 0  # of any kind
    malformed: int = 0  # lines that could not be read
    result: ResultEvent | None = None  # the last one
    session_id: str | None = None  # the first one
    usage: Usage = field(default_factory=Usage)  # of this turn alone
    api_error: ApiErrorEvent | None = None  # the last one, if nothing was done after it
    limit: LimitEvent | None = None  # the same
    api_error_at: float = 0.0  # when these were heard, in seconds since the epoch
    limit_at: float = 0.0
    result_at: float = 0.0
    tools: int = 0  # that were used
    last_errors: tuple[Said, ...] = ()  # the end of standard error by lines, if nothing was done after it
    last_words: tuple[Said, ...] = ()  # the end of all that was printed, by lines

    @property
    def succeeded(self) -> bool:
        """Whether the agent said that its turn is over, and that it went well."""
        return self.result is not None and not self.result.is_error


class Runtime(Protocol):
    """One kind of agent program, set up for one version. Holds no state of a turn: turns may share it.

    The methods are pure, and those that read lines never raise. One that raises all the same is the version's
    failure: before the start the turn is refused, after it the turn ends with `parser_error`. Called by
    several threads.
    """

    @property
    def name(self) -> str:
        """The name by which versions ask for it."""
        ...

    @property
    def resumes(self) -> bool:
        """Whether a session id from an earlier turn means anything to the program."""
        ...

    @property
    def session_files(self) -> SessionFiles | None:
        """Where the program keeps its sessions; None for one that keeps nothing."""
        ...

    @property
    def limit_words(self) -> LimitWords:
        """In which words the program, or its provider, says that an account does not serve."""
        ...

    def check(self) -> None:
        """Raise RuntimeRefusedError when the version's snapshot cannot be run by this runtime."""
        ...

    def argv(self, turn: TurnInput) -> Sequence[str]:
        """Return the program and its arguments; nothing of the prompt is in them."""
        ...

    def environment(self, turn: TurnInput) -> Mapping[str, str]:
        """Return the variables that this kind of program needs beside `turn.environment`."""
        ...

    def stdin(self, turn: TurnInput) -> bytes:
        """Return all that is written to the program's standard input before it is closed."""
        ...

    def parse(self, line: str) -> Sequence[AgentEvent]:
        """Read one line of output, without its newline."""
        ...

    def parse_error(self, line: str) -> Sequence[AgentEvent]:
        """Read one line of standard error; a line without events is kept for people alone."""
        ...

    def clean(self, exit_code: int, seen: Seen) -> bool:
        """Decide whether a process that ended by itself did what it was started for."""
        ...
