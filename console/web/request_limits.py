"""How long one request may take and how large it may be, so that none holds up the others."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from anyio.to_thread import run_sync
from starlette.requests import ClientDisconnect, Request

from routing.errors import InvalidInputError, UnavailableError

P = ParamSpec("P")
T = TypeVar("T")

#: Seconds for a body to arrive.
BODY_SECONDS = 10.0

#: Seconds after which a request is answered although the call that it made has not ended.
CALL_SECONDS = 5.0


class BodyTooLongError(InvalidInputError):
    """The body is longer than is read."""


class BodyTooSlowError(InvalidInputError):
    """The body did not arrive in time, or not at all."""


async def read_body(request: Request, *, most: int, seconds: float = BODY_SECONDS) -> bytes:
    """Read the body, or raise as soon as it is known to be too long, whether or not it says its length."""
    said = request.headers.get("content-length", "")
    if said.isascii() and said.isdigit() and int(said[:20]) > most:
        raise _too_long(most)
    try:
        async with asyncio.timeout(seconds):
            return await _read(request, most)
    except TimeoutError as error:
        message = f"the body did not arrive within {seconds:g} s; send it again"
        raise BodyTooSlowError(message) from error
    except ClientDisconnect as error:  # nobody is there to hear the answer; it is only for the log
        raise BodyTooSlowError("the body ended early; send it again") from error


async def _read(request: Request, most: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise _too_long(most)
    return bytes(body)


def _too_long(most: int) -> BodyTooLongError:
    return BodyTooLongError(f"the body is longer than {most} bytes")


async def in_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Make the call in a thread; an UnavailableError when it takes too long.

    A call that was given up goes on in its thread to its own time limit: it may yet do what it was to do.
    """
    try:
        async with asyncio.timeout(CALL_SECONDS):
            return await run_sync(lambda: call(*args, **kwargs), abandon_on_cancel=True)
    except TimeoutError as error:
        message = f"the store did not answer within {CALL_SECONDS:g} s; see that it runs (coalmine doctor)"
        raise UnavailableError(message) from error
