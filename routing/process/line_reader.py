"""Bytes to lines in bounded memory: a line may be megabytes, what is kept of it is not."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OutputLine:
    """A line of output, without its newline."""

    data: bytes  # its beginning, up to the cap; or all of it but what `shorten` took out
    skipped: int  # bytes that were dropped
    ends: bool = True  # whether the end of the line is in `data`


class LineReader:
    """An output that is cut into lines, of each of which at most `cap` bytes are kept.

    `on_line` is called as soon as a line is complete; what it raises is passed on, and the rest of that
    chunk is lost.

    Where a line becomes too long, `shorten` may take something out of what is kept, so that its end is kept,
    too. It is given up when less than a half of the line goes, so that a byte is looked at a few times only.
    """

    def __init__(
        self, on_line: Callable[[OutputLine], None], *, cap: int,
        shorten: Callable[[bytes], bytes] = bytes,
    ) -> None:  # fmt: skip
        self._on_line = on_line
        self._cap = cap
        self._shorten = shorten
        self._kept = bytearray()
        self._skipped = 0
        self._is_cut = False  # what comes of this line is dropped

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
        if len(self._kept) + len(part) > self._cap and not self._is_cut:
            part = self._make_room(part)
        room = 0 if self._is_cut else self._cap - len(self._kept)
        self._kept += part[:room]
        self._skipped += max(0, len(part) - room)
        self._is_cut = self._is_cut or len(part) > room

    def _make_room(self, part: bytes) -> bytes:
        """Shorten the line; returns what is to be appended."""
        whole = bytes(self._kept) + part
        short = self._shorten(whole)
        if len(short) > self._cap // 2:
            return part
        self._skipped += len(whole) - len(short)
        self._kept.clear()
        return short

    def _hand_over(self) -> None:
        line = OutputLine(bytes(self._kept).removesuffix(b"\r"), self._skipped, not self._is_cut)
        self._kept.clear()
        self._skipped = 0
        self._is_cut = False
        self._on_line(line)
