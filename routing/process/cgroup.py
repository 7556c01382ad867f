"""A cgroup (version 2) for each turn: whatever an agent starts is in it, however it detaches itself.

The kernel keeps the membership, and every child inherits it: a new session, an empty environment or a dead
parent do not change it. No controller is used, so a cgroup limits nothing. See cgroups(7).
"""

import errno
import os
import re
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from routing.process.marker import TurnMarker

#: Between two looks at a group that is to become empty, and how long that may take.
_LOOK_SECONDS = 0.02
_VANISH_SECONDS = 5.0

#: Enters the group $1 and becomes the program after it. Where the group cannot be entered, the program runs
#: all the same: it still carries the marker of its turn.
_ENTER = '{ echo 0 > "$1/cgroup.procs"; } 2>/dev/null; shift; exec "$@"'
#: Variables that shells set by themselves: they are unset again, unless the agent is to have them.
_SHELLS_OWN = ("PWD", "OLDPWD", "SHLVL")
_SHELL = "/bin/sh"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

#: The name of a turn's group is this and its marker, so that any process can see whose it is.
_PREFIX = "coalmine:"

#: The first bytes of files that the kernel runs: a program, and a script that names its interpreter.
_ELF, _SCRIPT = b"\x7fELF", b"#!"


@dataclass(frozen=True, slots=True)
class TurnCgroup:
    """One group: a folder in the kernel's file system, from `CgroupHome.make` until `end`."""

    path: Path

    def entering(self, argv: Sequence[str], *, cwd: Path, environment: Mapping[str, str]) -> list[str] | None:
        """The command that enters the group and then becomes the program, as the same process.

        None when a shell in between would change what is started: a program that does not exist (its start
        has to fail as it does without a group), or variables that a shell does not pass on. See `admit`.
        """
        if not argv or not all(map(_NAME.fullmatch, environment)):
            return None
        program = program_file(argv[0], cwd=cwd, environment=environment)
        if program is None:
            return None
        own = [name for name in _SHELLS_OWN if name not in environment]
        script = f"unset {' '.join(own)}; {_ENTER}" if own else _ENTER
        return [_SHELL, "-c", script, "sh", str(self.path), program, *argv[1:]]

    def admit(self, pid: int) -> None:
        """Move a process in, unless it has gone. What it had started before stays outside."""
        with suppress(OSError):
            (self.path / "cgroup.procs").write_text(str(pid), encoding="ascii")

    def pids(self) -> set[int]:
        """The ids of its processes, also of those in groups that they made within it."""
        return {pid for folder in self._folders() for pid in _pids(folder)}

    def kill(self) -> None:
        """Kill all its processes: since Linux 5.14 in one step, which no new process escapes."""
        try:
            (self.path / "cgroup.kill").write_text("1", encoding="ascii")
        except FileNotFoundError:  # before Linux 5.14, or the group is gone
            for pid in self.pids():
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        except OSError:
            return

    def end(self, *, clock: Callable[[], float], pause: Callable[[float], None]) -> int:
        """Kill what is left and remove the group; returns how many processes the kernel held for 5 s."""
        give_up_at = clock() + _VANISH_SECONDS
        while not self._is_removed() and clock() < give_up_at:
            self.kill()
            pause(_LOOK_SECONDS)
        return len(self.pids())

    def _is_removed(self) -> bool:
        """Remove it, with the groups in it; False while processes are in one of them."""
        try:
            for folder in reversed(list(self._folders())):
                folder.rmdir()
        except FileNotFoundError:
            return True
        except OSError as error:  # being in use passes; nothing else gets better by waiting
            return error.errno not in {errno.EBUSY, errno.ENOTEMPTY}
        return True

    def _folders(self) -> Iterator[Path]:
        """The group and those within it, outermost first."""
        for folder, _, _ in os.walk(self.path):
            yield Path(folder)


@dataclass(frozen=True, slots=True)
class CgroupHome:
    """A cgroup in which turns have theirs: this process's own, see `cgroup_probe`."""

    path: Path

    def make(self, marker: str) -> TurnCgroup | None:
        """Make a group for a turn; None when that fails, as when the limit of groups is reached."""
        group = TurnCgroup(self.path / f"{_PREFIX}{marker}")
        try:
            group.path.mkdir()
        except OSError:
            return None
        return group

    def turns(self) -> Iterator[tuple[TurnMarker, TurnCgroup]]:
        """The groups of all turns here, of this worker process and of others."""
        try:
            names = [entry.name for entry in os.scandir(self.path)]
        except OSError:  # the home itself is gone: this process was moved
            return
        for name in names:
            if name.startswith(_PREFIX):
                marker = TurnMarker.parse(name.removeprefix(_PREFIX))
                if marker is not None:
                    yield marker, TurnCgroup(self.path / name)


def program_file(name: str, *, cwd: Path, environment: Mapping[str, str]) -> str | None:
    """The file that starting a program by this name would run; None when that start would fail.

    The path is absolute, or relative to `cwd`. A script whose first line names no interpreter is not found:
    a shell would run it, but it cannot be started as a process.
    """
    places = [""] if "/" in name else os.get_exec_path(dict(environment))
    for place in places:
        path = name if "/" in name else os.path.join(place or ".", name)  # noqa: PTH118 - "./name" keeps its dot
        if _can_run(cwd / path):
            return path
    return None


def _can_run(file: Path) -> bool:
    if not (file.is_file() and os.access(file, os.X_OK)):
        return False
    try:
        with file.open("rb") as opened:
            head = opened.read(512)
    except OSError:  # it may be run but not read, so it is not a script
        return True
    if not head.startswith(_SCRIPT):
        return head.startswith(_ELF)
    words = head[len(_SCRIPT) :].split(b"\n", 1)[0].split()
    return bool(words) and os.access(os.fsdecode(words[0]), os.X_OK)


def _pids(folder: Path) -> Iterator[int]:
    with suppress(OSError):  # it has gone, or it holds threads and not processes
        for line in (folder / "cgroup.procs").read_text(encoding="ascii").split():
            if line != "0":  # a process of a namespace that we do not see
                yield int(line)
