"""What a sandbox shows, as a list of mounts, and all else that confines one program: records."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Self

from routing.sandbox.profile import NetworkMode, SandboxProfile


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
    for mount in sorted(last.values(), key=lambda mount: (mount.at.count("/"), mount.at)):
        around = next((kept[folder] for folder in _above(mount.at) if folder in kept), None)
        is_shown = around is not None and around.kind is MountKind.READ and around.source == around.at
        if not (is_shown and mount.kind is MountKind.READ):
            kept[mount.at] = mount
    return list(kept.values())


def _above(place: str) -> Iterator[str]:
    """The folders that a place is in, the innermost first. By texts: there are dozens of places a turn."""
    end = place.rfind("/")
    while end > 0:
        yield place[:end]
        end = place.rfind("/", 0, end)
    yield "/"


class LimitBroken(StrEnum):
    """A limit of what a program may take of its machine, and that was broken."""

    MEMORY = "memory"
    PROCESSES = "processes"
    FILE_SIZE = "file size"
    DISK = "disk"


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessLimits:
    """What one program and all that it starts may take together; None for no limit."""

    memory_bytes: int | None = None
    processes: int | None = None
    file_bytes: int | None = None  # of one file
    disk_bytes: int | None = None  # of what it writes: `Confinement.written`

    def with_profile(self, profile: SandboxProfile) -> Self:
        """These, or those of a version's profile where they are lower."""
        return type(self)(
            memory_bytes=_lower(self.memory_bytes, _bytes(profile.memory_megabytes)),
            processes=_lower(self.processes, profile.processes),
            file_bytes=_lower(self.file_bytes, _bytes(profile.file_megabytes)),
            disk_bytes=_lower(self.disk_bytes, _bytes(profile.disk_megabytes)),
        )


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

    def showing(self, files: Iterable[Path], *, sockets: Iterable[Path] = ()) -> Self:
        """The same with more files, read-only, and sockets that the program may speak to."""
        mounts = [mount for file in files for mount in read_only(file)]
        mounts += [Mount.same(MountKind.WRITE, socket) for socket in sockets]
        return replace(self, mounts=(*self.mounts, *mounts))


def read_only(path: Path) -> list[Mount]:
    """A file or folder, at its own path and, if links lead to it, where it really is."""
    real = os.path.realpath(path)
    return [Mount(kind=MountKind.READ, at=at, source=real) for at in dict.fromkeys((str(path), real))]


def _bytes(megabytes: int | None) -> int | None:
    return None if megabytes is None else megabytes * 1024 * 1024


def _lower(one: int | None, other: int | None) -> int | None:
    return min((each for each in (one, other) if each is not None), default=None)
