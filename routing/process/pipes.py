"""The three pipes of an agent in one poll: writing the prompt, reading lines, being woken."""

import contextlib
import os
import selectors
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from typing import IO

from routing.process.line_reader import LineReader, OutputLine

_READ_BYTES = 65536
#: Reads that empty any pipe; whoever still writes then is not waited for.
_FULL_PIPE_READS = 64


class Channel(StrEnum):
    """Where a line was printed."""

    OUTPUT = "stdout"
    ERROR = "stderr"


class Pipes:
    """Moves bytes between an agent and us, in the thread that calls `pump`, and never blocks on one pipe.

    A poll object and not an epoll descriptor: with hundreds of agents in one process descriptors are scarce.
    """

    def __init__(
        self,
        streams: tuple[IO[bytes], IO[bytes], IO[bytes]],
        *,
        prompt: bytes,
        line_bytes: int,
        on_line: Callable[[OutputLine, Channel], None],
        exit_fd: int | None,
    ) -> None:
        stdin, stdout, stderr = streams
        self._selector = selectors.PollSelector()
        self._streams = streams
        self._unwritten = memoryview(prompt)
        self._on_line = on_line
        self._exit_fd = exit_fd
        self._wake_out, self._wake_in = os.pipe()
        #: Bytes read from both streams.
        self.bytes_read = 0
        for descriptor in (stdin.fileno(), stdout.fileno(), stderr.fileno(), self._wake_out, self._wake_in):
            os.set_blocking(descriptor, False)
        self._watch(stdin, selectors.EVENT_WRITE, self._write)
        for stream, channel in ((stdout, Channel.OUTPUT), (stderr, Channel.ERROR)):
            reader = LineReader(line_bytes)
            self._watch(stream, selectors.EVENT_READ, partial(self._read, stream, reader, channel))
        self._selector.register(self._wake_out, selectors.EVENT_READ, self._woken)
        if exit_fd is not None:
            self._selector.register(exit_fd, selectors.EVENT_READ, self._exited)

    def wake(self) -> None:
        """Let `pump` return at once; from any thread, until `close`."""
        with contextlib.suppress(BlockingIOError):  # full: it will wake anyway
            os.write(self._wake_in, b"!")

    def pump(self, timeout_seconds: float) -> None:
        """Wait until something can be moved, at most so long, and move it."""
        for key, _ in self._selector.select(max(0.0, timeout_seconds)):
            key.data()

    def drain(self) -> None:
        """Read what is in the pipes already, without waiting and without an end to be waited for."""
        for _ in range(_FULL_PIPE_READS):
            before = self.bytes_read
            self.pump(0)
            if self.bytes_read == before:
                return

    def close(self) -> None:
        """Hand over unfinished lines and close everything."""
        try:
            for key in list(self._selector.get_map().values()):
                if isinstance(key.data, partial):
                    self._finish(*key.data.args)
        finally:  # whatever a line met with
            for stream in self._streams:
                stream.close()
            self._selector.close()
            for descriptor in (self._wake_in, self._wake_out, self._exit_fd):
                if descriptor is not None:
                    os.close(descriptor)

    def _watch(self, stream: IO[bytes], event: int, move: Callable[[], None]) -> None:
        self._selector.register(stream, event, move)

    def _write(self) -> None:
        stdin = self._streams[0]
        try:
            written = os.write(stdin.fileno(), self._unwritten) if self._unwritten else 0
        except BlockingIOError:
            return
        except BrokenPipeError:  # it does not want to read any further
            written = len(self._unwritten)
        self._unwritten = self._unwritten[written:]
        if not self._unwritten:
            self._selector.unregister(stdin)
            stdin.close()

    def _read(self, stream: IO[bytes], reader: LineReader, channel: Channel) -> None:
        try:
            data = os.read(stream.fileno(), _READ_BYTES)
        except BlockingIOError:
            return
        self.bytes_read += len(data)
        for line in reader.feed(data):
            self._on_line(line, channel)
        if not data:
            self._finish(stream, reader, channel)

    def _finish(self, stream: IO[bytes], reader: LineReader, channel: Channel) -> None:
        self._selector.unregister(stream)
        for line in reader.flush():
            self._on_line(line, channel)

    def _woken(self) -> None:
        os.read(self._wake_out, _READ_BYTES)

    def _exited(self) -> None:
        if self._exit_fd is not None:  # readable from now on: it has said all it will
            self._selector.unregister(self._exit_fd)
