"""A log of a command's output that does not fill the disk."""

from collections import deque
from dataclasses import dataclass, field
from typing import BinaryIO


@dataclass(kw_only=True, slots=True)
class BoundedLog:
    """Keeps the first and the last half of what is written, and says how much lies between."""

    file: BinaryIO
    max_bytes: int
    _written: int = 0
    _tail: deque[bytes] = field(default_factory=deque)
    _tail_bytes: int = 0
    _dropped: int = 0

    def write(self, chunk: bytes) -> None:
        """Take what the command printed; the first half is in the file at once."""
        room = self.max_bytes // 2 - self._written
        head, rest = chunk[: max(room, 0)], chunk[max(room, 0) :]
        if head:
            self.file.write(head)
            self.file.flush()
            self._written += len(head)
        if rest:
            self._tail.append(rest)
            self._tail_bytes += len(rest)
        while self._tail_bytes - len(self._tail[0] if self._tail else b"") > self.max_bytes // 2:
            gone = self._tail.popleft()
            self._tail_bytes -= len(gone)
            self._dropped += len(gone)

    def finish(self) -> None:
        """Write the last half; nothing may be written after it."""
        if self._dropped:
            self.file.write(f"\n[... {self._dropped} bytes left out ...]\n".encode())
        self.file.write(b"".join(self._tail))
        self.file.flush()
