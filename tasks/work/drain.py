"""Draining: a warm shutdown lets turns go on for a while, then has their jobs given back."""

import multiprocessing
import threading

#: Set when turns are to end. Made before a prefork pool forks, so that its children see it.
_DRAINING = multiprocessing.get_context("fork").Event()


def drain_after(seconds: float) -> threading.Timer:
    """Begin to drain after a grace period; the timer does not keep the process alive."""
    timer = threading.Timer(seconds, _DRAINING.set)
    timer.daemon = True
    timer.start()
    return timer


def draining() -> bool:
    """Whether this worker, or the one that forked this process, wants its turns to end."""
    return _DRAINING.is_set()
