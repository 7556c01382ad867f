"""`/live`: the id of the newest event, again whenever there is a newer one (server-sent events).

A page that gets one reads itself again. All streams together ask the store once a second. A stream ends after
STREAM_SECONDS, before its connection would be closed as one that is not read, and the browser begins another.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from console.web.request_limits import in_thread
from routing.errors import UnavailableError
from tasks.composition.composition import Coalmine

#: Seconds of a stream, and between two looks at the store.
STREAM_SECONDS, LOOK_SECONDS = 15.0, 1.0

#: Milliseconds after which a browser begins the next stream.
_RETRY_MS = 1000


class NewestEvent:
    """The id of the newest event, at most LOOK_SECONDS old; "" for none. Used in one event loop."""

    def __init__(self, read: Callable[[], str], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._monotonic = monotonic
        self._lock = asyncio.Lock()
        self._read_at = float("-inf")
        self._id = ""

    async def __call__(self) -> str:
        """Ask the store, unless that was done a moment ago; UnavailableError while it is away."""
        async with self._lock:
            if self._monotonic() - self._read_at >= LOOK_SECONDS:
                self._id = await in_thread(self._read)
                self._read_at = self._monotonic()
            return self._id


def live_routes(parts: Coalmine, *, seconds: float = STREAM_SECONDS) -> APIRouter:
    """The route. A store that is away is a 503 and no stream."""
    router = APIRouter(include_in_schema=False)
    newest = NewestEvent(lambda: next((event.id for event in parts.events.newest(1)), ""))

    @router.get("/live")
    async def live(request: Request) -> Response:
        is_stopping = getattr(request.app.state, "is_stopping", lambda: False)
        stream = _stream(newest, await newest(), seconds, is_stopping)
        headers = {"X-Accel-Buffering": "no"}  # a proxy passes on what it gets
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)

    return router


async def _stream(
    newest: NewestEvent, first: str, seconds: float,
    is_stopping: Callable[[], bool],
) -> AsyncIterator[str]:  # fmt: skip
    """The id now, then each newer one."""
    yield f"retry: {_RETRY_MS}\n\ndata: {first}\n\n"
    known, end = first, time.monotonic() + seconds
    while time.monotonic() < end and not is_stopping():
        await asyncio.sleep(LOOK_SECONDS)
        try:
            found = await newest()
        except UnavailableError:
            return  # the browser asks again, and the next answer says so
        if found != known:
            known = found
            yield f"data: {found}\n\n"
