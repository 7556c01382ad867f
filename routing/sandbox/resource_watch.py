"""Whether a program takes more of its machine than it may: looked at now and then, while it runs."""

import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from routing.sandbox.mount import LimitBroken, ProcessLimits
from routing.sandbox.usage import UsageTable, folder_bytes, memory_of_machine, resident_bytes

#: Seconds between two looks at memory and processes.
LOOK_SECONDS = 1.0

#: Seconds between two looks at folders, at the least; and how much longer than a look takes.
FOLDER_SECONDS = 5.0
_FOLDER_SHARE = 20.0

#: What a program may have where nobody says: processes, and its share of the machine's memory. Both are far
#: above what work needs, and below what stops the machine.
MOST_PROCESSES = 4096
MEMORY_SHARE = 0.75

#: All programs that this process watches share one table.
_TABLE = UsageTable()


def usual_limits() -> ProcessLimits:
    """The limits of a program where nobody says any; of memory none where nobody knows how much there is."""
    memory = memory_of_machine()
    most = None if memory is None else int(memory * MEMORY_SHARE)
    return ProcessLimits(memory_bytes=most, processes=MOST_PROCESSES)


class ResourceWatch:
    """The limits of one program and of all that it starts. Without any, nothing is ever looked at.

    `look` at `due_at` or later; all times are seconds of the caller's clock.
    """

    def __init__(
        self, limits: ProcessLimits, *, leader: int, folders: Sequence[Path], now: float,
        clock: Callable[[], float] = time.monotonic, table: UsageTable = _TABLE,
    ) -> None:  # fmt: skip
        self._limits, self._leader, self._folders = limits, leader, folders
        self._clock, self._table = clock, table
        looks = limits.memory_bytes is not None or limits.processes is not None
        self._look_at = _next_look(now) if looks else float("inf")
        self._measure_at = now + FOLDER_SECONDS if limits.disk_bytes is not None else float("inf")

    @property
    def due_at(self) -> float:
        """When the next look is due; never without limits."""
        return min(self._look_at, self._measure_at)

    def look(self, now: float) -> LimitBroken | None:
        """Which limit is broken; None for none, or when no look is due."""
        if now >= self._look_at:
            self._look_at = _next_look(now)
            if (broken := self._processes()) is not None:
                return broken
        if now >= self._measure_at:
            begun = self._clock()
            is_over = self._is_full()
            took = self._clock() - begun
            self._measure_at = now + max(FOLDER_SECONDS, took * _FOLDER_SHARE)
            return LimitBroken.DISK if is_over else None
        return None

    def ended_by(self, exit_code: int | None) -> LimitBroken | None:
        """Whether a program that ended by itself was ended by the kernel, for the size of a file."""
        number = int(signal.SIGXFSZ)
        broke = exit_code in {-number, 128 + number} and self._limits.file_bytes is not None
        return LimitBroken.FILE_SIZE if broke else None

    def _processes(self) -> LimitBroken | None:
        uses, limits = self._table.family(self._leader), self._limits
        if limits.processes is not None and len(uses) > limits.processes:
            return LimitBroken.PROCESSES
        if (most := limits.memory_bytes) is None:
            return None
        taken = resident_bytes(uses, limit=most, most_in_files=self._table.shared_bytes)
        return LimitBroken.MEMORY if taken > most else None

    def _is_full(self) -> bool:
        most = self._limits.disk_bytes
        return most is not None and folder_bytes(self._folders, limit=most) > most


def _next_look(now: float) -> float:
    """At full seconds: all programs that are watched here then share one reading."""
    return (now // LOOK_SECONDS + 1) * LOOK_SECONDS
