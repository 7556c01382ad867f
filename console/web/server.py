"""Runs the HTTP server: one uvicorn process on a socket that `listening` has opened.

`bounded_protocol` has the limits of connections, `request_limits` those of what a handler does.
It runs in the main thread of its process, because it takes over signals.
"""

import gc
import signal
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

import uvicorn
from fastapi import FastAPI

from console.web.bounded_protocol import BoundedProtocol, ConnectionTable
from console.web.listening import BACKLOG
from console.web.open_connections import ConnectionLimits

#: Seconds that open requests get to end when the server stops.
GRACE_SECONDS = 10

#: Seconds for which an idle connection is kept.
KEEP_ALIVE_SECONDS = 5

#: Bytes of a request's line and headers.
HEADER_BYTES = 32_768


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
    # What was imported stays; looking through all of it again and again cost some answers 0.2 s.
    gc.collect()
    gc.freeze()
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
        app.state.is_stopping = lambda: self.should_exit  # for answers that go on until they are ended

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and then call back."""
        await super().startup(sockets)
        self._on_ready()
