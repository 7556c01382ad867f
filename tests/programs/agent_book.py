"""A book outside all work trees in which agents of tests write when they begin and when they end."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from routing.templates.version import Snapshot
from tests.servers.private_server import process_runs
from tests.waiting import wait_until

#: What an agent of a test does when its job is to be lost at the first attempt.
HANG_AT_FIRST = 'if [ "$COALMINE_ATTEMPT" = 1 ]; then sleep 600; fi'


@dataclass(frozen=True, slots=True)
class Book:
    """The entries, one line each: what, job, pid."""

    file: Path

    def snapshot(self, line: str = "true", **fields: Any) -> Snapshot:
        """An agent that enters its beginning, runs a shell line, and enters its end if that succeeded."""
        book = shlex.quote(str(self.file))
        enter = f'echo "$1 $COALMINE_JOB_ID $$" >> {book}'
        command = f"enter() {{ {enter}; }}; enter start; {{ {line}; }} && enter end"
        return Snapshot(prompt="work", command=command, **fields)

    def pids(self, what: str, job: str = "") -> list[int]:
        """Pids of the agents that made an entry, of one job or of all."""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        entries = [line.split() for line in lines]
        return [int(pid) for kind, owner, pid in entries if kind == what and job in {"", owner}]

    def until_started(self, job: str, times: int = 1, *, timeout: float = 20.0) -> int:
        """Wait for the beginning of a job's n-th turn; returns the agent's pid."""
        wait_until(
            lambda: len(self.pids("start", job)) >= times,
            description=f"agent {times} of job {job} has begun",
            timeout=timeout,
        )
        return self.pids("start", job)[times - 1]


def until_gone(pid: int, *, timeout: float) -> None:
    """Wait until a process has ended."""
    wait_until(lambda: not process_runs(pid), description=f"process {pid} has ended", timeout=timeout)
