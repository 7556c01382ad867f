"""A private Redis-protocol server: for us alone, on this machine alone, ended when our process ends.

On Linux it ends in an orderly way even when our process is killed, because the kernel sends it SIGTERM then.
Its data stays in its directory, and the next server there goes on with it.

Its directory holds `redis.lock` (held by the server while it runs, with its pid), `redis.conf` (with the
password, for the owner alone), `redis.sock`, `redis.log`, and the server's own append-only file.
"""

import contextlib
import fcntl
import os
import secrets
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from routing.embedded.server_program import ServerProgram, find_server_program, server_environment
from routing.errors import ConflictError, InvalidInputError, UnavailableError
from routing.process.child import ChildProcess
from routing.process.command import Command, Ended

Transport = Literal["auto", "unix", "tcp"]
Fsync = Literal["always", "everysec", "no"]

#: Longest path of a unix socket in bytes: `sun_path` holds 104 on macOS, 108 on Linux, with a final zero.
MAX_SOCKET_PATH_BYTES = 103

_HOST = "127.0.0.1"
_SOCKET_NAME = "redis.sock"
# Between choosing a free port and listening on it another process may take it.
_PORT_ATTEMPTS = 5
_POLL_SECONDS = 0.01
# What an error shows of the server's log, which names the cause: a bad option, a full disk, a damaged file.
_LOG_TAIL_BYTES = 2000


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerOptions:
    """The settings of a private server that a caller may choose."""

    transport: Transport = "auto"  # auto: a unix socket, or TCP when the path is too long for one
    preferred_port: int = 0  # the TCP port tried first; 0 or a port in use: any that is free
    appendfsync: Fsync = "everysec"  # when a write reaches the disk; `always` loses nothing in a power cut
    maxmemory_bytes: int = 0  # 0: no limit
    start_seconds: float = 30.0  # how long a start may take; a restart reads its data in it
    stop_seconds: float = 10.0  # how long writing the data may take at the end, before the server is killed
    lock_seconds: float = 3.0  # how long to wait for a server on the same directory that is ending


class PrivateServer:
    """A server on its own `directory`, which keeps the data between one start and the next.

    `start` and `stop` in turn, as often as wanted, or a `with` block; one thread at a time. It lives until
    `stop`, or as long as our process: the thread that calls `start` may end before.

    Only we can use it: others can neither open its socket nor know its password. A kernel lock on the
    directory, which the server process holds, keeps a second server away from its files.
    """

    def __init__(
        self, directory: Path, *, options: ServerOptions | None = None, program: ServerProgram | None = None
    ) -> None:
        self.directory = directory.absolute()
        self.options = options or ServerOptions()
        self._program = program
        self._password = secrets.token_urlsafe(24)
        # The last port is tried again first, so that clients find a restarted server.
        self._port = self.options.preferred_port
        self._child: ChildProcess | None = None
        self._socket_path = self._choose_socket_path()

    def __repr__(self) -> str:
        where = str(self._socket_path) if self._socket_path else f"{_HOST}:{self._port or 'no port yet'}"
        state = f"pid {self._child.pid}" if self._child else "stopped"
        return f"PrivateServer({where}, {state})"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where clients reach it. A TCP address holds the password: do not log it. ConflictError: stopped."""
        self._running()
        if self._socket_path is not None:
            return f"unix://{quote(str(self._socket_path))}"
        return f"redis://:{self._password}@{_HOST}:{self._port}/0"

    @property
    def pid(self) -> int:
        """The server's process id. ConflictError: it is stopped."""
        return self._running().pid

    @property
    def alive(self) -> bool:
        """Whether the server's process runs. It may have died without `stop`."""
        return self._child is not None and not self._child.has_exited()

    @property
    def log_path(self) -> Path:
        """The file with the server's own log; each start adds to it."""
        return self.directory / "redis.log"

    def start(self) -> None:
        """Start the server and return when it answers.

        Raises UnavailableError, which says why it does not, and ConflictError when it runs already or when
        another server has the directory.
        """
        self._begin(port_attempts=_PORT_ATTEMPTS)

    def start_again(self) -> None:
        """As `start`, for one that died: from its files and at the address that its clients have.

        UnavailableError also where another program has taken its port.
        """
        self._begin(port_attempts=1)

    def collect(self) -> Ended | None:
        """How it died, None for one that was not started. ConflictError: it is alive."""
        self._refuse_alive()
        return self._end(grace_seconds=0.0)

    def last_words(self) -> list[str]:
        """The last lines of its log."""
        return self._log_tail(0).splitlines()

    def _refuse_alive(self) -> None:
        if self.alive:
            message = f"the private server in {self.directory} runs already (pid {self.pid}): stop it first"
            raise ConflictError(message)

    def _begin(self, *, port_attempts: int) -> None:
        """Start at the last port, then at others that are free, if so many attempts are allowed."""
        self._refuse_alive()
        self._end(grace_seconds=0.0)  # of one that died by itself
        program = self._program or find_server_program()
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._locked() as lock:
            for attempt in range(1, port_attempts + 1):
                self._choose_port(again=attempt > 1)
                log_start = self.log_path.stat().st_size if self.log_path.exists() else 0
                try:
                    self._spawn(program, lock)
                    if self._answers():
                        return
                except BaseException:  # no server may be left, not by an interrupt either
                    self.stop()
                    raise
                self.stop()
                log = self._log_tail(log_start)
                if "ddress already in use" not in log:
                    break
        message = (
            f"the private server {program.path} did not start in {self.directory}. "
            f"The end of its log {self.log_path}: {log or 'nothing'}"
        )
        raise UnavailableError(message)

    def stop(self) -> None:
        """Let the server write its data and end; kill it after `stop_seconds`. Stopping twice is harmless."""
        if self._end(grace_seconds=self.options.stop_seconds) is None:
            return
        for path in (self._config_path, self._socket_path):
            if path is not None:
                path.unlink(missing_ok=True)

    def _end(self, *, grace_seconds: float) -> Ended | None:
        """How its process ended; None where there was none to end.

        It is no longer ours from the first line on, also if ending fails.
        """
        child, self._child = self._child, None
        return None if child is None else child.end(grace_seconds=grace_seconds)

    @property
    def _config_path(self) -> Path:
        return self.directory / "redis.conf"

    def _running(self) -> ChildProcess:
        """The server's process, or ConflictError; it may have died since it was started."""
        if self._child is None:
            message = f"the private server in {self.directory} is not running: call start() first"
            raise ConflictError(message)
        return self._child

    def _choose_socket_path(self) -> Path | None:
        """The path of the socket, None for TCP; InvalidInputError if a socket is demanded and cannot be."""
        if self.options.transport == "tcp":
            return None
        path = self.directory / _SOCKET_NAME
        if len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES:
            return path
        if self.options.transport == "auto":
            return None
        message = (
            f"the path of a unix socket in {self.directory} is longer than the {MAX_SOCKET_PATH_BYTES} bytes "
            "that the system allows: use a directory with a shorter path, or the transport 'tcp' or 'auto'"
        )
        raise InvalidInputError(message)

    def _choose_port(self, *, again: bool) -> None:
        """Take the last port, or one that is free now. Others may still be faster, so `start` tries again."""
        if self._socket_path is None and (again or not self._port):
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                probe.bind((_HOST, 0))
                self._port = probe.getsockname()[1]

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        """Hold the directory's lock while the server starts; the server inherits it and keeps it for life.

        The kernel frees it when the last process that holds it has ended, however that ended.
        """
        lock = os.open(self.directory / "redis.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            deadline = time.monotonic() + self.options.lock_seconds
            while not _try_lock(lock):
                if time.monotonic() > deadline:
                    holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip() or "unknown"
                    message = (
                        f"another private server (pid {holder}) runs in {self.directory}: "
                        "use that one, stop it, or choose another directory"
                    )
                    raise ConflictError(message)
                time.sleep(_POLL_SECONDS)
            yield lock
        finally:
            os.close(lock)

    def _spawn(self, program: ServerProgram, lock: int) -> None:
        """Start the program with the lock's descriptor, and write its pid into the lock file for messages.

        SIGTERM when our process dies, and not when the thread ends that called `start`.
        """
        self._write_config()
        log = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        command = Command(
            argv=[str(program.path), str(self._config_path)],
            cwd=self.directory,
            environment=server_environment(),
            log=log,
            descriptors=(lock,),
            umask=0o077,
            death_signal=signal.SIGTERM,  # it writes its data
            outlives_thread=True,
            ends_its_own=True,
        )
        try:
            self._child = ChildProcess.start(command)
        finally:
            os.close(log)
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(self._child.pid).encode("ascii"), 0)

    def _write_config(self) -> None:
        """Write the settings file, for its owner alone: the password is in it."""
        self._config_path.unlink(missing_ok=True)
        descriptor = os.open(self._config_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.writelines(f"{name} {value}\n" for name, value in self._settings())

    def _settings(self) -> Iterator[tuple[str, str]]:
        """The lines of the settings file; see https://valkey.io/topics/valkey.conf for what they mean.

        Append-only, so that a killed server loses at most the last second (`everysec`). `noeviction`: a full
        memory refuses writes, and forgets no job. The password is for TCP alone, as a socket has permissions.
        """
        yield "daemonize", "no"
        yield "dir", _quoted(self.directory)
        yield "bind", _HOST
        yield "protected-mode", "yes"
        yield "port", str(self._port)
        if self._socket_path is None:
            yield "requirepass", self._password
        else:
            yield "unixsocket", _quoted(self._socket_path)
            yield "unixsocketperm", "700"
        yield "appendonly", "yes"
        yield "appendfsync", self.options.appendfsync
        yield "save", '""'
        yield "maxmemory", str(self.options.maxmemory_bytes)
        yield "maxmemory-policy", "noeviction"
        # With the default of 64 bytes a job's record, whose request is longer, would not be stored compactly:
        # this saves a third of the memory. All servers since 6.2 know this name.
        yield "hash-max-ziplist-value", "2048"

    def _answers(self) -> bool:
        """Wait until our own process answers; False when it ended, or `start_seconds` have passed."""
        deadline = time.monotonic() + self.options.start_seconds
        client = redis.Redis.from_url(self.url, protocol=2, retry=Retry(NoBackoff(), 0), socket_timeout=5.0)
        with client:
            while self.alive and time.monotonic() < deadline:
                # Until it listens, and while it reads its data, each call fails.
                with contextlib.suppress(redis.RedisError):
                    if client.ping() and client.info("server")["process_id"] == self.pid:
                        return True
                time.sleep(_POLL_SECONDS)
        return False

    def _log_tail(self, start: int) -> str:
        """What the server has logged since a place in its log, or the end of that; "" without any."""
        with contextlib.suppress(OSError), self.log_path.open("rb") as log:
            log.seek(max(start, log.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
            return log.read().decode("utf-8", "replace").strip()
        return ""


def _try_lock(descriptor: int) -> bool:
    """Take the lock now, or say False; another process holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _quoted(path: Path) -> str:
    """The path as a quoted string of the server's settings file."""
    plain = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + plain.replace("\n", "\\n").replace("\r", "\\r") + '"'
