"""The worker's end of the connection that a container lives by.

Over it come what listens on the container's loopback, when it begins, and the names of limits that it broke,
when it ends. While it is open the container may live; when it is closed, or its worker dies, the container
ends. A thread for each container serves it.
"""

import os
import socket
import tempfile
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from routing.folder_removal import remove_all
from routing.process.command import SpawnError
from routing.sandbox.mount import LimitBroken
from routing.sandbox.sandbox import SandboxGate

#: Seconds that a container may take to end.
END_SECONDS = 10.0

#: Seconds after the end of the command line in which a container that has begun is known.
_BEGIN_SECONDS = 0.5

#: Bytes that a container may say, and descriptors that it may send.
_MOST_BYTES, _MOST_DESCRIPTORS = 256, 32


class ContainerLink:
    """For one container. `close` once; again is harmless."""

    def __init__(self, gate: SandboxGate | None, *, end_seconds: float = END_SECONDS) -> None:
        """Listen. SpawnError where no socket can be made."""
        self._gate, self._end_seconds = gate, end_seconds
        self._listening = socket.socket(socket.AF_UNIX)
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="coalmine-link-"))
            self.path = self._folder / "s"
            self._listening.bind(str(self.path))
            self._listening.listen(1)
        except OSError as error:
            self._listening.close()
            message = (
                f"the socket of a container could not be made: {error}; see that TMPDIR is short and has room"
            )
            raise SpawnError(message) from error
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None
        self._closed = False
        self._said = b""
        self._gone = threading.Event()  # the container has ended, or never begun
        threading.Thread(target=self._serve, name="container-link", daemon=True).start()

    @property
    def has_begun(self) -> bool:
        """Whether the container's first process is connected."""
        with self._lock:
            return self._connection is not None

    def broken_limit(self) -> LimitBroken | None:
        """Which limit the container broke, after the end of its command line; waits for its own end."""
        self._gone.wait(self._end_seconds if self.has_begun else _BEGIN_SECONDS)
        said = self._said.decode(errors="replace").split()
        return next((limit for limit in LimitBroken if limit in said), None)

    def close(self) -> bool:
        """Have the container end; whether it has."""
        with self._lock:
            self._closed = True
            connection = self._connection
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        if connection is not None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
        is_gone = self._gone.wait(self._end_seconds)
        remove_all(self._folder)
        return is_gone

    def _serve(self) -> None:
        try:
            with self._listening:
                connection, _ = self._listening.accept()
            with connection:
                with self._lock:
                    if self._closed:
                        return
                    self._connection = connection
                self._hear(connection)
        except OSError:  # closed before the container began, or the container broke off
            return
        finally:
            with self._lock:
                self._connection = None
            self._gone.set()

    def _hear(self, connection: socket.socket) -> None:
        _, descriptors, _, _ = socket.recv_fds(connection, 1, _MOST_DESCRIPTORS)
        sockets = _sockets(descriptors)
        if self._gate is not None and sockets:
            self._gate.listen(sockets)
        else:
            for one in sockets:
                one.close()
        while heard := connection.recv(_MOST_BYTES):
            if len(self._said) < _MOST_BYTES:
                self._said += heard


def _sockets(descriptors: Iterable[int]) -> list[socket.socket]:
    """What a container has sent, as far as these are sockets."""
    found = []
    for descriptor in descriptors:
        try:
            found.append(socket.socket(fileno=descriptor))
        except OSError:
            os.close(descriptor)
    return found
