"""Whether an agent takes more of its machine than its turn may: looked at now and then, while it runs."""

import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from routing.jobs.ending import Ending
from routing.sandbox.mount import LimitBroken, ProcessLimits
from routing.sandbox.sandbox import Sandbox
from routing.sandbox.usage import UsageTable, folder_bytes, resident_bytes

#: Seconds between two looks at memory and processes.
LOOK_SECONDS = 1.0

#: Seconds between two looks at folders, at the least; and how much longer than a look takes.
FOLDER_SECONDS = 5.0
_FOLDER_SHARE = 20.0

#: What a sandbox says of its own limits.
_OF_SANDBOX = {LimitBroken.MEMORY: Ending.MEMORY_LIMIT, LimitBroken.PROCESSES: Ending.PROCESS_LIMIT}

#: All turns of a process read the same table.
_TABLE = UsageTable()


class ResourceWatch:
    """The limits of one turn's processes. Without any, nothing is ever looked at.

    `look` at `due_at` or later; all times are seconds of the caller's clock.
    """

    def __init__(
        self, limits: ProcessLimits, *, leader: int, folders: Sequence[Path], now: float,
        clock: Callable[[], float] = time.monotonic, table: UsageTable = _TABLE,
    ) -> None:  # fmt: skip
        self._limits, self._leader, self._folders = limits, leader, folders
        self._clock, self._table = clock, table
        looks = limits.memory_bytes is not None or limits.processes is not None
        self._look_at = now + LOOK_SECONDS if looks else float("inf")
        self._measure_at = now + FOLDER_SECONDS if limits.disk_bytes is not None else float("inf")

    @property
    def due_at(self) -> float:
        """When the next look is due; never without limits."""
        return min(self._look_at, self._measure_at)

    def look(self, now: float) -> Ending | None:
        """Which limit is broken; None for none, or when no look is due."""
        if now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            if (ending := self._processes()) is not None:
                return ending
        if now >= self._measure_at:
            begun = self._clock()
            is_over = self._is_full()
            took = self._clock() - begun
            self._measure_at = now + max(FOLDER_SECONDS, took * _FOLDER_SHARE)
            return Ending.DISK_LIMIT if is_over else None
        return None

    def ended_by(self, exit_code: int | None, sandbox: Sandbox | None = None) -> Ending | None:
        """Whether a program that ended by itself was ended by the kernel, or broke a limit of its sandbox."""
        if sandbox is not None and (broken := sandbox.broken_limit()) is not None:
            return _OF_SANDBOX[broken]
        number = int(signal.SIGXFSZ)
        broke = exit_code in {-number, 128 + number} and self._limits.file_bytes is not None
        return Ending.FILE_LIMIT if broke else None

    def _processes(self) -> Ending | None:
        uses, limits = self._table.family(self._leader), self._limits
        if limits.processes is not None and len(uses) > limits.processes:
            return Ending.PROCESS_LIMIT
        if (
            limits.memory_bytes is None
            or resident_bytes(uses, limit=limits.memory_bytes) <= limits.memory_bytes
        ):
            return None
        return Ending.MEMORY_LIMIT

    def _is_full(self) -> bool:
        most = self._limits.disk_bytes
        return most is not None and folder_bytes(self._folders, limit=most) > most
