"""Bytes to lines in bounded memory: a line may be megabytes, what is kept of it is not."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OutputLine:
    """A line of output, without its newline."""

    data: bytes  # its beginning, up to the cap
    skipped: int  # bytes after that, which were dropped


class LineReader:
    """An output that is cut into lines, of each of which at most `cap` bytes are kept.

    `on_line` is called as soon as a line is complete; what it raises is passed on, and the rest of that
    chunk is lost.
    """

    def __init__(self, on_line: Callable[[OutputLine], None], *, cap: int) -> None:
        self._on_line = on_line
        self._cap = cap
        self._kept = bytearray()
        self._skipped = 0

    def write(self, chunk: bytes) -> None:
        """Take what was read, and hand over the lines that it completes."""
        *complete, rest = chunk.split(b"\n")
        for part in complete:
            self._append(part)
            self._hand_over()
        self._append(rest)

    def finish(self) -> None:
        """Hand over the last line if the stream ended without a newline."""
        if self._kept or self._skipped:
            self._hand_over()

    def _append(self, part: bytes) -> None:
        room = self._cap - len(self._kept)
        self._kept += part[:room]
        self._skipped += max(0, len(part) - room)

    def _hand_over(self) -> None:
        line = OutputLine(bytes(self._kept).removesuffix(b"\r"), self._skipped)
        self._kept.clear()
        self._skipped = 0
        self._on_line(line)
