"""Bytes to lines in bounded memory: a line may be megabytes, what is kept of it is not."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OutputLine:
    """A line of output, without its newline."""

    data: bytes  # its beginning, up to the cap
    skipped: int  # bytes after that, which were dropped


class LineReader:
    """Cuts a stream into lines and keeps at most `cap` bytes of each."""

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._kept = bytearray()
        self._skipped = 0

    def feed(self, data: bytes) -> Iterator[OutputLine]:
        """Take what was read and yield the lines that it completes."""
        *complete, rest = data.split(b"\n")
        for part in complete:
            self._append(part)
            yield self._take()
        self._append(rest)

    def flush(self) -> Iterator[OutputLine]:
        """Yield the last line if the stream ended without a newline."""
        if self._kept or self._skipped:
            yield self._take()

    def _append(self, part: bytes) -> None:
        room = self._cap - len(self._kept)
        self._kept += part[:room]
        self._skipped += max(0, len(part) - room)

    def _take(self) -> OutputLine:
        line = OutputLine(bytes(self._kept).removesuffix(b"\r"), self._skipped)
        self._kept.clear()
        self._skipped = 0
        return line
