"""One program's sandbox on this machine: its confinement, and what makes it into a command line."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from routing.process.cgroup import program_file
from routing.process.command import SpawnError
from routing.sandbox.bubblewrap import bubblewrap_argv
from routing.sandbox.bubblewrap_here import Bubblewrap
from routing.sandbox.machine_files import program_mounts, read_only, system_mounts
from routing.sandbox.mount import Confinement, Mount, MountKind

#: Variables that name files which programs of every kind read.
_FILES = ("SSL_CERT_FILE", "SSL_CERT_DIR")

#: Where temporary files are in a sandbox.
TEMPORARY = "/tmp"  # noqa: S108 - in the sandbox, where it is the program's own


@dataclass(frozen=True, kw_only=True, slots=True)
class SandboxCommand:
    """What to start in the program's place."""

    argv: list[str]
    environment: dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sandbox:
    """Bubblewrap, with what it is to show. Made for one program; it holds nothing open."""

    bubblewrap: Bubblewrap
    confined: Confinement
    programs: tuple[str, ...] = ()  # files beside the program itself that it runs, by absolute paths

    def showing(self, files: Iterable[Path], *, sockets: Iterable[Path] = ()) -> Self:
        """The same with more files, read-only, and sockets that the program may speak to."""
        mounts = [mount for file in files for mount in read_only(file)]
        mounts += [Mount.same(MountKind.WRITE, socket) for socket in sockets]
        return replace(self, confined=replace(self.confined, mounts=(*self.confined.mounts, *mounts)))

    def command(self, argv: Sequence[str], environment: Mapping[str, str], *, cwd: Path) -> SandboxCommand:
        """The command that runs the program in the sandbox; SpawnError when there is no such program here.

        The folders of the program's own PATH are shown to it.
        """
        inside = {**environment, **self.confined.environment, "TMPDIR": TEMPORARY}
        program = program_file(argv[0], cwd=cwd, environment=inside)
        if program is None:
            message = (
                f"{argv[0]} could not be started in {cwd}: there is no such program; see that it is installed"
            )
            raise SpawnError(message) from FileNotFoundError(argv[0])
        home = self.confined.home
        named = [str(cwd / program), *self.programs]
        shown = program_mounts(inside.get("PATH", os.defpath), named, home=home)
        for name in _FILES:
            if Path(inside.get(name, "")).is_absolute() and Path(inside[name]).exists():
                shown += read_only(Path(inside[name]))
        # The caller's own places count most: a folder of the PATH may be in the work tree.
        mounts = (*system_mounts(), *shown, *self.confined.mounts)
        line = bubblewrap_argv(
            self.bubblewrap.program, replace(self.confined, mounts=mounts), argv, cwd=str(cwd),
            blocks_nesting=self.bubblewrap.blocks_nesting,
        )  # fmt: skip
        return SandboxCommand(argv=line, environment=inside)
