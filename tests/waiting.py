"""Waiting for a described condition, in place of sleeping."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(
    predicate: Callable[[], T], *, description: str, timeout: float = 20.0, interval: float = 0.02
) -> T:
    """Return the first truthy answer of `predicate`; after `timeout` seconds fail, saying `description`."""
    pause = threading.Event()
    deadline = time.monotonic() + timeout
    while not (answer := predicate()):
        if time.monotonic() > deadline:
            message = f"waited {timeout:g} s in vain until {description}; last answer: {answer!r}"
            raise AssertionError(message)
        pause.wait(interval)
    return answer
