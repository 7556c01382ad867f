"""The one wait for everything that child processes do."""

import contextlib
import os
import selectors
from collections.abc import Callable
from types import TracebackType
from typing import Self

_READ_BYTES = 65536


class PollLoop:
    """Waits for the descriptors of one child or of several, and calls what moves their bytes.

    One thread pumps it, and starts and ends the children that use it; `wake` may be called from any thread
    and from a signal handler, until `close`.
    It is a poll object and not an epoll descriptor: with hundreds of agents in one process, each with a
    loop of its own, descriptors are scarce.
    """

    def __init__(self) -> None:
        self._selector = selectors.PollSelector()
        self._wake_out, self._wake_in = os.pipe()
        for descriptor in (self._wake_out, self._wake_in):
            os.set_blocking(descriptor, False)
        self.watch(self._wake_out, selectors.EVENT_READ, self._woken)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def watch(self, descriptor: int, event: int, move: Callable[[], object]) -> None:
        """Call `move` in `pump` whenever the descriptor is ready; it must not block."""
        self._selector.register(descriptor, event, move)

    def forget(self, descriptor: int) -> None:
        """Watch a descriptor no longer; it need not be watched, and must not be closed yet."""
        with contextlib.suppress(KeyError):
            self._selector.unregister(descriptor)

    def wake(self) -> None:
        """Let `pump` return at once."""
        with contextlib.suppress(BlockingIOError):  # full: it will wake anyway
            os.write(self._wake_in, b"!")

    def pump(self, timeout_seconds: float) -> None:
        """Wait until something can be moved, at most so long, and move it."""
        for key, _ in self._selector.select(max(0.0, timeout_seconds)):
            key.data()

    def close(self) -> None:
        """Release the loop's own descriptors; those that it watched are their owners' to close."""
        self._selector.close()
        os.close(self._wake_in)
        os.close(self._wake_out)

    def _woken(self) -> None:
        os.read(self._wake_out, _READ_BYTES)
