"""Runs the HTTP server: one uvicorn process on a socket that we open, so that its errors are ours.

uvicorn would log a port in use and exit with a code of its own; here that is an error like any other, with
its remedy. `bounded_protocol` has the limits of connections, `request_limits` those of what a handler does.
It runs in the main thread of its process, because it takes over signals.
"""

import errno
import signal
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

import uvicorn
from fastapi import FastAPI

from console.web.bounded_protocol import BoundedProtocol, ConnectionTable
from console.web.open_connections import ConnectionLimits
from routing.errors import InvalidInputError, UnavailableError

#: Seconds that open requests get to end when the server stops.
GRACE_SECONDS = 10

#: Connections that the system holds for us until they are accepted; all of them may be, in one go.
BACKLOG = 256

#: Seconds for which an idle connection is kept.
KEEP_ALIVE_SECONDS = 5

#: Bytes of a request's line and headers.
HEADER_BYTES = 32_768


def listen(host: str, port: int) -> socket.socket:
    """Open a socket; port 0 is any free one. The caller closes it.

    InvalidInputError for an address that this machine does not have, UnavailableError for a port in use or
    one that this user may not open. Connections wait in the backlog from here on, until `serve` accepts
    them.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (socket.gaierror, UnicodeError) as error:
        message = f"{host!r} is not an address of this machine ({error}); use 127.0.0.1 or one that it has"
        raise InvalidInputError(message) from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            message = (
                f"port {port} of {host} is in use; end the program that uses it, or choose another with "
                "COALMINE_WEB__PORT (`coalmine web` also takes --port)"
            )
        else:
            message = (
                f"cannot listen on {host} port {port} ({error.strerror}); choose another with "
                "COALMINE_WEB__HOST and COALMINE_WEB__PORT (`coalmine web` also takes --host and --port)"
            )
        raise UnavailableError(message) from error


def address_of(listener: socket.socket) -> str:
    """The URL of the socket, with its real port; an IPv6 address stands in brackets (RFC 3986)."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(
    app: FastAPI, listener: socket.socket, *, on_ready: Callable[[], None],
    limits: ConnectionLimits = ConnectionLimits(),  # noqa: B008 - frozen
) -> None:  # fmt: skip
    """Answer requests until SIGTERM or SIGINT, then let open requests end for GRACE_SECONDS.

    `on_ready` is called once the server accepts connections. SIGTERM ends this call normally; after SIGINT
    it raises KeyboardInterrupt, which the command line turns into exit code 130. It blocks, and must be
    called in the main thread. Headers of proxies are ignored: a client is the address that connects.
    """
    server = BoundedServer(app, ConnectionTable(limits), on_ready=on_ready)
    # When it has ended, uvicorn raises the signal again for the handler that was there before. SIGTERM is the
    # normal way to stop this process, so that handler does nothing.
    former = signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    try:
        server.run(sockets=[listener])
    finally:
        signal.signal(signal.SIGTERM, former)


class BoundedServer(uvicorn.Server):
    """A uvicorn server whose connections are in a table, and that calls back when it is ready."""

    def __init__(
        self, app: FastAPI, table: ConnectionTable, *, on_ready: Callable[[], None] = lambda: None
    ) -> None:
        protocol: Any = partial(BoundedProtocol, table=table)  # uvicorn calls it for each connection
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,  # `tasks.logs` has set up logging
                access_log=False,
                server_header=False,
                backlog=BACKLOG,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=GRACE_SECONDS,
                h11_max_incomplete_event_size=HEADER_BYTES,
                http=protocol,
                ws="none",
                proxy_headers=False,
            )
        )
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and then call back."""
        await super().startup(sockets)
        self._on_ready()
