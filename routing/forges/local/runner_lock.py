"""Whether the runner that claimed a commit lives: a lock that the kernel lets go with its process.

A time limit alone would have a commit wait for all of it when its runner was killed. Taking a lock and
looking at one are done under the lock of all statuses, so that a look is never taken for a runner.
"""

import fcntl
import os
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Self

from routing.forges.commit_status import CommitStatus
from routing.forges.local.durable_file import NEW_FILE_MODE

_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC


class RunnerSign(Enum):
    """What the lock says of the runner of a claim."""

    LIVES = auto()
    DIED = auto()
    UNKNOWN = auto()  # it made no lock, as runners of earlier releases


class RunnerLock:
    """The lock of one claim, held until `release` or the end of this process, however that ends.

    What the runner starts does not inherit it. OSError is passed on, as of `durable_file`.
    """

    def __init__(self, file: Path, descriptor: int) -> None:
        self._file = file
        self._descriptor = descriptor

    @classmethod
    def take(cls, file: Path) -> Self | None:
        """Take it, also from a runner that died; None while another one holds it."""
        descriptor = os.open(file, _FLAGS | os.O_CREAT, NEW_FILE_MODE)
        if _take(descriptor):
            return cls(file, descriptor)
        os.close(descriptor)
        return None

    def release(self) -> None:
        """Let it go, and remove its file: what is left of a lock says that its runner died."""
        with suppress(FileNotFoundError):
            self._file.unlink()
        os.close(self._descriptor)


@dataclass(frozen=True, kw_only=True, slots=True)
class CiClaim:
    """What a runner that wants a commit finds."""

    status: CommitStatus  # that holds now
    is_ours: bool
    lock: RunnerLock | None = None  # ours; None also where a runner that is overdue holds it


def sign_of(file: Path) -> RunnerSign:
    """Whether a runner holds the lock of this file now."""
    try:
        descriptor = os.open(file, _FLAGS)
    except FileNotFoundError:
        return RunnerSign.UNKNOWN
    try:
        return RunnerSign.DIED if _take(descriptor) else RunnerSign.LIVES
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
