"""A command in a process group of its own, with a time limit, a bounded log, and nothing left running."""

import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from routing.process.parent_death import tied_to_us

#: Seconds between SIGTERM and SIGKILL for a command that took too long.
KILL_GRACE_SECONDS = 2.0

#: Seconds for which the last output is read after the group was killed.
DRAIN_SECONDS = 1.0

_CHUNK_BYTES = 64 * 1024
_TICK_SECONDS = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How the command ended."""

    exit_code: int  # negative: the signal that ended it
    timed_out: bool
    seconds: float


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
        """Write the last half."""
        if self._dropped:
            self.file.write(f"\n[... {self._dropped} bytes left out ...]\n".encode())
        self.file.write(b"".join(self._tail))
        self.file.flush()


def run_bounded(
    argv: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    timeout_seconds: float,
    log: BoundedLog,
) -> Ended:
    """Run the command to its end or its time limit, then kill whatever is left of its process group."""
    started = time.monotonic()
    with subprocess.Popen(
        tied_to_us(argv),
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        timed_out = True
        try:
            timed_out = _follow(process, log, started + timeout_seconds)
        finally:
            _end_group(process, gently=timed_out)
            _drain(process, log)
            log.finish()
    return Ended(exit_code=process.returncode, timed_out=timed_out, seconds=time.monotonic() - started)


def _follow(process: subprocess.Popen[bytes], log: BoundedLog, deadline: float) -> bool:
    """Read until the command ends; True when the time limit came first."""
    pipe = _pipe_of(process)
    os.set_blocking(pipe, False)
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while process.poll() is None:
            left = deadline - time.monotonic()
            if left <= 0:
                return True
            if not selector.select(min(left, _TICK_SECONDS)):
                continue
            if not _read_into(pipe, log):  # it closed its output and goes on in silence
                return _outlives(process, deadline)
    return False


def _outlives(process: subprocess.Popen[bytes], deadline: float) -> bool:
    try:
        process.wait(max(deadline - time.monotonic(), 0.0))
    except subprocess.TimeoutExpired:
        return True
    return False


def _end_group(process: subprocess.Popen[bytes], *, gently: bool) -> None:
    if gently and process.poll() is None:
        _signal_group(process.pid, signal.SIGTERM)
        _outlives(process, time.monotonic() + KILL_GRACE_SECONDS)
    _signal_group(process.pid, signal.SIGKILL)
    process.wait()


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return  # nobody is left in it (macOS says "not permitted" of a group of zombies)


def _drain(process: subprocess.Popen[bytes], log: BoundedLog) -> None:
    """Read what is left; a process that left the group may hold the pipe open, so not for ever."""
    pipe, deadline = _pipe_of(process), time.monotonic() + DRAIN_SECONDS
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0 and selector.select(left):
            if not _read_into(pipe, log):
                return


def _read_into(pipe: int, log: BoundedLog) -> bool:
    """Whether there is more to come."""
    try:
        chunk = os.read(pipe, _CHUNK_BYTES)
    except BlockingIOError:
        return True
    log.write(chunk)
    return bool(chunk)


def _pipe_of(process: subprocess.Popen[bytes]) -> int:
    if process.stdout is None:
        raise AssertionError("the command was started without a pipe")
    return process.stdout.fileno()
