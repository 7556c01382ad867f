"""The command line of a container engine for a confinement: pure.

See podman-run(1) and docker-run(1), which take the same options. The container has namespaces of its own, no
rights, and a root that is read-only: what can be written are the mounts. Its first process is ours.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from routing.sandbox.bubblewrap import EMPTY_BYTES, HOST_NAME
from routing.sandbox.mount import Confinement, Mount, MountKind, ProcessLimits
from routing.sandbox.profile import NetworkMode

#: Where the socket is in a container at which its worker is reached.
LINK_AT = "/run/coalmine.sock"

#: Variables that the engine's command line reads itself. None is a secret, so their values stand in its
#: arguments; all others it is given by name, and takes from its environment.
ENGINES_OWN = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME"}
)

#: Beginnings of variables that tell the engine what to do: no container gets them.
OF_ENGINES = ("DOCKER_", "CONTAINER_", "CONTAINERS_", "PODMAN_", "BUILDKIT_")

#: Processes beside the agent's own: the first one.
_OURS = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Container:
    """One container that is to be run."""

    image: str
    name: str
    user: int  # numbers of the worker's user and group, whose files the mounts are
    group: int
    keeps_user: bool  # see `ContainerEngine`


def container_argv(
    program: str, container: Container, confined: Confinement, argv: Sequence[str], *, cwd: str,
    environment: Mapping[str, str], link: str,
) -> list[str]:  # fmt: skip
    """The command that runs `argv` in a container; `argv[0]` is the program that is its first process.

    `environment` is the program's. Whatever is not ENGINES_OWN has to be in that of the command as well.
    """
    line = [
        program,
        "run",
        "--rm",
        "--interactive",
        "--pull",
        "never",
        "--init=false",
        "--name",
        container.name,
    ]
    line += ["--hostname", HOST_NAME, "--user", f"{container.user}:{container.group}"]
    if container.keeps_user:
        line.append("--userns=keep-id")
    # Labels of SELinux would shut the mounts to it, and changing theirs would change the machine's files.
    line += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--security-opt", "label=disable"]
    line += ["--network", "host" if confined.network is NetworkMode.FULL else "none"]
    line += ["--ipc", "private", "--shm-size", str(EMPTY_BYTES), "--read-only", "--log-driver", "none"]
    line += [*_limits(confined.limits), *_variables(environment)]
    mounts = (*confined.mounts, Mount(kind=MountKind.WRITE, at=LINK_AT, source=link))
    for mount in _once(mounts):
        line += ["--mount", _mounted(mount)]
    return [*line, "--workdir", cwd, "--entrypoint", argv[0], container.image, *argv[1:]]


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """What of a program's variables the engine's command line has to have in its own environment."""
    return {name: value for name, value in environment.items() if name not in ENGINES_OWN}


def _variables(environment: Mapping[str, str]) -> list[str]:
    said = (f"{name}={value}" if name in ENGINES_OWN else name for name, value in environment.items())
    return [part for one in said for part in ("--env", one)]


def _limits(limits: ProcessLimits) -> list[str]:
    line = []
    if limits.memory_bytes is not None:  # without swap
        line += ["--memory", str(limits.memory_bytes), "--memory-swap", str(limits.memory_bytes)]
    if limits.processes is not None:
        line += ["--pids-limit", str(limits.processes + _OURS)]
    if limits.file_bytes is not None:
        line += ["--ulimit", f"fsize={limits.file_bytes}:{limits.file_bytes}"]
    return line


def _once(mounts: Collection[Mount]) -> list[Mount]:
    """The mounts, folders before what is in them; of two at the same place the later one counts."""
    last = {mount.at: mount for mount in mounts}
    return sorted(last.values(), key=lambda mount: mount.at.count("/"))


def _mounted(mount: Mount) -> str:
    """A mount in words: comma-separated values, as in RFC 4180."""
    if mount.kind is MountKind.EMPTY:
        return _row("type=tmpfs", f"destination={mount.at}", f"tmpfs-size={EMPTY_BYTES}")
    words = ["type=bind", f"source={mount.source}", f"destination={mount.at}"]
    return _row(*words, *(["readonly"] if mount.kind is not MountKind.WRITE else []))


def _row(*fields: str) -> str:
    quoted = (
        f'"{field.replace(chr(34), chr(34) * 2)}"' if set(field) & set(',"\n') else field for field in fields
    )
    return ",".join(quoted)
