"""Finds out whether this process may make cgroups for turns, and where: read from /proc, then tried once."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from routing.process.bounded_command import run_bounded
from routing.process.cgroup import CgroupHome
from routing.process.command import Command, SpawnError

#: Time limit of the probe.
_PROBE_SECONDS = 5.0


def usable_cgroup_home(proc: Path = Path("/proc/self")) -> CgroupHome | None:
    """This process's cgroup, after a trial; None where it may not make groups in it, or move processes there.

    Root may where /sys/fs/cgroup can be written; others may in a unit to which systemd delegates its cgroup
    (`Delegate=yes`). The trial starts a shell, which takes some milliseconds.
    """
    path = own_cgroup(proc)
    home = CgroupHome(path) if path is not None else None
    return home if home is not None and _can_be_used(home) else None


def _can_be_used(home: CgroupHome) -> bool:
    """Whether a process can enter a group below it, as an agent does."""
    group = home.make(f"probe-{os.getpid()}-{secrets.token_hex(4)}")
    if group is None:
        return False
    try:
        enter = ["/bin/sh", "-c", 'echo 0 > "$1/cgroup.procs"', "sh", str(group.path)]
        # With no environment: an agent could read our secrets in it while the shell runs.
        done = run_bounded(Command(argv=enter, environment={}), timeout_seconds=_PROBE_SECONDS)
    except SpawnError:
        return False
    finally:
        with suppress(OSError):
            group.path.rmdir()
    return done.exit_code == 0 and not group.path.exists()


def own_cgroup(proc: Path) -> Path | None:
    """The folder of this process's cgroup in the unified hierarchy; None when no mount shows it."""
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
    """A mount point as a path: blanks and backslashes are octal escapes in mountinfo, see proc(5)."""
    for escape, character in ((r"\040", " "), (r"\011", "\t"), (r"\134", "\\")):
        path = path.replace(escape, character)
    return path
