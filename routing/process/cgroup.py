"""A cgroup (version 2) of one turn: whatever an agent starts is in it, however it detaches itself.

Membership is inherited by every child and is the kernel's to keep: it outlives a changed session, an emptied
environment and a dead parent. No controller is used, so nothing is limited by it.
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

#: Between two looks at a group that is to be empty, and how long that may take.
_LOOK_SECONDS = 0.02
_VANISH_SECONDS = 5.0

#: Enters the group $1 and becomes the program behind it. A group that cannot be entered stops nobody: the
#: process still carries the marker of its turn.
_ENTER = '{ echo 0 > "$1/cgroup.procs"; } 2>/dev/null; shift; exec "$@"'
#: What shells set by themselves; an agent is given it only if it was to have it.
_SHELLS_OWN = ("PWD", "OLDPWD", "SHLVL")
_SHELL = "/bin/sh"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

#: Name of a turn's group: this, and its marker. Another process can tell whose it is.
_PREFIX = "coalmine:"

#: What the kernel runs, and what names an interpreter that it runs.
_ELF, _SCRIPT = b"\x7fELF", b"#!"


@dataclass(frozen=True, slots=True)
class TurnCgroup:
    """A folder of the kernel's; it is there from `CgroupHome.make` until `end`."""

    path: Path

    def entering(self, argv: Sequence[str], *, cwd: Path, environment: Mapping[str, str]) -> list[str] | None:
        """The command that enters the group and becomes the program, as the same process.

        None when a shell in between would change what is started: an unknown program, whose start is to fail
        as it does without us, or variables that a shell does not hand on. See `admit`.
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
        """Move a process in, unless it has gone; what it started before stays where it is."""
        with suppress(OSError):
            (self.path / "cgroup.procs").write_text(str(pid), encoding="ascii")

    def pids(self) -> set[int]:
        """Its processes, with those in groups that they made within it."""
        return {pid for folder in self._folders() for pid in _pids(folder)}

    def kill(self) -> None:
        """Kill all its processes; where the kernel can, in one step that no new process escapes."""
        try:
            (self.path / "cgroup.kill").write_text("1", encoding="ascii")
        except FileNotFoundError:  # before Linux 5.14, or the group is gone
            for pid in self.pids():
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        except OSError:
            return

    def end(self, *, clock: Callable[[], float], pause: Callable[[float], None]) -> int:
        """Kill what is left and remove the group; returns how many processes the kernel holds on to."""
        give_up_at = clock() + _VANISH_SECONDS
        while not self._is_removed() and clock() < give_up_at:
            self.kill()
            pause(_LOOK_SECONDS)
        return len(self.pids())

    def _is_removed(self) -> bool:
        """Remove it, innermost first; False while processes are in it."""
        try:
            for folder in reversed(list(self._folders())):
                folder.rmdir()
        except FileNotFoundError:
            return True
        except OSError as error:  # anything else than being in use does not get better by waiting
            return error.errno not in {errno.EBUSY, errno.ENOTEMPTY}
        return True

    def _folders(self) -> Iterator[Path]:
        """The group and those within it, outermost first."""
        for folder, _, _ in os.walk(self.path):
            yield Path(folder)


@dataclass(frozen=True, slots=True)
class CgroupHome:
    """The cgroup of this process, in which turns have theirs."""

    path: Path

    def make(self, marker: str) -> TurnCgroup | None:
        """A group for a turn; None when it cannot be made, as the limit of groups was reached."""
        group = TurnCgroup(self.path / f"{_PREFIX}{marker}")
        try:
            group.path.mkdir()
        except OSError:
            return None
        return group

    def turns(self) -> Iterator[tuple[TurnMarker, TurnCgroup]]:
        """The groups of turns that there are, of whichever worker process."""
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
    """The path of a program that can be run, relative to `cwd` unless it is absolute; None for no such.

    A script without a first line that names its interpreter is none either: a shell would run it, but
    starting it as a process fails.
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
    except OSError:  # it may be run and not read: then it is no script
        return True
    if not head.startswith(_SCRIPT):
        return head.startswith(_ELF)
    words = head[len(_SCRIPT) :].split(b"\n", 1)[0].split()
    return bool(words) and os.access(os.fsdecode(words[0]), os.X_OK)


def _pids(folder: Path) -> Iterator[int]:
    with suppress(OSError):  # gone, or holding threads and not processes
        for line in (folder / "cgroup.procs").read_text(encoding="ascii").split():
            if line != "0":  # of a namespace that we do not see
                yield int(line)
