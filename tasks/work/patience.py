"""Calls of the store that are worth waiting for: made again until it serves us, or the caller gives up."""

import time
from collections.abc import Callable
from typing import TypeVar

import structlog

from routing.errors import STORE_AWAY

T = TypeVar("T")

_log = structlog.get_logger(__name__)

#: The pause between two tries, in seconds.
STORE_PAUSE_SECONDS = 0.5

#: Seconds for which finished work waits for the store, and for which it does while its worker shuts down:
#: less than service managers wait.
FINISHED_SECONDS, DRAIN_SECONDS = 3600.0, 20.0


def patiently(
    event: str, step: Callable[[], T], *, is_over: Callable[[], bool],
    pause: Callable[[float], object] = time.sleep, **about: object,
) -> T:  # fmt: skip
    """Do a step until the store answers; raises what it said when the caller's patience `is_over`.

    The step must be one that may be repeated after a StoreAwayError. The first failure is logged as `event`.
    """
    has_failed = False
    while True:
        try:
            return step()
        except STORE_AWAY as error:
            if not has_failed:
                _log.warning(event, reason=str(error), **about)
            has_failed = True
            if is_over():
                raise
            pause(STORE_PAUSE_SECONDS)
