"""One program's sandbox on this machine: its confinement, and what makes it into a command line.

`Sandbox` is what a turn speaks to, whatever confines it; that of bubblewrap is here, and that of container
engines in `containers`.
"""

import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, Self

from routing.process.cgroup import program_file
from routing.process.command import SpawnError
from routing.process.first_process import FirstProcess, SandboxNetworkError
from routing.sandbox.bubblewrap import bubblewrap_argv
from routing.sandbox.bubblewrap_here import Bubblewrap
from routing.sandbox.launcher import launched, system_limiter
from routing.sandbox.machine_files import ETC, program_mounts, system_mounts
from routing.sandbox.mount import Confinement, LimitBroken, Mount, MountKind, read_only
from routing.sandbox.socket_maker import ListeningNetwork, SocketMaker

#: Variables that name files which programs of every kind read.
_FILES = ("SSL_CERT_FILE", "SSL_CERT_DIR")

#: Where temporary files are in a sandbox.
TEMPORARY = "/tmp"  # noqa: S108 - in the sandbox, where it is the program's own


class SandboxGate(Protocol):
    """The way out of one sandbox's network, which its owner keeps."""

    @property
    def ports(self) -> Sequence[int]:
        """On the loopback of the sandbox, at which something answers."""
        ...

    def listen(self, sockets: Sequence[socket.socket]) -> None:
        """Answer at these, which listen at the ports in that order, from now on; they are the gate's."""
        ...

    def close(self) -> None:
        """End all connections; again is harmless."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class SandboxCommand:
    """What to start in the program's place. As a block, it closes what the start has opened."""

    argv: list[str]
    environment: dict[str, str]
    descriptors: tuple[int, ...] = ()  # that it inherits
    first_process: FirstProcess | None = None  # with which all that is inside ends; None: it cannot be seen
    is_wrapper: bool = True  # whether the program is a descendant of what is started; see `Command`

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)
        if self.first_process is not None:
            self.first_process.close()


class Sandbox(Protocol):
    """What confines the programs of one turn."""

    @property
    def confined(self) -> Confinement:
        """What it shows, and its limits."""
        ...

    def showing(self, files: Iterable[Path], *, sockets: Iterable[Path] = ()) -> Self:
        """The same with more files, read-only, and sockets that the program may speak to."""
        ...

    def command(self, argv: Sequence[str], environment: Mapping[str, str], *, cwd: Path) -> SandboxCommand:
        """The command that runs the program in the sandbox; SpawnError where that cannot be."""
        ...

    def broken_limit(self) -> LimitBroken | None:
        """Which limit the last program broke that has ended, as far as the sandbox knows."""
        ...

    def close(self) -> None:
        """The program has ended: nothing of it goes on, inside or outside. Again is harmless."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class BubblewrapSandbox:
    """Bubblewrap, with what it is to show. Made for one program; it holds nothing open."""

    bubblewrap: Bubblewrap
    confined: Confinement
    gate: SandboxGate | None = None  # to the network, where that is not the machine's; None: there is none
    # Of what listens for the gate, which needs one; it also ends what starts when its worker is killed.
    maker: SocketMaker | None = None
    programs: tuple[str, ...] = ()  # files beside the program itself that it runs, by absolute paths
    etc: Path | None = None  # a copy of what is shown of /etc; None: each part is mounted by itself

    def showing(self, files: Iterable[Path], *, sockets: Iterable[Path] = ()) -> Self:
        """See `Sandbox`."""
        return replace(self, confined=self.confined.showing(files, sockets=sockets))

    def command(self, argv: Sequence[str], environment: Mapping[str, str], *, cwd: Path) -> SandboxCommand:
        """The command that runs the program in the sandbox; SpawnError when there is no such program here.

        SandboxNetworkError when nothing here can enter the network of sandboxes.
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
        written = tuple(str(folder) for folder in self.confined.written)
        shown = [mount for mount in shown if not _is_within(mount.at, written)]
        for name in _FILES:
            if Path(inside.get(name, "")).is_absolute() and Path(inside[name]).exists():
                shown += read_only(Path(inside[name]))
        # The caller's own places count most: a folder of the PATH may be in the work tree.
        mounts = self._with_system((*shown, *self.confined.mounts))
        first = FirstProcess(self._preparation())
        try:
            filter_at = self.bubblewrap.filter_at(may_nest=self.confined.may_nest)
        except OSError:
            first.close()
            raise
        line = bubblewrap_argv(
            self.bubblewrap.program, replace(self.confined, mounts=mounts),
            launched(argv, limits=self.confined.limits, limiter=system_limiter()),
            cwd=str(cwd), blocks_nesting=self.bubblewrap.blocks_nesting, filter_at=filter_at,
            says_at=first.says, waits_at=first.waits,
        )  # fmt: skip
        given = () if filter_at is None else (filter_at,)
        return SandboxCommand(argv=line, environment=inside, descriptors=given, first_process=first)

    def _preparation(self) -> ListeningNetwork | None:
        """What is done before the program runs."""
        if self.maker is None:
            if self.gate is not None:
                message = "nothing makes the network of this sandbox, so nothing was started; give it a maker"
                raise SandboxNetworkError(message)
            return None
        ports = () if self.gate is None else self.gate.ports
        return ListeningNetwork(self.maker, ports, _unanswered if self.gate is None else self.gate.listen)

    def _with_system(self, mounts: Sequence[Mount]) -> tuple[Mount, ...]:
        """These after the system's; a copy of /etc is read-only, and so takes no places that it has not."""
        below = [mount for mount in mounts if _is_within(mount.at, (ETC,))]
        held = [mount for mount in below if self.etc is not None and _is_in_copy(mount, self.etc)]
        etc = self.etc if len(held) == len(below) else None
        return (*system_mounts(etc=etc), *(mount for mount in mounts if etc is None or mount not in held))

    def broken_limit(self) -> LimitBroken | None:
        """None: its processes are those of this machine, where they are looked at."""
        return None

    def close(self) -> None:
        """The program has ended: nothing of it goes on outside."""
        if self.gate is not None:
            self.gate.close()


def _unanswered(sockets: Sequence[socket.socket]) -> None:
    """Take no sockets, where none are made."""
    del sockets


def _is_in_copy(mount: Mount, etc: Path) -> bool:
    """Whether a copy of /etc has what a mount there would show."""
    copied = etc / Path(mount.at).relative_to(ETC)
    return mount.kind is MountKind.READ and mount.source.startswith(f"{ETC}/") and copied.exists()


def _is_within(place: str, folders: Iterable[str]) -> bool:
    """Whether a place is in a folder that the program may write: what is there stays writable."""
    return any(place == folder or place.startswith(f"{folder.rstrip('/')}/") for folder in folders)
