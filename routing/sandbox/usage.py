"""What a program and all that it has started take of the machine: memory, processes, and room in folders.

Memory is what is resident, and what open files in memory hold (memfd_create(2)), mapped or not. Shared pages
count for each process at first; only when that is too much is each page counted once, which costs more. See
proc(5), `statm`, `smaps_rollup` and `smaps`.
"""

import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

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


class UsageTable:
    """Readings of all processes of the machine, shared by the threads of a worker."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._uses: Mapping[int, ProcessUse] = {}

    def family(self, leader: int) -> list[ProcessUse]:
        """A process, its session, and all their descendants, as of the last half second."""
        with self._lock:
            if self._clock() - self._read_at > FRESH_SECONDS:
                self._uses, self._read_at = {use.pid: use for use in _all()}, self._clock()
            uses = self._uses
        return family_of(uses, leader)


def family_of(uses: Mapping[int, ProcessUse], leader: int) -> list[ProcessUse]:
    """The processes of a session, and what descends from them."""
    children: dict[int, list[ProcessUse]] = {}
    for use in uses.values():
        children.setdefault(use.parent, []).append(use)
    found: dict[int, ProcessUse] = {}
    waiting = [use for use in uses.values() if leader in {use.pid, use.session}]
    while waiting:
        use = waiting.pop()
        if use.pid not in found:
            found[use.pid] = use
            waiting += children.get(use.pid, ())
    return list(found.values())


def resident_bytes(uses: Iterable[ProcessUse], *, limit: int) -> int:
    """What processes have in memory together; exact where a look that counts shared pages often is above."""
    uses = list(uses)
    files = _files_in_memory(uses)
    rough = sum(use.resident_bytes for use in uses) + sum(files.values())
    if rough <= limit:
        return rough
    mapped = sum(_mapped_bytes(use, files) for use in uses) if files else 0
    return sum(_own_bytes(use) for use in uses) + max(0, sum(files.values()) - mapped)


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
        stat = (_PROC / str(pid) / "stat").read_bytes()
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
