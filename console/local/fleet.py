"""A whole fleet on this machine: a private Redis server, workers, beat and, for webhooks, a web process.

All that it writes is below one state folder, where `running.json` says how a running fleet is reached. Its
settings are the environment's; what the plan adds is put into this process's environment, and so reaches the
programs that it starts.
"""

import json
import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType
from typing import Self

from console.local.program import Program
from console.local.supervisor import Supervisor
from console.web.access import checked_token
from routing.embedded.private_server import PrivateServer
from routing.forges.config import RemoteConfig
from routing.process.table import is_there
from tasks.composition.composition import Coalmine, compose
from tasks.settings.settings import PREFIX, Settings, load_settings

#: Where a fleet keeps everything, below the folder that it is started in.
DEFAULT_STATE = Path(".coalmine")

#: Bytes of a program's log before the next file is begun, and how many old files are kept.
LOG_BYTES, LOG_FILES = 5_000_000, 2


@dataclass(frozen=True, kw_only=True, slots=True)
class FleetPlan:
    """What to start. `variables` count more than the environment, which counts more than the file."""

    state: Path  # folder for the server's data, work trees and logs
    variables: Mapping[str, str]  # settings as COALMINE_… variables, over those of the environment
    agents: int = 4  # jobs that are worked on at once
    door: bool = False  # whether to listen for webhooks, if a forge that sends them is set up


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalDoor:
    """Where `coalmine web` is to listen."""

    host: str
    port: int  # never 0
    address: str  # as a browser writes it

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """Where to listen, or None when no forge that sends webhooks is set up.

        Raises InvalidInputError where `coalmine web` would refuse to start. A port that is taken is an error,
        because the forge, or the proxy before us, sends to that one; with port 0 a free one is chosen.
        """
        remote = [forge for forge in settings.forge if isinstance(forge, RemoteConfig)]
        if not any(forge.is_served or forge.secrets for forge in remote):
            return None
        from console.web.server import address_of, listen  # noqa: PLC0415 - only where there is a door

        web = settings.web
        checked_token(web, web.host, public=web.public)
        with listen(web.host, web.port) as listener:
            return cls(host=web.host, port=listener.getsockname()[1], address=address_of(listener))

    @property
    def arguments(self) -> tuple[str, ...]:
        """The arguments of `coalmine` that serve it."""
        return ("web", "--host", self.host, "--port", str(self.port))


class LocalFleet:
    """A fleet that lives as long as a `with` block: the server within it, the programs from `programs` on.

    A server that the settings name is used instead of a private one. One thread uses it. Enter it, use
    `coalmine`, call `programs` once, and run or enter the supervisor that it returns. When the block ends,
    also by an error, the programs are stopped first and the server last, so that they can still hand their
    jobs back.

    Entering changes `os.environ` of this process permanently: make one fleet in a process.
    """

    def __init__(self, plan: FleetPlan) -> None:
        self._plan = plan
        self._state = plan.state.absolute()
        self._server: PrivateServer | None = None
        self._logs: dict[str, logging.Logger] = {}
        self.supervisor: Supervisor | None = None
        self.door: LocalDoor | None = None  # where webhooks are taken
        self.variables: dict[str, str] = {}
        self.coalmine: Coalmine

    @property
    def log_folder(self) -> Path:
        """Where each program has a log, `NAME.log`."""
        return self._state / "logs"

    def __enter__(self) -> Self:
        self._state.mkdir(parents=True, exist_ok=True)
        (self._state / ".gitignore").write_text("*\n", encoding="utf-8")
        self.variables = {**self._places(), **self._plan.variables}
        if f"{PREFIX}REDIS_URL" not in {**os.environ, **self.variables}:
            self._server = PrivateServer(self._state / "redis")
            self._server.start()
            self.variables[f"{PREFIX}REDIS_URL"] = self._server.url
        try:
            # The one place where settings of this process are made: its children inherit the same ones.
            os.environ.update(self.variables)
            self.coalmine = compose(load_settings())
            if self._plan.door:
                self.door = LocalDoor.of(self.coalmine.settings)
            self._note()
        except BaseException:
            self._stop_server()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if self.supervisor is not None:
                self.supervisor.stop()
        finally:
            self.coalmine.redis.close()
            running_file(self._state).unlink(missing_ok=True)
            self._stop_server()
            for log in self._logs.values():
                for handler in log.handlers:
                    handler.close()

    def programs(self) -> Supervisor:
        """The supervisor of the fleet's programs, not started yet; the end of the block stops it.

        There are two workers, so that ticks never wait for agents to finish.
        """
        jobs = ("-Q", "champion,canary", "-P", "threads", "-c", str(self._plan.agents), "-n", "jobs@%h")
        control = ("-Q", "control", "-P", "threads", "-c", "4", "-n", "control@%h")
        quiet = ("--without-gossip", "--without-mingle")
        self.supervisor = Supervisor(
            [
                self._program("worker", "worker", *jobs, *quiet),
                self._program("control", "worker", *control, *quiet),
                self._program("beat", "beat"),
                *([self._web(self.door)] if self.door is not None else []),
            ],
            on_line=self._keep_line,
            grace_seconds=self.coalmine.settings.job.drain_grace_seconds + 10.0,
        )
        return self.supervisor

    def _program(self, name: str, *arguments: str) -> Program:
        """A Celery program with this Python and the fleet's settings, whatever lies in the working folder."""
        argv = (sys.executable, "-P", "-m", "coalmine.celery", *arguments)
        return Program(name=name, argv=argv, env={**os.environ, **self.variables})

    def _web(self, door: LocalDoor) -> Program:
        """The web process. It opens the port itself; `LocalDoor.of` has closed it again after the check."""
        argv = (sys.executable, "-P", "-m", "coalmine", *door.arguments)
        return Program(name="web", argv=argv, env={**os.environ, **self.variables})

    def _places(self) -> dict[str, str]:
        """Settings that keep all files below the state folder; the environment's own are left alone."""
        places = {
            f"{PREFIX}AGENT__WORK_DIR": str(self._state / "work"),
            f"{PREFIX}FORGE__LOCAL__STATE": str(self._state / "forge"),
        }
        return {name: value for name, value in places.items() if name not in os.environ}

    def _keep_line(self, program: str, line: str) -> None:
        """Write a line to the program's log; called in the thread of the supervisor's relay."""
        log = self._logs.get(program)
        if log is None:
            self.log_folder.mkdir(exist_ok=True)
            handler = RotatingFileHandler(
                self.log_folder / f"{program}.log",
                maxBytes=LOG_BYTES,
                backupCount=LOG_FILES,
                encoding="utf-8",
            )
            log = self._logs[program] = logging.Logger(program)  # noqa: LOG001 - not in the tree of this process
            log.addHandler(handler)
        log.info("%s", line)

    def _note(self) -> None:
        """Let other `coalmine` commands in this folder find the fleet.

        The file is for its owner alone: an address may hold a password.
        """
        file = running_file(self._state)
        file.unlink(missing_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as written:
            json.dump({"pid": os.getpid(), "variables": self.variables}, written)

    def _stop_server(self) -> None:
        if self._server is not None:
            self._server.stop()


def running_file(state: Path) -> Path:
    """The file with the process id and the settings of the fleet that runs here."""
    return state / "running.json"


def running_variables(state: Path = DEFAULT_STATE) -> dict[str, str]:
    """The settings of the fleet that runs in this folder; empty when no fleet does, or its process has gone.

    A file that cannot be read, or is of a process of another user, counts as none. The process id may have
    been given to another program since; then a server that does not answer is reported by its first use.
    """
    try:
        noted = json.loads(running_file(state).read_text(encoding="utf-8"))
        if not is_there(int(noted["pid"])):
            return {}
        return {str(name): str(value) for name, value in noted["variables"].items()}
    except (OSError, ValueError, KeyError, AttributeError):
        return {}
