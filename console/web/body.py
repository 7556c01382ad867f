"""Bodies of requests, read no further than they may be long, and no longer than they may take."""

import asyncio

from starlette.requests import ClientDisconnect, Request

from routing.errors import InvalidInputError

#: Seconds for a body to arrive.
BODY_SECONDS = 10.0


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
