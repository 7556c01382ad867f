"""Calls that wait for a server, made beside the loop that answers everybody."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from anyio.to_thread import run_sync

from routing.errors import UnavailableError

P = ParamSpec("P")
T = TypeVar("T")

#: Seconds after which a request is answered although its call has not ended.
CALL_SECONDS = 5.0


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
