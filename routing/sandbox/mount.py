"""What a sandbox shows, as a list of mounts, and all else that confines one program: records."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from routing.sandbox.profile import NetworkMode


class MountKind(StrEnum):
    """What is at a place in the sandbox."""

    READ = "read"  # a file or folder of the machine, read-only
    WRITE = "write"  # the same, writable
    LINK = "link"  # a symbolic link
    EMPTY = "empty"  # a small folder in memory


@dataclass(frozen=True, kw_only=True, slots=True)
class Mount:
    """One place of a sandbox."""

    kind: MountKind
    at: str  # absolute, in the sandbox
    source: str = ""  # of the machine, or what a link says; "" for an empty folder

    @classmethod
    def same(cls, kind: MountKind, path: Path) -> "Mount":
        """A path of the machine at the same place."""
        return cls(kind=kind, at=str(path), source=str(path))


def in_order(mounts: Iterable[Mount]) -> list[Mount]:
    """Folders before what is in them; of two at the same place the later one counts.

    What a folder of the machine shows already is left out: another mount there would change nothing, and
    bubblewrap takes none on a link.
    """
    last = {mount.at: mount for mount in mounts}
    kept: dict[str, Mount] = {}
    for mount in sorted(last.values(), key=lambda mount: (len(Path(mount.at).parts), mount.at)):
        around = next((kept[str(folder)] for folder in Path(mount.at).parents if str(folder) in kept), None)
        is_shown = around is not None and around.kind is MountKind.READ and around.source == around.at
        if not (is_shown and mount.kind is MountKind.READ):
            kept[mount.at] = mount
    return list(kept.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessLimits:
    """What one program and all that it starts may take together; None for no limit."""

    memory_bytes: int | None = None
    processes: int | None = None
    file_bytes: int | None = None  # of one file
    disk_bytes: int | None = None  # of what it writes: `Confinement.written`

    @property
    def are_set(self) -> bool:
        """Whether there is any."""
        return any((self.memory_bytes, self.processes, self.file_bytes, self.disk_bytes))


@dataclass(frozen=True, kw_only=True, slots=True)
class Confinement:
    """One program's sandbox, ready to be made into a command line."""

    mounts: tuple[Mount, ...]
    network: NetworkMode
    home: str  # the program's, a folder of its own
    limits: ProcessLimits = field(default_factory=ProcessLimits)
    may_nest: bool = False  # whether it may make user namespaces itself
    environment: Mapping[str, str] = field(default_factory=dict)  # that it needs beside what it is given
    written: tuple[Path, ...] = ()  # folders of the machine in which it can write, for the limit of disk
