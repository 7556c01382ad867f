"""The marker that every process of a turn carries: it says whose the process is, wherever it has got to."""

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from routing.process.table import start_ticks


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnMarker:
    """Names a turn, its job and the worker process that supervises it, in one environment variable."""

    namespace: int  # of the owner's process ids, so that a container's ids are not taken for the host's
    owner: int  # pid of the worker process
    owner_ticks: int  # its start in clock ticks since boot: with the pid, its identity
    job: str  # id, "" outside jobs
    nonce: str  # random: what makes the turn one of its own

    @classmethod
    def of_new_turn(cls, job: str) -> Self:
        """The marker of a turn that this process is about to start."""
        owner = os.getpid()
        return cls(
            namespace=pid_namespace(),
            owner=owner,
            owner_ticks=start_ticks(owner) or 0,
            job=job,
            nonce=secrets.token_hex(16),
        )

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read a marker; None for whatever is none of ours."""
        with suppress(ValueError):
            namespace, owner, ticks, job, nonce = text.split(":")
            return cls(
                namespace=int(namespace), owner=int(owner), owner_ticks=int(ticks), job=job, nonce=nonce
            )
        return None

    def __str__(self) -> str:
        return f"{self.namespace}:{self.owner}:{self.owner_ticks}:{self.job}:{self.nonce}"

    @property
    def is_ours(self) -> bool:
        """Whether the owner's pid means here what it meant there."""
        return self.namespace == pid_namespace()

    @property
    def owner_lives(self) -> bool:
        """Whether that very worker process is still there."""
        return start_ticks(self.owner) == self.owner_ticks


def pid_namespace() -> int:
    """The number of this process's namespace of process ids, 0 where there are none."""
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return 0
