"""How long one request may take and how large it may be, so that none holds up the others.

Anyone who can reach the port may send a body, before any signature is checked. So its size and its time are
limited while it is read, and a handler that waits for the store is answered even when the store is not.
"""

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

#: Seconds for a decision of a person, which may ask a forge. The connection is closed a little later.
DECISION_SECONDS = 17.0


class BodyTooLongError(InvalidInputError):
    """The body is longer than the limit."""


class BodyTooSlowError(InvalidInputError):
    """The body did not arrive in time, or its sender went away."""


async def read_body(request: Request, *, most: int, seconds: float = BODY_SECONDS) -> bytes:
    """Read a body of at most `most` bytes within `seconds`.

    BodyTooLongError as soon as the declared or the received length exceeds the limit; BodyTooSlowError after
    the time, or when the sender went away.
    """
    # A length that is absent or not a number decides nothing: what arrives is counted as well. The slice
    # keeps int() from parsing thousands of digits.
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:20]) > most:
        raise _too_long(most)
    try:
        async with asyncio.timeout(seconds):
            return await _read(request, most)
    except TimeoutError as error:
        message = f"the body did not arrive within {seconds:g} s; send it again"
        raise BodyTooSlowError(message) from error
    except ClientDisconnect as error:  # the sender has gone: only the log gets this answer
        raise BodyTooSlowError("the body ended early; send it again") from error


async def _read(request: Request, most: int) -> bytes:
    """Read the stream; the limit is checked after each chunk, so at most one chunk too much is held."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise _too_long(most)
    return bytes(body)


def _too_long(most: int) -> BodyTooLongError:
    return BodyTooLongError(f"the body is longer than {most} bytes")


async def in_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Make a call that may block in a thread; UnavailableError after CALL_SECONDS.

    The thread of a call that was given up goes on to the call's own time limit, so its effect may still
    come: the call must be safe to repeat, as deliveries are by their id. Errors of the call are raised
    here.
    """
    try:
        async with asyncio.timeout(CALL_SECONDS):
            return await run_sync(lambda: call(*args, **kwargs), abandon_on_cancel=True)
    except TimeoutError as error:
        message = f"the store did not answer within {CALL_SECONDS:g} s; see that it runs (coalmine doctor)"
        raise UnavailableError(message) from error


class DecisionTimeoutError(UnavailableError):
    """A decision was not made in its time; its thread goes on, so it may be made yet."""


async def decided_in_thread(call: Callable[[], T], *, seconds: float = DECISION_SECONDS) -> T:
    """Make a decision, which may ask a forge, in a thread; DecisionTimeoutError after `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            return await run_sync(call, abandon_on_cancel=True)
    except TimeoutError as error:
        message = (
            f"the decision was not made within {seconds:g} s, and may still be: load the page of the thing "
            "before you send it again"
        )
        raise DecisionTimeoutError(message) from error
