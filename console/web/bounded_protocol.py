"""HTTP connections that no client can hold for long, whatever it sends, or does not send or read.

uvicorn bounds the idle time between two requests, and the number of connections, beyond which it answers 503
to all. It has no bound for headers that do not end, a body that nobody reads, or an answer that the client
does not take, so a few hundred clients that do nothing closed the door for everybody.
"""

from typing import Any

import h11
import structlog
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from console.web.error_answers import RETRY_SECONDS
from console.web.headers import SECURITY_HEADERS
from console.web.open_connections import ConnectionLimits, OpenConnection, Phase, one_to_close, origin
from console.web.request_limits import BODY_SECONDS

_log = structlog.get_logger(__name__)

#: Seconds that a connection may be in a phase, from the phase's beginning, however much it sends meanwhile. A
#: body has two seconds more than its handler gives it, which answers; an answer waits for threads and store.
PHASE_SECONDS = {Phase.HEADERS: 10.0, Phase.BODY: BODY_SECONDS + 2, Phase.ANSWER: 20.0}

#: Connections beyond the limit that are let in all the same: `/healthz` answers them, and 503 is the rest.
RESERVE = 50

#: Seconds between two lines of the log about connections that were closed.
SAY_SECONDS = 60.0


class ConnectionTable:
    """All open connections of one server; used in its event loop alone."""

    def __init__(self, limits: ConnectionLimits, phase_seconds: dict[Phase, float] | None = None) -> None:
        self.limits = limits
        self.phase_seconds = PHASE_SECONDS if phase_seconds is None else phase_seconds
        self.held: dict[OpenConnection, BoundedProtocol] = {}
        self.closed = 0  # connections that were closed by a limit, since we last said so
        self._said_at = float("-inf")

    def note_closed(self, now: float) -> None:
        """Count a connection that was closed by a limit; says so now and then."""
        self.closed += 1
        if now - self._said_at < SAY_SECONDS:
            return
        _log.warning("web.connections_closed", closed=self.closed, open=len(self.held))
        self.closed, self._said_at = 0, now


class BoundedProtocol(H11Protocol):
    """One connection; `table` is shared by all of a server."""

    def __init__(self, *args: Any, table: ConnectionTable, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._table = table
        self._mine = OpenConnection(address="")
        self._timer: Any = None
        self._seen: object = None  # the request that the phase is of

    def connection_made(self, transport: Any) -> None:
        """Take a place; where there are too many connections, one that has sent least is closed."""
        super().connection_made(transport)
        self._mine.address = origin(self.client[0] if self.client else None)
        self._mine.since = self.loop.time()
        self._table.held[self._mine] = self
        self._arm()
        closing = one_to_close(self._table.held, self._mine, self._table.limits)
        if closing is self._mine and len(self._table.held) <= self._table.limits.most + RESERVE:
            self.app = _Busy(self.app)  # others wait for their answers: /healthz is answered beside them
        elif closing is not None:
            self._table.held[closing].drop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._table.held.pop(self._mine, None)
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Read what has come, which may end a phase."""
        super().handle_events()
        self._note_phase()

    def on_response_complete(self) -> None:
        """An answer was written, which ends a phase, unless the next request has come."""
        super().on_response_complete()
        self._note_phase()

    def resume_writing(self) -> None:
        """The client has read what waited for it, which ends a phase."""
        super().resume_writing()
        self._note_phase()

    def drop(self) -> None:
        """Close at once, with whatever was not sent yet. The place is free from here on."""
        self._table.held.pop(self._mine, None)
        self._table.note_closed(self.loop.time())
        self.transport.abort()

    def _phase(self) -> Phase:
        if self.conn.their_state is h11.SEND_BODY:
            return Phase.BODY
        answered = self.cycle is None or self.cycle.response_complete
        # A transport that is full, or is closing, still holds an answer that the client has not read.
        unread = self.transport.is_closing() or self.flow.write_paused
        return Phase.HEADERS if answered and not unread else Phase.ANSWER

    def _note_phase(self) -> None:
        phase = self._phase()
        if phase is self._mine.phase and self.cycle is self._seen:
            return
        self._mine.phase, self._seen = phase, self.cycle
        self._mine.since = self.loop.time()
        self._arm()

    def _arm(self) -> None:
        """Have the connection closed when its phase takes too long."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(self._table.phase_seconds[self._mine.phase], self.drop)


class _Busy:
    """What a connection beyond the limit reaches: `/healthz`, and the news that everything else is busy."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the request, or answer 503."""
        if scope["type"] == "http" and scope["path"] != "/healthz":
            headers = SECURITY_HEADERS | {"Retry-After": str(RETRY_SECONDS), "Connection": "close"}
            detail = {"detail": "too many requests are at work; try again later"}
            await JSONResponse(detail, status_code=503, headers=headers)(scope, receive, send)
        else:
            await self._app(scope, receive, send)
