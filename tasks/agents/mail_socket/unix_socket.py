"""The local sockets at which a worker takes the requests of its agents, one for each turn.

One thread accepts, and each connection has its own, bounded in time and size. The path of a Unix socket
must be short, so they lie in a folder of the system's temporary directory that only this user may enter.
"""

import json
import os
import secrets
import selectors
import shutil
import socket
import socketserver
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import structlog

from routing.errors import InvalidInputError

_log = structlog.get_logger(__name__)

#: The largest request, in bytes: room for the longest body and payload with every character escaped.
MOST_REQUEST_BYTES = 512 * 1024

#: Seconds after which the folder of a socket at which nobody listens counts as left behind.
LEFT_SECONDS = 60.0

_PREFIX = "coalmine-mail-"

#: The socket of no turn, by which others see that its worker lives; and bytes of the names of all others.
_LIFE = "socket"
_NAME_BYTES = 4

#: Makes the answer to one line of a connection.
Answer = Callable[[bytes], dict[str, Any]]

#: Bytes that the path of a socket may have: 108 with the closing zero on Linux, 104 elsewhere (unix(7)).
LONGEST_PATH = 103


class _ConnectionHandler(socketserver.StreamRequestHandler):
    """One connection, in a thread of its own: reads one line, writes one.

    A line that is too long is cut by one byte more than is allowed, by which it is noticed.
    """

    def handle(self) -> None:
        server = cast("MailSocket", self.server)
        self.connection.settimeout(server.patience_seconds)
        with suppress(OSError):  # the command has gone, or says nothing
            answer = server.answer(self.rfile.readline(MOST_REQUEST_BYTES + 1))
            self.wfile.write(json.dumps(answer).encode() + b"\n")


class MailSocket(socketserver.ThreadingUnixStreamServer):
    """One socket, at which one turn's command is answered. `MailSockets` has it accept and closes it.

    Threads are daemons: an agent that keeps its connection open cannot keep the process from ending.
    """

    daemon_threads = True
    timeout = 0.0  # of `handle_request`: it is called when somebody waits to be accepted
    # Connections that wait to be accepted; beyond them `connect` fails, and the command says so.
    request_queue_size = 64

    def __init__(self, path: Path, answer: Answer, *, patience_seconds: float) -> None:
        self.path, self.answer, self.patience_seconds = path, answer, patience_seconds
        super().__init__(str(path), _ConnectionHandler)

    def handle_error(self, _request: object, _client_address: object) -> None:
        """Log what a connection raised; it ends that connection alone. Called within the handler of it."""
        _log.exception("mail.connection_failed")


class MailSockets:
    """The sockets of one worker process, in one folder, from when it is made until `end`.

    Each turn has one, which is all that its sandbox shows; one thread accepts at all of them. `answer` is
    called by the threads of connections, several at once, and must not raise. Callable from any thread.
    InvalidInputError: no socket can be made.
    """

    def __init__(self, *, patience_seconds: float) -> None:
        self._patience_seconds = patience_seconds
        place = _short_enough(Path(tempfile.gettempdir()))
        sweep(place, left_seconds=LEFT_SECONDS)
        self._folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
        self._sockets: dict[Path, MailSocket] = {}
        self._selector = selectors.DefaultSelector()
        self._wake_out, self._wake_in = os.pipe()
        self._selector.register(self._wake_out, selectors.EVENT_READ, lambda: os.read(self._wake_out, 4096))
        self._orders: deque[Callable[[], object]] = deque()  # for the thread, in turn
        self._is_over = False
        self._thread = threading.Thread(target=self._serve, name="mail-server", daemon=True)
        self._thread.start()
        try:
            self._make(_LIFE, lambda _: {"ok": False, "error": "no turn has this socket", "code": 3})
        except InvalidInputError:
            self.end()
            raise

    def open(self, answer: Answer) -> Path:
        """Make a socket; returns its path."""
        return self._make(secrets.token_hex(_NAME_BYTES), answer)

    def close(self, path: Path) -> None:
        """Accept nobody there any longer; what was accepted is still answered. Again changes nothing."""
        made = self._sockets.pop(path, None)
        if made is not None:
            self._order(lambda: self._shut(made))

    def end(self) -> None:
        """Accept nobody, wait for the accepting thread, and remove the folder."""
        self._order(self._stop)
        self._thread.join()
        for made in self._sockets.values():
            made.server_close()
        self._selector.close()
        for descriptor in (self._wake_out, self._wake_in):
            os.close(descriptor)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _make(self, name: str, answer: Answer) -> Path:
        path = self._folder / name
        try:
            made = MailSocket(path, answer, patience_seconds=self._patience_seconds)
        except OSError as error:
            message = (
                f"no socket for mail can be made at {path}: {error}; let TMPDIR name a short path that can "
                "be written to"
            )
            raise InvalidInputError(message) from error
        self._sockets[path] = made
        self._order(lambda: self._selector.register(made, selectors.EVENT_READ, made.handle_request))
        return path

    def _order(self, order: Callable[[], object]) -> None:
        """Have the accepting thread do something."""
        self._orders.append(order)
        os.write(self._wake_in, b"!")

    def _serve(self) -> None:
        while not self._is_over:
            for key, _ in self._selector.select():
                key.data()
            while self._orders:
                self._orders.popleft()()

    def _shut(self, made: MailSocket) -> None:
        self._selector.unregister(made)
        made.server_close()
        made.path.unlink(missing_ok=True)

    def _stop(self) -> None:
        self._is_over = True


def _short_enough(place: Path) -> Path:
    """The place for the socket's folder: /tmp where a path of the system's own place would be too long."""
    longest = len(os.fsencode(place)) + len(f"/{_PREFIX}12345678/12345678")
    return place if longest <= LONGEST_PATH else Path("/tmp")  # noqa: S108 - mkdtemp makes a folder of our own


def sweep(folder: Path, *, left_seconds: float) -> None:
    """Remove the folders of worker processes that were killed; those of other users stay.

    A folder counts as left behind when it is older than `left_seconds` and nobody listens: a worker that is
    starting has made its folder and not its socket. What cannot be removed is left to the next start.
    """
    for left in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > left_seconds and not _serves(left / _LIFE):
                shutil.rmtree(left)


def _serves(path: Path) -> bool:
    """Whether a process listens at this socket; OSError when that cannot be found out."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
    return True
