"""Where the cgroups of turns are: beneath this process's own, if it may make any there."""

import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from routing.process.cgroup import TurnCgroup
from routing.process.marker import TurnMarker

#: Name of a turn's group: this, and its marker. Another process can tell whose it is.
_PREFIX = "coalmine:"
#: How long the probe may take.
_PROBE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class CgroupHome:
    """The cgroup of this process, in which turns have theirs."""

    path: Path

    @classmethod
    def here(cls, proc: Path = Path("/proc/self")) -> Self | None:
        """This process's, tried out once: None where it may not make groups, or not move processes.

        It may as root where /sys/fs/cgroup can be written, and in a unit to which systemd delegates its own.
        """
        path = own_cgroup(proc)
        home = cls(path) if path is not None else None
        return home if home is not None and _can_be_used(home) else None

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


def _can_be_used(home: CgroupHome) -> bool:
    """Whether a process enters a group beneath it, as an agent's does."""
    group = home.make(f"probe-{os.getpid()}-{secrets.token_hex(4)}")
    if group is None:
        return False
    try:
        enter = ["/bin/sh", "-c", 'echo 0 > "$1/cgroup.procs"', "sh", str(group.path)]
        quiet = subprocess.DEVNULL
        done = subprocess.run(
            enter, check=False, stdin=quiet, stdout=quiet, stderr=quiet, timeout=_PROBE_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    finally:
        with suppress(OSError):
            group.path.rmdir()
    return done.returncode == 0 and not group.path.exists()


def own_cgroup(proc: Path) -> Path | None:
    """The folder of this process's cgroup in the unified hierarchy; None when that cannot be seen."""
    try:
        lines = (proc / "cgroup").read_text(encoding="utf-8").splitlines()
        mounts = (proc / "mountinfo").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    own = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), None)
    if own is None or ".." in Path(own).parts:  # outside our namespace of cgroups
        return None
    for mount in mounts:
        # ID PARENT MAJOR:MINOR ROOT MOUNT-POINT OPTIONS … - TYPE SOURCE SUPER-OPTIONS
        head, _, tail = mount.partition(" - ")
        if tail.startswith("cgroup2 "):
            root, point = map(_unescaped, head.split(" ")[3:5])
            if Path(own).is_relative_to(root):
                return Path(point) / Path(own).relative_to(root)
    return None


def _unescaped(path: str) -> str:
    """Mount points are written with octal escapes for blanks and backslashes."""
    for escape, character in ((r"\040", " "), (r"\011", "\t"), (r"\134", "\\")):
        path = path.replace(escape, character)
    return path
