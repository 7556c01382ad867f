"""One command from its start to its end under a time limit, with nothing left running afterwards."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from routing.process.child import ChildProcess
from routing.process.command import Command, Ended, Output

#: Seconds between SIGTERM and SIGKILL for a command that took too long.
KILL_GRACE_SECONDS = 2.0


def run_bounded(
    command: Command,
    *,
    timeout_seconds: float,
    output: Output | None = None,
    error: Output | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Ended:
    """Run the command to its end or its time limit, then kill whatever is left of its process group.

    Blocks the calling thread. `output` and `error` are as in `ChildProcess.start`; what they raise is passed
    on when the command has been killed. Raises SpawnError.
    """
    child = ChildProcess.start(command, output=output, error=error, clock=clock)
    deadline = clock() + timeout_seconds
    try:
        while not (exited := child.has_exited()) and (left := deadline - clock()) > 0:
            child.pump(left)
    except BaseException:  # whatever happens to us, the command does not go on
        child.discard()
        raise
    ended = child.end(grace_seconds=0.0 if exited else KILL_GRACE_SECONDS)
    return replace(ended, timed_out=not exited)


@dataclass(frozen=True, kw_only=True, slots=True)
class Captured:
    """What a command printed, and how it ended."""

    ended: Ended
    output: bytes
    error: bytes


class _Kept(bytearray):
    """An output that is kept in memory."""

    def write(self, chunk: bytes) -> None:
        self += chunk

    def finish(self) -> None:
        """Nothing is held back."""


def capture(command: Command, *, timeout_seconds: float) -> Captured:
    """Run a command as `run_bounded` does, and keep all that it prints: for programs that print little."""
    output, error = _Kept(), _Kept()
    ended = run_bounded(command, timeout_seconds=timeout_seconds, output=output, error=error)
    return Captured(ended=ended, output=bytes(output), error=bytes(error))
