"""A whole fleet on this machine: a private Redis server, workers, beat and a web process.

All that it writes is below one state folder, where `running.json` says how a running fleet is reached. Its
settings are the environment's; what the plan adds is put into this process's environment, and so reaches the
programs that it starts.
"""

import logging
import os
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType
from typing import Self

from console.local.fleet_place import WORK, keep_state, note_ended, note_running
from console.local.last_options import unsaid
from console.local.program import Program
from console.local.start_checks import check_has_commit
from console.local.supervisor import Supervisor
from console.web.access import checked_token
from console.web.listening import PortInUseError, address_of, listen
from routing.embedded.private_server import PrivateServer
from routing.errors import SettingsError
from routing.forges.config import RemoteConfig
from routing.forges.local.config import LocalConfig
from routing.process.cgroup_probe import usable_cgroup_home
from routing.process.table import ProcessTable
from tasks.agents.mail_socket.unix_socket import sweep
from tasks.agents.supervision.orphans import end_ownerless_turns
from tasks.composition.composition import Coalmine, compose
from tasks.composition.sites import local_configs
from tasks.logs import configure_logs
from tasks.settings.forge_tables import ForgeTables, variable_of
from tasks.settings.origins import Origins, open_variables
from tasks.settings.refused import PREFIX
from tasks.settings.settings import Settings, file_values, load_settings, settings_file
from tasks.work.fleet_lock import FleetLock, hide_from_git, locked_folders, store_name
from tasks.work.remote_lock import RemoteLock, Served

#: Slots of the worker that runs ticks, beside those of backtests.
CONTROL_SLOTS = 4

#: Agents that work at once where neither an option nor the settings say it.
DEFAULT_AGENTS = 2

#: Seconds beyond the agents' grace period that workers have to give their jobs back.
SPARE_SECONDS = 10.0

#: Seconds after which a socket's folder that nobody serves is of a worker that was killed.
KILLED_SECONDS = 2.0

#: Bytes of a program's log before the next file is begun, and how many old files are kept.
LOG_BYTES, LOG_FILES = 5_000_000, 2


@dataclass(frozen=True, kw_only=True, slots=True)
class FleetPlan:
    """What to start. `variables` count more than the environment, which counts more than the file."""

    state: Path  # folder for the server's data, work trees and logs
    variables: Mapping[str, str]  # settings as COALMINE_… variables, over those of the environment
    unsaid: Mapping[str, str] = field(default_factory=dict)  # … where neither environment nor file says any
    last_up: frozenset[str] = frozenset()  # those of `unsaid` that the last `up` was given
    agents: int | None = None  # jobs that are worked on at once; None: as many as the local forge may have
    door: bool = False  # whether to serve pages, and webhooks
    is_found_here: bool = False  # whether commands in this folder find it, wherever its state is
    folder: Path | None = None  # that the programs run in; None: the current one
    temporary: Path | None = None  # where they put temporary files; None: where all programs do


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalDoor:
    """Where `coalmine web` is to listen.

    The socket is open from here on and until the fleet ends, so that no second fleet chooses the same port
    before the web process of this one is there, and a browser waits while that starts anew.
    """

    listener: socket.socket
    host: str
    port: int  # never 0
    address: str  # as a browser writes it
    takes_webhooks: bool  # whether a forge that sends them is set up

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Listen there; with port 0 at a free one. The caller closes `listener`.

        Raises InvalidInputError where `coalmine web` would refuse to start. Where a forge sends webhooks, a
        port that is taken is an error, because the forge, or the proxy before us, sends to that one; pages
        alone may be at another.
        """
        web, is_fixed = settings.web, _takes_webhooks(settings)
        checked_token(web, web.host, public=web.public)
        try:
            listener = listen(web.host, web.port)
        except PortInUseError:
            if is_fixed:
                raise
            listener = listen(web.host, 0)
        return cls(
            listener=listener,
            host=web.host,
            port=listener.getsockname()[1],
            address=address_of(listener),
            takes_webhooks=is_fixed,
        )

    @property
    def arguments(self) -> tuple[str, ...]:
        """The arguments of `coalmine` that serve it."""
        given = ("--host", self.host, "--port", str(self.port), "--descriptor", str(self.listener.fileno()))
        return ("web", *given)


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
        self._leave = ExitStack()
        self._logs: dict[str, logging.Logger] = {}
        self.supervisor: Supervisor | None = None
        self.door: LocalDoor | None = None  # where pages are served, and webhooks are taken
        self.why_no_door = ""  # what keeps pages from being served
        self.why_no_lock = ""  # what keeps repositories of forges on other machines from being locked
        self.variables: dict[str, str] = {}
        self._server: PrivateServer | None = None  # our own
        self._lock: FleetLock  # of the repositories on this machine
        self.agents = DEFAULT_AGENTS
        self.worker = _node("jobs")  # the name of the worker that runs agents
        self.coalmine: Coalmine
        self.origins: Origins

    @property
    def log_folder(self) -> Path:
        """Where each program has a log, `NAME.log`."""
        return self._state / "logs"

    def __enter__(self) -> Self:
        try:
            self._enter()
        except BaseException:
            self._leave.close()
            raise
        return self

    def _enter(self) -> None:
        """Lock what is worked on, start the server, and make the parts; `_leave` undoes it."""
        # The one place where settings of this process are made: its children inherit the same ones.
        os.environ.update(self._plan.variables)
        unsaid_here = unsaid({**self._places(), **self._plan.unsaid}, Origins.read(settings_file()))
        self.variables = {**self._plan.variables, **unsaid_here}
        os.environ.update(unsaid_here)
        settings = load_settings()
        self.origins = self._origins()
        self._state.mkdir(parents=True, exist_ok=True)
        (self._state / ".gitignore").write_text("*\n", encoding="utf-8")
        self._lock_repositories(settings)
        remote = self._leave.enter_context(self._remote_lock(settings))
        self.why_no_lock = remote.why_not
        if settings.redis_url is None:
            server = PrivateServer(self._state / "redis")
            server.start()
            self._leave.callback(server.stop)
            self._server = server
            self.variables[f"{PREFIX}REDIS_URL"] = os.environ[f"{PREFIX}REDIS_URL"] = server.url
            own = store_name(server.url, settings.namespace)  # nobody else has it
            remote.note_store(own)
            self._lock.note_store(own)
        self.coalmine = compose(load_settings(warn=lambda _: None))
        self._leave.callback(self.coalmine.redis.close)
        configure_logs(self.coalmine.settings)  # standard output is for events
        if self._plan.door:
            self._open_door(self.coalmine.settings)
        self._note_running()
        self._leave.callback(lambda: note_ended(self._state, at=time.time()))
        self.agents = self._plan.agents or max(DEFAULT_AGENTS, *_per_repo(settings))

    def _note_running(self) -> None:
        """Let commands find this fleet with its settings, those of this environment and its file included."""
        if self._plan.is_found_here:
            keep_state(self._state)
        file, open_here = settings_file(), open_variables(self.coalmine.settings, self.origins)
        note_running(
            self._state,
            open_here | self.variables,
            at=time.time(),
            file=file if file.is_file() else None,
            has_own_server=self._server is not None,
        )

    def _lock_repositories(self, settings: Settings) -> None:
        """Lock the repositories of all local forges, their issues, and the folder with this fleet's store."""
        folders, hidden = {self._state.resolve()}, list[Path]()
        for local in local_configs(settings):
            if local.repository is not None and local.issues is not None:
                check_has_commit(local.repository)
                folders.update(locked_folders(local.repository, local.issues))
                hidden.append(local.issues)
        self._lock = self._leave.enter_context(FleetLock(folders, state=self._state))
        for issues in hidden:
            hide_from_git(issues)

    def _remote_lock(self, settings: Settings) -> RemoteLock:
        """The lock of the repositories of forges on other machines; fleets with one store share it."""
        url = settings.redis_url
        store = "" if url is None else store_name(url.get_secret_value(), settings.namespace)
        return RemoteLock(served=Served.all_of(settings), state=self._state, store=store)

    def _open_door(self, settings: Settings) -> None:
        """Find where to listen. Pages that the settings do not allow are left out; webhooks are not."""
        try:
            self.door = LocalDoor.of(settings)
            self._leave.enter_context(self.door.listener)
        except SettingsError as error:
            if _takes_webhooks(settings):
                raise
            self.why_no_door = str(error)

    def _origins(self) -> Origins:
        """Where the settings come from; what this process put into its environment is not the user's."""
        options, ours = frozenset(self._plan.variables), self.variables.keys() - self._plan.variables.keys()
        environment = {name: value for name, value in os.environ.items() if name not in ours}
        return Origins.read(settings_file(), environment, options=options, last_up=self._plan.last_up & ours)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if self.supervisor is not None:
                self.supervisor.stop()
                # Of workers that were killed: nobody else may be left here that ends their agents.
                end_ownerless_turns(ProcessTable(), usable_cgroup_home())
        finally:
            self._leave.close()
            # Of workers that were killed: at a second Ctrl-C, or after the grace period.
            sweep(Path(tempfile.gettempdir()), left_seconds=KILLED_SECONDS)
            for log in self._logs.values():
                for handler in log.handlers:
                    handler.close()

    def others(self) -> str:
        """That workers of somebody else are at work on the same server, in words; "" when none are."""
        if self._server is not None:
            return ""
        names = [report.process for report in self.coalmine.clocks.reports()]
        if not names:
            return ""
        return (
            f"{len(names)} programs of this fleet run on its server already ({', '.join(names[:5])}): this "
            "`up` adds its workers to them, and the limits of the fleet hold for all together."
        )

    def programs(self) -> Supervisor:
        """The supervisor of the fleet's programs, not started yet; the end of the block stops it.

        There are two workers, so that ticks never wait for agents to finish.
        """
        jobs = ("-Q", "champion,canary", "-P", "threads", "-c", str(self.agents), "-n", self.worker)
        slots = CONTROL_SLOTS + 2 * self.coalmine.settings.backtest.pairs_at_once
        queues = "control,backtest"  # so that no slot of real work is ever taken by a backtest
        control = ("-Q", queues, "-P", "threads", "-c", str(slots), "-n", _node("control"))
        quiet = ("--without-gossip", "--without-mingle")
        self.supervisor = Supervisor(
            [
                self._program("worker", "worker", *jobs, *quiet),
                self._program("control", "worker", *control, *quiet),
                self._program("beat", "beat"),
                *([self._web(self.door)] if self.door is not None else []),
            ],
            on_line=self._keep_line,
            server=self._server,
            grace_seconds=self.coalmine.settings.job.drain_grace_seconds + SPARE_SECONDS,
        )
        return self.supervisor

    def _program(self, name: str, *arguments: str) -> Program:
        """A Celery program with this Python and the fleet's settings, whatever lies in the working folder."""
        argv = (sys.executable, "-P", "-m", "coalmine.celery", *arguments)
        return self._own(name, argv)

    def _web(self, door: LocalDoor) -> Program:
        """The web process, which gets the open socket each time that it is started."""
        argv = (sys.executable, "-P", "-m", "coalmine", *door.arguments)
        return self._own("web", argv, descriptors=(door.listener.fileno(),))

    def _own(self, name: str, argv: tuple[str, ...], descriptors: tuple[int, ...] = ()) -> Program:
        """A program of ours, with our environment."""
        env = {**os.environ, **self.variables}
        if self._plan.temporary is not None:
            env["TMPDIR"] = str(self._plan.temporary)
        return Program(name=name, argv=argv, env=env, cwd=self._plan.folder, descriptors=descriptors)

    def _places(self) -> dict[str, str]:
        """Settings that keep all files below the state folder."""
        tables = ForgeTables.read(file_values(settings_file()), os.environ)
        return {
            variable_of("agent", "work_dir"): str(self._state / WORK),
            **{
                variable_of("forge", name, "state"): str(self._state / "forge")
                for name in tables.local_names()
            },
        }

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


def _takes_webhooks(settings: Settings) -> bool:
    """Whether a forge that sends webhooks is set up."""
    remote = (forge for forge in settings.forge if isinstance(forge, RemoteConfig))
    return any(forge.is_served or forge.secrets for forge in remote)


def _node(name: str) -> str:
    """A name for a worker that no other has: those of another fleet may use the same server and this host."""
    return f"{name}-{os.getpid()}@{socket.gethostname()}"


def _per_repo(settings: Settings) -> list[int]:
    """How many issues of a repository each local forge may have in progress."""
    return [forge.per_repo for forge in settings.forge if isinstance(forge, LocalConfig)] or [0]
