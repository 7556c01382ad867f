"""The command line of bubblewrap for a confinement: pure.

See bwrap(1). The program gets new namespaces of processes, IPC, host name, cgroups and users, and of the
network unless it may use the machine's. With the first process of its namespace all others end, whatever they
did to escape; and that one ends with bubblewrap, which ends with the thread that started it.
"""

from collections.abc import Sequence

from routing.sandbox.mount import Confinement, Mount, MountKind, in_order
from routing.sandbox.profile import NetworkMode

#: The name of the machine in a sandbox.
HOST_NAME = "sandbox"

#: Of /proc: settings and switches of the kernel.
_WRITABLE_BY_ROOT = ("/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs")

#: Bytes of an empty folder; it is in memory.
EMPTY_BYTES = 64 * 1024 * 1024


def bubblewrap_argv(
    program: str, confined: Confinement, argv: Sequence[str], *, cwd: str, blocks_nesting: bool = True,
    filter_at: int | None = None, says_at: int | None = None, waits_at: int | None = None,
) -> list[str]:  # fmt: skip
    """The command that runs `argv` in a sandbox; `program` is bubblewrap's own path.

    The environment is passed on as bubblewrap itself gets it. `blocks_nesting`: whether this bubblewrap knows
    `--disable-userns`. `filter_at` is a descriptor that it inherits, with a filter of system calls;
    to `says_at` it writes what it has made, and it does not run the program before it has read a byte of
    `waits_at`.
    """
    line = [program, "--die-with-parent", "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts"]
    line += ["--unshare-cgroup-try", "--hostname", HOST_NAME, "--cap-drop", "ALL"]
    if confined.network is not NetworkMode.FULL:
        line.append("--unshare-net")
    if blocks_nesting and not confined.may_nest:
        line.append("--disable-userns")
    if filter_at is not None:
        line += ["--seccomp", str(filter_at)]
    if says_at is not None:
        line += ["--info-fd", str(says_at)]
    if waits_at is not None:
        line += ["--block-fd", str(waits_at)]
    line += ["--proc", "/proc", *_guarded(), "--dev", "/dev"]
    for mount in in_order((Mount(kind=MountKind.EMPTY, at="/dev/shm"), *confined.mounts)):  # noqa: S108
        line += _mounted(mount)
    # Both are in memory, which counts for nobody, and would take files without end. What is in them stays.
    return [*line, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", cwd, "--", *argv]


def _guarded() -> list[str]:
    """What of /proc a program of root could write, without any rights but its user's number."""
    return [part for path in _WRITABLE_BY_ROOT for part in ("--ro-bind-try", path, path)]


def _mounted(mount: Mount) -> list[str]:
    match mount.kind:
        case MountKind.READ:
            return ["--ro-bind", mount.source, mount.at]
        case MountKind.WRITE:
            return ["--bind", mount.source, mount.at]
        case MountKind.LINK:
            return ["--symlink", mount.source, mount.at]
        case MountKind.EMPTY:
            return ["--size", str(EMPTY_BYTES), "--tmpfs", mount.at]
