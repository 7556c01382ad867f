"""The marker that every process of a turn carries: it says whose the process is, wherever that has gone."""

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from routing.process.table import start_ticks


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnMarker:
    """Names a turn, its job and the worker process that supervises it, in one environment variable.

    `str` writes it and `parse` reads it. The text form is also in the names of cgroups and in the store.
    """

    namespace: int  # of the owner's process ids: the same pid in another container is another process
    owner: int  # pid of the worker process
    owner_ticks: int  # clock ticks from boot to its start: with the pid, its identity
    job: str  # id, "" for a turn without a job
    nonce: str  # random: no two turns have the same

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
        """Read a marker; None for a text that is not a marker of ours."""
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
        """Whether the owner's pid means here what it meant to the owner: its namespace is ours."""
        return self.namespace == pid_namespace()

    @property
    def owner_lives(self) -> bool:
        """Whether that worker process still runs. Only for a marker that `is_ours`."""
        return start_ticks(self.owner) == self.owner_ticks


def pid_namespace() -> int:
    """The number of this process's namespace of process ids; 0 where there are no namespaces."""
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return 0
