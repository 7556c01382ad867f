"""One command from its start to its end under a time limit, with nothing left running afterwards."""

import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import BinaryIO, Protocol

from routing.process.child import ChildProcess
from routing.process.command import Command, Ended, Output
from routing.process.descendants import Descendants
from routing.process.table import activity

#: Seconds between SIGTERM and SIGKILL for a command that took too long.
KILL_GRACE_SECONDS = 2.0

#: Seconds between two looks at whether a command gets on, at the most.
LOOK_SECONDS = 5.0


class Stop(Protocol):
    """Somebody may ask the command to end before its time, from another thread."""

    @property
    def reason(self) -> object | None:
        """Why it is to end; None while it may go on."""

    def calling(self, listener: Callable[[], None]) -> AbstractContextManager[None]:
        """Call `listener` when it is asked to end, for the time of the block."""


class Onlooker(Protocol):
    """Looks now and then whether a command takes more than it may."""

    @property
    def due_at(self) -> float:
        """When to look next, by the caller's clock."""

    def look(self, now: float) -> str | None:
        """Of what it takes too much; None when all is well, or no look is due."""


@dataclass(kw_only=True, slots=True)
class BoundedLog:
    """An output that keeps the beginning and the end of what is written, and says how much it left out."""

    file: BinaryIO  # stays its owner's to close
    max_bytes: int  # kept of the output: the first half as it comes, the last half at the end
    _written: int = 0
    _tail: deque[bytes] = field(default_factory=deque)
    _tail_bytes: int = 0
    _dropped: int = 0

    def write(self, chunk: bytes) -> None:
        """Take the next bytes; the first half is in the file at once."""
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


def run_bounded(
    command: Command,
    *,
    timeout_seconds: float,
    idle_seconds: float | None = None,
    output: Output | None = None,
    error: Output | None = None,
    descendants: Descendants | None = None,
    stop: Stop | None = None,
    watched: Callable[[int], Onlooker] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Ended:
    """Run the command to its end or its time limit, then kill whatever is left of its process group.

    `stop` ends it as its time limit does: the caller, who set it, knows the difference. `watched` makes what
    looks at the processes of its pid.

    With `idle_seconds` its time is up as well when it has neither printed, read, written nor computed for so
    long; where there is no /proc, only printing is seen.
    Blocks the calling thread. `output`, `error` and `descendants` are as in `ChildProcess.start`; what the
    outputs raise is passed on when the command has been killed. Raises SpawnError.
    """
    child = ChildProcess.start(command, output=output, error=error, descendants=descendants, clock=clock)
    deadline = clock() + timeout_seconds
    progress = None if idle_seconds is None else _Progress(child, idle_seconds, clock)
    watch, took = None if watched is None else watched(child.pid), None
    try:
        with nullcontext() if stop is None else stop.calling(child.wake):
            while not (exited := child.has_exited()) and (left := deadline - clock()) > 0:
                is_stuck = progress is not None and progress.is_stuck()
                if is_stuck or (stop is not None and stop.reason is not None):
                    break
                if watch is not None and (took := watch.look(clock())) is not None:
                    break
                looks = [] if watch is None else [watch.due_at - clock()]
                looks += [] if progress is None else [progress.look_seconds]
                child.pump(min([left, *looks]))
    except BaseException:  # whatever happens to us, the command does not go on
        child.discard()
        raise
    ended = child.end(grace_seconds=0.0 if exited else KILL_GRACE_SECONDS)
    return replace(ended, timed_out=not exited and took is None, took=took or "")


class _Progress:
    """Whether a command gets on, looked at now and then."""

    def __init__(self, child: ChildProcess, idle_seconds: float, clock: Callable[[], float]) -> None:
        self._child = child
        self._idle_seconds = idle_seconds
        self._clock = clock
        self.look_seconds = min(LOOK_SECONDS, idle_seconds / 4)
        self._seen: tuple[int, int] | None = None
        self._looked_at = self._moved_at = clock()

    def is_stuck(self) -> bool:
        """Whether nothing has moved for too long."""
        now = self._clock()
        if now - self._looked_at >= self.look_seconds:
            self._looked_at = now
            seen = (self._child.bytes_read, activity(self._child.pid))
            if seen != self._seen:
                self._seen, self._moved_at = seen, now
        return now - self._moved_at >= self._idle_seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Captured:
    """What a command printed, and how it ended."""

    ended: Ended
    output: bytes
    error: bytes

    @property
    def complaint(self) -> str:
        """Why it did not succeed, in its words on one line (300 characters at most); "" when it did."""
        if self.ended.exit_code == 0:
            return ""
        return " ".join(self.error.decode(errors="replace").split())[:300] or str(self.ended)


class _Kept(bytearray):
    """An output that is kept in memory."""

    def write(self, chunk: bytes) -> None:
        self += chunk

    def finish(self) -> None:
        """Nothing is held back."""


def capture(command: Command, *, timeout_seconds: float, idle_seconds: float | None = None) -> Captured:
    """Run a command as `run_bounded` does, and return all that it printed: for programs that print little."""
    output, error = _Kept(), _Kept()
    ended = run_bounded(
        command, timeout_seconds=timeout_seconds, idle_seconds=idle_seconds, output=output, error=error
    )
    return Captured(ended=ended, output=bytes(output), error=bytes(error))
