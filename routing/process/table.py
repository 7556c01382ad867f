"""The machine's processes, as far as finding an agent's descendants needs them: read from /proc, see proc(5).

Where there is no /proc the table is empty, and callers fall back on the process group.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

#: The environment variable that marks every process of one turn; children inherit it.
MARKER: Final = "COALMINE_TURN"
#: Seconds after its first reading from which a process keeps the marker that it has.
SETTLED_SECONDS = 30.0
#: Seconds within which a pid does not mean another process: all others are given out before it is again.
REUSE_SECONDS = 10.0

_PROC = Path("/proc")
_GONE_STATES = frozenset({b"Z", b"X", b"x"})
_LAST_FIELD = 19  # of `stat` that is read here, after the name: the start


@dataclass(frozen=True, slots=True)
class ProcessEntry:
    """One process, as it was when the table was read."""

    pid: int
    parent: int  # pid
    group: int  # id of its process group
    session: int  # id of its session
    start_ticks: int  # clock ticks from boot to its start: with the pid, its identity
    marker: str = ""  # value of MARKER in the environment that it was started with


@dataclass(frozen=True, slots=True)
class _Known:
    """A process of earlier readings, with what its environment said."""

    start_ticks: int
    since: float  # by the monotonic clock: the first reading that had it
    marker: str
    read_at: float  # when its environment was read last

    @property
    def is_settled(self) -> bool:
        """Whether that was when the process had been there for long."""
        return self.read_at - self.since >= SETTLED_SECONDS

    def is_due(self, now: float) -> bool:
        """Whether one who looks often reads it again: at the next look, then whenever it is twice as old."""
        return not self.is_settled and now - self.since >= 2 * (self.read_at - self.since)


class ProcessTable:
    """Reads all live processes. One table serves all threads of a worker, and shares readings among them.

    Environments of processes that have been there for SETTLED_SECONDS are not read again. What begins an
    agent gives it the marker within its first moments, in the program that it becomes.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._begun_at = -1.0
        self._looked_at = -REUSE_SECONDS  # the last time that all processes were looked at
        self._entries: Mapping[int, ProcessEntry] = {}
        self._known: Mapping[int, _Known] = {}

    def read(self) -> Mapping[int, ProcessEntry]:
        """Return the live processes by pid, read no earlier than this call.

        When a worker with hundreds of turns shuts down, all of them call at once: one reading serves all who
        called before it was begun.
        """
        asked_at = self._monotonic()
        with self._lock:
            if self._begun_at < asked_at:
                self._begun_at = self._looked_at = self._monotonic()
                live = list(_live_processes())
                self._known = {entry.pid: self._look_at(entry, self._begun_at) for entry in live}
                self._entries = {
                    entry.pid: replace(entry, marker=marker)
                    if (marker := self._known[entry.pid].marker)
                    else entry
                    for entry in live
                }
            return self._entries

    def has_turns(self, wanted: Callable[[str], bool], *, looks_often: bool = False) -> bool:
        """Whether any process has a marker that is wanted; one that has ended counts until it is collected.

        A fraction of `read`: who was there for long is not looked at again, and for one who looks often,
        every few seconds, who is young is looked at now and then.
        """
        with self._lock:
            now = self._monotonic()
            is_fresh = 0 <= now - self._looked_at < REUSE_SECONDS
            self._looked_at = now
            known = {}
            for pid in _pids():
                before = self._known.get(pid)
                if (
                    is_fresh
                    and before is not None
                    and not (before.is_due(now) if looks_often else not before.is_settled)
                ):
                    known[pid] = before
                elif (entry := _read_stat(pid)) is not None:
                    known[pid] = self._look_at(entry, now)
            self._known = known
            return any(map(wanted, {each.marker for each in known.values()} - {""}))

    def _look_at(self, entry: ProcessEntry, now: float) -> _Known:
        before = self._known.get(entry.pid)
        if before is None or before.start_ticks != entry.start_ticks:  # a pid is used again
            return _Known(entry.start_ticks, now, _marker(entry.pid), read_at=now)
        return before if before.is_settled else replace(before, marker=_marker(entry.pid), read_at=now)


def family(entries: Mapping[int, ProcessEntry], *, leader: int, marker: str) -> list[ProcessEntry]:
    """Return the processes of a turn: its session and group, those marked, and all their descendants.

    `leader` is its first process, which must not have been reaped: until then its pid cannot mean another
    process, group or session. This process is never among them.
    """
    children: dict[int, list[ProcessEntry]] = {}
    for entry in entries.values():
        children.setdefault(entry.parent, []).append(entry)
    found: dict[int, ProcessEntry] = {}
    waiting = [
        entry
        for entry in entries.values()
        if leader in {entry.pid, entry.parent, entry.group, entry.session} or entry.marker == marker
    ]
    while waiting:
        entry = waiting.pop()
        if entry.pid not in found and entry.pid != os.getpid():
            found[entry.pid] = entry
            waiting.extend(children.get(entry.pid, ()))
    return list(found.values())


def still_running(entries: Iterable[ProcessEntry]) -> list[ProcessEntry]:
    """Return those that still run; a pid that another process has now does not count."""
    return [entry for entry in entries if _is_same(entry)]


def is_there(pid: int) -> bool:
    """Whether a process of this user has that id; it may be another one than the id was noted of."""
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def running_in(folder: Path, program: str) -> list[int]:
    """Return the processes of a program whose working folder is this one; none where there is no /proc."""
    found, wanted = [], str(folder.resolve())
    for process in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):  # gone, or not ours to see
            if (process / "comm").read_text().strip() == program and str(
                (process / "cwd").readlink()
            ) == wanted:
                found.append(int(process.name))
    return found


def activity(leader: int) -> int:
    """A number that changes while any process of a session computes, reads or writes; 0 without /proc."""
    total = 0
    for process in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):  # gone, or not ours to see
            fields = (process / "stat").read_bytes().rpartition(b")")[2].split()
            if int(fields[3]) == leader:
                total += (
                    int(fields[11]) + int(fields[12]) + 1
                )  # its time in user and in kernel mode, see proc(5)
                moved = (process / "io").read_bytes().split()
                total += int(moved[1]) + int(moved[3])  # bytes read and written, in files and pipes
    return total


def start_ticks(pid: int) -> int | None:
    """Return the start of a process in clock ticks since boot; None when it has ended, or is a zombie."""
    entry = _read_stat(pid)
    return entry.start_ticks if entry else None


def boot_id() -> str:
    """The id of this start of the machine's kernel; "" where there is none to read."""
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _is_same(entry: ProcessEntry) -> bool:
    return start_ticks(entry.pid) == entry.start_ticks


def _live_processes() -> Iterable[ProcessEntry]:
    """Without their markers."""
    return filter(None, map(_read_stat, _pids()))


def _pids() -> list[int]:
    try:
        names = os.listdir(_PROC)  # noqa: PTH208 - hundreds of names, thirty times a minute
    except FileNotFoundError:
        return []
    return [int(name) for name in names if name.isdigit()]


def _read_stat(pid: int) -> ProcessEntry | None:
    try:
        stat = proc_file(f"{_PROC}/{pid}/stat")
    except OSError:  # gone, or not ours to see
        return None
    # The name, in brackets, may itself have brackets and blanks in it: fields count from the last bracket.
    fields = stat[stat.rindex(b")") + 2 :].split(None, _LAST_FIELD + 1)
    if fields[0] in _GONE_STATES:
        return None
    parent, group, session = map(int, fields[1:4])
    return ProcessEntry(pid, parent, group, session, int(fields[_LAST_FIELD]))


def proc_file(path: str) -> bytes:
    """A file of /proc. Every worker reads hundreds again and again: a third of what `read_bytes` takes.

    OSError: its process has gone, or is not ours to see.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(descriptor, 65_536):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def _marker(pid: int) -> str:
    start = f"\0{MARKER}=".encode()
    with contextlib.suppress(OSError):  # gone meanwhile, or another user's
        environment = b"\0" + proc_file(f"{_PROC}/{pid}/environ")
        at = environment.find(start)
        if at >= 0:
            return environment[at + len(start) :].split(b"\0", 1)[0].decode(errors="replace")
    return ""
