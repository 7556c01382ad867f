"""Runs the HTTP server: one uvicorn process on a socket that we open, so that its errors are ours.

uvicorn would log a port in use and exit with a code of its own; here that is an error like any other, with
its remedy. The limits below hold for all requests together; `request_limits` has those of a single one. It
runs in the main thread of its process, because it takes over signals.
"""

import errno
import signal
import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from routing.errors import InvalidInputError, UnavailableError

#: Seconds that open requests get to end when the server stops.
GRACE_SECONDS = 10

#: Open connections; more are answered 503 until some have ended.
MOST_CONNECTIONS = 500

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
        return socket.create_server((host, port), family=family, backlog=1024)
    except (socket.gaierror, UnicodeError) as error:
        message = f"{host!r} is not an address of this machine ({error}); use 127.0.0.1 or one that it has"
        raise InvalidInputError(message) from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            message = (
                f"port {port} of {host} is in use; end the program that uses it, or choose another "
                "--port (COALMINE_WEB__PORT)"
            )
        else:
            message = (
                f"cannot listen on {host} port {port} ({error.strerror}); choose another --host or --port"
            )
        raise UnavailableError(message) from error


def address_of(listener: socket.socket) -> str:
    """The URL of the socket, with its real port; an IPv6 address stands in brackets (RFC 3986)."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(app: FastAPI, listener: socket.socket, *, on_ready: Callable[[], None]) -> None:
    """Answer requests until SIGTERM or SIGINT, then let open requests end for GRACE_SECONDS.

    `on_ready` is called once the server accepts connections. SIGTERM ends this call normally; after SIGINT
    it raises KeyboardInterrupt, which the command line turns into exit code 130. It blocks, and must be
    called in the main thread. Headers of proxies are ignored: nothing here depends on the caller's address.
    """
    config = uvicorn.Config(
        app,
        log_config=None,  # `tasks.logs` has set up logging
        access_log=False,
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        h11_max_incomplete_event_size=HEADER_BYTES,
        http="h11",
        ws="none",
        proxy_headers=False,
    )
    server = _Server(config, on_ready)
    # When it has ended, uvicorn raises the signal again for the handler that was there before. SIGTERM is the
    # normal way to stop this process, so that handler does nothing.
    former = signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    try:
        server.run(sockets=[listener])
    finally:
        signal.signal(signal.SIGTERM, former)


class _Server(uvicorn.Server):
    """A uvicorn server that calls back when it is ready."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and then call back."""
        await super().startup(sockets)
        self._on_ready()
