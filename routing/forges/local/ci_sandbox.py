"""What the CI command of the local forge may reach: it runs code that agents wrote.

Its clone and an empty home are writable; the system, the programs of its PATH, the objects of the repository
and what the settings show are read-only. It has no network unless the settings say so.
"""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from routing.forges.local.git import LocalGit
from routing.process.command import SpawnError
from routing.sandbox.bubblewrap_here import Bubblewrap, find_bubblewrap
from routing.sandbox.machine_files import named_files
from routing.sandbox.mount import Confinement, Mount, MountKind, ProcessLimits
from routing.sandbox.profile import NetworkMode, SandboxKind
from routing.sandbox.resource_watch import ResourceWatch, usual_limits
from routing.sandbox.sandbox import TEMPORARY, BubblewrapSandbox, SandboxCommand

#: Most repositories from which the user's own borrows objects.
_MOST_LENDERS = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class CiSandbox:
    """In what CI runs, and what it may take of its machine: that holds without a sandbox, too."""

    kind: SandboxKind = SandboxKind.NONE
    network: NetworkMode = NetworkMode.NONE
    read: Sequence[Path] = ()  # that is shown too
    write: Sequence[Path] = ()
    bubblewrap: Bubblewrap | None = field(default=None, compare=False)  # None: as it is here
    limits: ProcessLimits = field(default_factory=usual_limits, compare=False)

    def watch(self, pid: int, *, folder: Path) -> ResourceWatch:
        """Looks at what is taken by the command that has this pid, and writes into this folder."""
        return ResourceWatch(self.limits, leader=pid, folders=[folder], now=time.monotonic())

    def command(
        self, line: str, folder: Path, own: Path, repository: Path, environment: Mapping[str, str]
    ) -> tuple[SandboxCommand | None, str]:
        """What to start in place of the line, None for the line itself; and what to say about that.

        `folder` is the clone, `own` a folder for home and temporary files. SpawnError where the settings ask
        for a sandbox that does not work here.
        """
        if self.kind is SandboxKind.NONE:
            return None, ""
        found = self.bubblewrap or _here()
        if not found.works:
            return None, self._without(found)
        home = environment.get("HOME") or "/home/ci"
        for name in ("home", "tmp"):
            (own / name).mkdir(parents=True)
        mounts = [
            Mount(kind=MountKind.WRITE, at=home, source=str(own / "home")),
            Mount(kind=MountKind.WRITE, at=TEMPORARY, source=str(own / "tmp")),
            Mount(kind=MountKind.WRITE, at="/var/tmp", source=str(own / "tmp")),  # noqa: S108
            Mount.same(MountKind.WRITE, folder),
            *(Mount.same(MountKind.READ, objects) for objects in _objects_of(repository)),
            *(Mount.same(MountKind.READ, path) for path in self.read),
            *(Mount.same(MountKind.WRITE, path) for path in self.write),
        ]
        sandbox = BubblewrapSandbox(
            bubblewrap=found,
            confined=Confinement(
                mounts=tuple(mounts), network=self.network, home=home, environment={"HOME": home},
                limits=self.limits, written=(folder,),
            ),
            programs=(sys.executable, *named_files(line)),
        )  # fmt: skip
        said = f"in a sandbox, network: {self.network}; settings ci_sandbox, ci_network, ci_read and ci_write"
        return sandbox.command(["/bin/sh", "-c", line], environment, cwd=folder), said

    def _without(self, found: Bubblewrap) -> str:
        if self.kind is not SandboxKind.AUTO:
            message = f"ci_sandbox is {self.kind}, and {found.why_not}; {found.remedy}"
            raise SpawnError(message)
        return f"without a sandbox, as {found.why_not}: this code can reach what you can; {found.remedy}"


@cache
def _here() -> Bubblewrap:
    return find_bubblewrap()


def _objects_of(repository: Path) -> list[Path]:
    """The folders of objects that a clone borrows: the repository's own, and those that it borrows itself."""
    common = LocalGit(repository).run("rev-parse", "--path-format=absolute", "--git-common-dir").strip()
    waiting, found = [Path(common) / "objects"], list[Path]()
    while waiting and len(found) < _MOST_LENDERS:
        objects = waiting.pop().resolve()
        if objects in found or not objects.is_dir():
            continue
        found.append(objects)
        lenders = objects / "info" / "alternates"
        if lenders.is_file():
            lines = lenders.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
            waiting += [Path(os.path.normpath(objects / line)) for line in lines if line]
    return found
