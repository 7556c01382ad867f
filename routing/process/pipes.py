"""The pipes of one child: its input is written and its outputs are read, never blocking on one of them."""

import os
import selectors
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import IO

from routing.printable import printable
from routing.process.command import Output
from routing.process.poll_loop import PollLoop

_READ_BYTES = 65536
#: Reads that empty any pipe (it holds 1 MiB at most). A process that writes on is not waited for.
_FULL_PIPE_READS = 64


class Pipes:
    """Our ends of a child's streams, moved by the loop that they are watched by.

    Nothing is moved before the loop is pumped. `close` must be called, in the loop's thread.
    """

    def __init__(
        self, loop: PollLoop, *, stdin: IO[bytes] | None, data: bytes,
        outputs: Sequence[tuple[IO[bytes], Output]],
    ) -> None:  # fmt: skip
        self._loop = loop
        self._stdin = stdin
        self._unwritten = memoryview(data)
        self._open = list(outputs)
        #: Bytes read from all outputs together.
        self.bytes_read = 0
        if stdin is not None:
            os.set_blocking(stdin.fileno(), False)
            loop.watch(stdin.fileno(), selectors.EVENT_WRITE, self._write)
        for stream, output in outputs:
            os.set_blocking(stream.fileno(), False)
            loop.watch(stream.fileno(), selectors.EVENT_READ, partial(self._read, stream, output))

    def drain(self) -> None:
        """Read what is in the pipes, without waiting: a process that escaped may hold them open."""
        for stream, output in list(self._open):
            for _ in range(_FULL_PIPE_READS):
                if not self._read(stream, output):
                    break

    def first_words(self) -> str:
        """What a program has printed that nobody has read yet, on one line: 300 characters at most."""
        said = b""
        for stream, _ in self._open:
            with suppress(BlockingIOError):
                said += os.read(stream.fileno(), _READ_BYTES)
        return " ".join(printable(said.decode(errors="replace")).split())[:300]

    def close(self) -> None:
        """Finish the outputs that have not ended, and close everything, whatever an output raises."""
        try:
            while self._open:
                self._end_of(*self._open[0])
        finally:
            for stream, _ in self._open:
                self._drop(stream)
            self._open.clear()
            self._close_stdin()

    def _write(self) -> None:
        if self._stdin is None:
            return
        try:
            written = os.write(self._stdin.fileno(), self._unwritten) if self._unwritten else 0
        except BlockingIOError:
            return
        except BrokenPipeError:  # the child does not want to read any further
            written = len(self._unwritten)
        self._unwritten = self._unwritten[written:]
        if not self._unwritten:
            self._close_stdin()

    def _read(self, stream: IO[bytes], output: Output) -> bool:
        """Read once; False when nothing is there now, or the stream has ended."""
        try:
            chunk = os.read(stream.fileno(), _READ_BYTES)
        except BlockingIOError:
            return False
        if not chunk:
            self._end_of(stream, output)
            return False
        self.bytes_read += len(chunk)
        output.write(chunk)
        return True

    def _end_of(self, stream: IO[bytes], output: Output) -> None:
        self._open.remove((stream, output))
        self._drop(stream)
        output.finish()

    def _drop(self, stream: IO[bytes]) -> None:
        self._loop.forget(stream.fileno())
        stream.close()

    def _close_stdin(self) -> None:
        stdin, self._stdin = self._stdin, None
        if stdin is not None:
            self._drop(stdin)
