"""The file that keeps what an agent printed, up to a size.

Lines come printable and without secrets: the caller has seen to both. A log never ends a turn: when the disk
is full, writing stops, and `failure` says why.
"""

import os
from pathlib import Path
from typing import Self

from routing.process.command import SpawnError
from tasks.agents.runtimes.runtime import TurnInput

#: Bytes that are kept of one line.
_LINE_BYTES = 1024 * 1024


class TurnLog:
    """Keeps lines of both streams in their order; those of standard error are marked. Used by one thread."""

    def __init__(self, path: Path, *, cap: int) -> None:
        # Readable for the worker's user alone: agents print what they read.
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
        self._room = cap
        #: Lines that are not in the file, whole or in part.
        self.dropped = 0
        #: Why writing ended, "" when it did not.
        self.failure = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, line: str, *, stderr: bool = False, skipped: int = 0) -> None:
        """Add a line, of which `skipped` further bytes are not there."""
        if self._room <= 0 or self.failure:
            self.dropped += 1
            return
        said = line.encode(errors="replace")
        skipped += max(0, len(said) - _LINE_BYTES)
        more = f" [{skipped} more bytes]" if skipped else ""
        text = said[:_LINE_BYTES].decode(errors="ignore")
        data = f"{'stderr: ' if stderr else ''}{text}{more}\n".encode()
        self._put(data[: self._room])
        self.dropped += len(data) > self._room
        self._room -= len(data)

    def flush(self) -> None:
        """Let readers of the file see what there is."""
        try:
            self._file.flush()
        except OSError as error:
            self.failure = str(error)

    def close(self) -> None:
        """Close the file; say in it how much is missing."""
        if self.dropped and not self.failure:
            self._put(f"\n[log full: {self.dropped} lines are missing or cut]\n".encode())
        try:
            self._file.close()
        except OSError as error:
            self.failure = str(error)

    def _put(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            self.failure = str(error)


def write_files(turn: TurnInput, *, cap: int) -> TurnLog:
    """Write the prompt's file, readable for this user alone, and open the log.

    SpawnError when it cannot be.
    """
    try:
        for file in (turn.prompt_file, turn.log_file):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.unlink(missing_ok=True)  # an earlier agent may have put a pipe there
        descriptor = os.open(turn.prompt_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as prompt:
            prompt.write(turn.prompt.encode(errors="replace"))
            if turn.group is not None:
                os.fchown(descriptor, -1, turn.group)
                os.fchmod(descriptor, 0o640)
        return TurnLog(turn.log_file, cap=cap)
    except OSError as error:
        message = f"the files of a turn could not be written: {error}; see that the disk has room"
        raise SpawnError(message) from error
