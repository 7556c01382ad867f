"""The local socket at which a worker takes the requests of its agents.

One thread accepts, and each connection has its own, bounded in time and size. The path of a Unix socket
must be short, so it lies in a folder of the system's temporary directory that only this user may enter.
"""

import json
import os
import shutil
import socket
import socketserver
import tempfile
import threading
import time
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
    """Serves from when it is made until `end`.

    `answer` is called by the threads of connections, several at once, and must not raise. Threads are
    daemons: an agent that keeps its connection open cannot keep the process from ending.
    """

    daemon_threads = True
    # Connections that wait to be accepted; beyond them `connect` fails, and the command says so.
    request_queue_size = 64

    def __init__(self, answer: Callable[[bytes], dict[str, Any]], *, patience_seconds: float) -> None:
        self.answer = answer
        self.faults = 0  # connections that raised
        self.patience_seconds = patience_seconds
        place = _short_enough(Path(tempfile.gettempdir()))
        sweep(place, left_seconds=LEFT_SECONDS)
        self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
        self.path = self.folder / "socket"
        try:
            super().__init__(str(self.path), _ConnectionHandler)
        except OSError as error:
            shutil.rmtree(self.folder, ignore_errors=True)
            message = (
                f"no socket for mail can be made at {self.path}: {error}; let TMPDIR name a short path that "
                "can be written to"
            )
            raise InvalidInputError(message) from error
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.1}, name="mail-server", daemon=True
        )
        self._thread.start()

    def handle_error(self, _request: object, _client_address: object) -> None:
        """Log what a connection raised; it ends that connection alone. Called within the handler of it."""
        self.faults += 1
        _log.exception("mail.connection_failed", faults=self.faults)

    def end(self) -> None:
        """Stop serving, wait for the accepting thread, and remove the folder."""
        self.shutdown()
        self._thread.join()
        self.server_close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _short_enough(place: Path) -> Path:
    """The place for the socket's folder: /tmp where a path of the system's own place would be too long."""
    longest = len(os.fsencode(place)) + len(f"/{_PREFIX}12345678/socket")
    return place if longest <= LONGEST_PATH else Path("/tmp")  # noqa: S108 - mkdtemp makes a folder of our own


def sweep(folder: Path, *, left_seconds: float) -> None:
    """Remove the folders of worker processes that were killed; those of other users stay.

    A folder counts as left behind when it is older than `left_seconds` and nobody listens: a worker that is
    starting has made its folder and not its socket. What cannot be removed is left to the next start.
    """
    for left in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > left_seconds and not _serves(left / "socket"):
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
