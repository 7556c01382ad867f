"""What is run as a child process, and how it ended: records, nothing is started here."""

import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from routing.errors import UnavailableError
from routing.process.first_process import FirstProcess


class SpawnError(UnavailableError):
    """A process could not be started: see that its program is installed. Nothing is left of the start."""


class Output(Protocol):
    """Takes what a child prints to one of its streams, in the thread that pumps its loop."""

    def write(self, chunk: bytes) -> None:
        """Take the next bytes, never none."""

    def finish(self) -> None:
        """Nothing comes after this; called once, whether or not anything was written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """What to run, and how it is tied to this process. It never passes a shell."""

    argv: Sequence[str]
    cwd: Path | None = None  # None: ours
    environment: Mapping[str, str] | None  # the whole of it; None: ours, with all secrets in it
    stdin: bytes | None = None  # written to its standard input, which is closed then; None: /dev/null
    log: int | None = None  # a descriptor that both its outputs go to; then we read nothing
    descriptors: Sequence[int] = ()  # that it inherits beside its three streams
    umask: int = -1  # of the process; -1: ours
    # On Linux, what it gets when we die, even by SIGKILL; that costs the start of a Python, about 10 ms. The
    # kernel sends it when the *thread* ends that started it; with `outlives_thread` one starts it that lasts.
    death_signal: signal.Signals | None = None
    outlives_thread: bool = False
    first_process: FirstProcess | None = None  # of the sandbox that is started; the caller closes it
    is_wrapper: bool = False  # SIGTERM goes to what the program runs, see `wrapped`
    ends_its_own: bool = False  # SIGTERM goes to the program alone, which ends what it has started


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How a child ended, and all that it had started."""

    exit_code: int | None  # negative: the signal that ended it; None: the kernel does not let it go
    seconds: float  # from its start until everything had ended
    timed_out: bool = False  # its time limit came first, and it was ended by us
    survivors: int = 0  # processes that could not be ended; 0 unless the kernel holds them
    took: str = ""  # of what it took too much, and was ended by us

    def __str__(self) -> str:
        if self.took:
            return f"it took too much of this machine and was ended, limit: {self.took}"
        if self.exit_code is None:
            return "it could not be ended"
        if self.exit_code >= 0:
            return f"exit code {self.exit_code}"
        with suppress(ValueError):
            return f"killed by {signal.Signals(-self.exit_code).name}"
        return f"killed by signal {-self.exit_code}"
