"""Carries lines to whoever shows them, without ever waiting for him."""

import queue
import threading
from collections.abc import Callable

#: Takes a program's name and a line of its output.
LineSink = Callable[[str, str], None]


class LineRelay:
    """A bounded queue in front of a sink that may be slow, stuck or broken.

    Lines that find the queue full are left out and counted; when the sink fails, nothing more is sent to it.
    """

    def __init__(self, sink: LineSink, *, own_name: str, capacity: int = 10_000) -> None:
        self._sink = sink
        self._own_name = own_name
        self._lines: queue.Queue[tuple[str, str] | None] = queue.Queue(capacity)
        self._left_out = 0
        self._thread = threading.Thread(target=self._deliver, name="line-relay", daemon=True)
        self._thread.start()

    def put(self, name: str, line: str) -> None:
        """Pass on a line; returns at once."""
        try:
            self._lines.put_nowait((name, line))
        except queue.Full:
            self._left_out += 1

    def close(self, *, timeout_seconds: float = 2.0) -> None:
        """Deliver what is left, as far as the time allows."""
        try:
            self._lines.put(None, timeout=timeout_seconds)
        except queue.Full:
            return
        self._thread.join(timeout_seconds)

    def _deliver(self) -> None:
        broken = False
        while (item := self._lines.get()) is not None:
            if broken:
                continue
            left_out, self._left_out = self._left_out, 0
            try:
                if left_out:
                    self._sink(self._own_name, f"{left_out} lines were left out: the output was too slow")
                self._sink(*item)
            except Exception:  # noqa: BLE001 - the sink is others' code; programs run on without it
                broken = True
