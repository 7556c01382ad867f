"""What a program and all that it has started take of the machine: memory, processes, and room in folders.

Memory is what is resident, and what open files in memory hold (memfd_create(2)), mapped or not. Shared pages
count for each process at first; only when that is too much is each page counted once, which costs more. See
proc(5), `statm`, `smaps_rollup` and `smaps`.
"""

import os
import threading
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from routing.process.table import proc_file

_PROC = Path("/proc")
_PAGE = os.sysconf("SC_PAGE_SIZE")

#: What the link of an open file in memory begins with.
_IN_MEMORY = "/memfd:"

#: For how long one reading of all processes serves those who ask, in seconds.
FRESH_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """One process: its parent, and its resident bytes with what it shares."""

    pid: int
    parent: int
    session: int
    resident_bytes: int


class UsageReading:
    """All processes at one time, so ordered that each turn's are found without a look at all others."""

    def __init__(self, uses: Iterable[ProcessUse]) -> None:
        self._sessions: dict[int, list[ProcessUse]] = {}
        self._children: dict[int, list[ProcessUse]] = {}
        for use in uses:
            self._children.setdefault(use.parent, []).append(use)
            for leader in {use.pid, use.session}:
                self._sessions.setdefault(leader, []).append(use)

    @cached_property
    def shared_bytes(self) -> int:
        """What files in memory and shared segments of the machine have together, since about then."""
        return shared_bytes()

    def family(self, leader: int) -> list[ProcessUse]:
        """A process, its session, and what descends from them."""
        found: dict[int, ProcessUse] = {}
        waiting = list(self._sessions.get(leader, ()))
        while waiting:
            use = waiting.pop()
            if use.pid not in found:
                found[use.pid] = use
                waiting += self._children.get(use.pid, ())
        return list(found.values())


class UsageTable:
    """Readings of all processes of the machine, shared by the threads of a worker."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._reading = UsageReading(())

    def family(self, leader: int) -> list[ProcessUse]:
        """A process, its session, and all their descendants, as of the last half second."""
        with self._lock:
            if self._clock() - self._read_at > FRESH_SECONDS:
                self._reading, self._read_at = UsageReading(_all()), self._clock()
            reading = self._reading
        return reading.family(leader)

    def shared_bytes(self) -> int:
        """What files in memory of the machine can have at the most, as of the last reading."""
        return self._reading.shared_bytes


def resident_bytes(
    uses: Iterable[ProcessUse], *, limit: int, most_in_files: Callable[[], int] | None = None
) -> int:
    """What processes have in memory together; exact where a look that counts shared pages often is above.

    `most_in_files` says what files in memory can come to at the most, on the whole machine. Where there is
    room for that nobody looks for them: that would be at all open files of a turn, each second.
    """
    uses = list(uses)
    resident = sum(use.resident_bytes for use in uses)
    if resident + (most_in_files or shared_bytes)() <= limit:
        return resident
    files = _files_in_memory(uses)
    rough = resident + sum(files.values())
    if rough <= limit:
        return rough
    mapped = sum(_mapped_bytes(use, files) for use in uses) if files else 0
    return sum(_own_bytes(use) for use in uses) + max(0, sum(files.values()) - mapped)


def shared_bytes() -> int:
    """What files in memory and shared segments of the machine have together, in memory or swapped out."""
    facts = _facts_of_memory()
    return facts.get(b"Shmem", 0) + facts.get(b"SwapTotal", 0) - facts.get(b"SwapFree", 0)


def memory_of_machine(*, groups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """The bytes of memory that this process may use with others; None where nobody says.

    Of the machine, or of the control group around this process where that has less: a container's, a
    service's.
    """
    found = [size for size in (_facts_of_memory().get(b"MemTotal"),) if size]
    with suppress(OSError, IndexError):
        own = (_PROC / "self" / "cgroup").read_text().splitlines()[-1].partition("::")[2].strip("/")
        for folder in (groups / own, *(groups / own).parents):
            with suppress(OSError, ValueError):  # the root has no limit, and `max` is none
                found.append(int((folder / "memory.max").read_text()))
            if folder == groups:
                break
    return min(found, default=None)


def _facts_of_memory() -> dict[bytes, int]:
    """Lines of /proc/meminfo, in bytes; nothing where there is no such file."""
    with suppress(OSError, ValueError, IndexError):
        lines = (_PROC / "meminfo").read_bytes().splitlines()
        return {line.partition(b":")[0]: int(line.split()[1]) * 1024 for line in lines}
    return {}


def folder_bytes(folders: Iterable[Path], *, limit: int) -> int:
    """What folders take on the disk together; the count ends above the limit. No link is followed."""
    total, waiting = 0, list(folders)
    while waiting and total <= limit:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with suppress(OSError):
                    facts = entry.stat(follow_symlinks=False)
                    total += facts.st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
    return total


def _all() -> Iterable[ProcessUse]:
    with suppress(FileNotFoundError):
        for name in os.listdir(_PROC):  # noqa: PTH208 - thousands of names, ten times a minute
            if name.isdigit() and (use := _read(int(name))) is not None:
                yield use


def _read(pid: int) -> ProcessUse | None:
    try:
        stat = proc_file(f"{_PROC}/{pid}/stat")
    except OSError:  # gone
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()
    return ProcessUse(pid, int(fields[1]), int(fields[3]), int(fields[21]) * _PAGE)


def _own_bytes(use: ProcessUse) -> int:
    """A process's share of its pages; with what it shares where the kernel does not say."""
    with suppress(OSError, ValueError, IndexError):
        for line in (_PROC / str(use.pid) / "smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    return use.resident_bytes


def _files_in_memory(uses: Iterable[ProcessUse]) -> dict[int, int]:
    """The files in memory that processes hold open: their bytes, by inode. All are of one file system."""
    found: dict[int, int] = {}
    for use in uses:
        folder = f"{_PROC}/{use.pid}/fd"
        with suppress(OSError):
            for name in os.listdir(folder):  # noqa: PTH208 - links of all processes, each second
                with suppress(OSError):  # closed
                    file = f"{folder}/{name}"
                    if os.readlink(file).startswith(_IN_MEMORY):  # noqa: PTH115
                        facts = os.stat(file)  # noqa: PTH116
                        found[facts.st_ino] = facts.st_blocks * 512
    return found


def _mapped_bytes(use: ProcessUse, files: Collection[int]) -> int:
    """What of these files is among a process's own pages already; 0 where the kernel does not say."""
    mapped, is_one = 0, False
    with suppress(OSError, ValueError, IndexError):
        for line in (_PROC / str(use.pid) / "smaps").read_bytes().splitlines():
            words = line.split(maxsplit=5)  # `address rights offset device inode path`, then `Field: value`
            if not words[0].endswith(b":"):
                is_named = len(words) > 5 and words[5].startswith(_IN_MEMORY.encode())  # noqa: PLR2004
                is_one = is_named and int(words[4]) in files
            elif is_one and words[0] == b"Pss:":
                mapped += int(words[1]) * 1024
    return mapped
