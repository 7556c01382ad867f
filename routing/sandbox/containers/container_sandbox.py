"""One turn's sandbox in containers: each of its programs runs in one of its own."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from routing.process.command import SpawnError
from routing.sandbox.containers.container_argv import OF_ENGINES, Container, container_argv, inherited
from routing.sandbox.containers.engine import ContainerEngine
from routing.sandbox.containers.first_process import first_process
from routing.sandbox.containers.link import END_SECONDS, ContainerLink
from routing.sandbox.mount import Confinement, LimitBroken
from routing.sandbox.sandbox import TEMPORARY, SandboxCommand, SandboxGate


@dataclass(frozen=True, kw_only=True, slots=True)
class ContainerSandbox:
    """An engine, with an image and what is to be shown beside that."""

    engine: ContainerEngine
    image: str
    name: str  # of the containers, with a number each; nobody else has it
    confined: Confinement
    has_path: bool = False  # whether the PATH that the program is given is the version's own
    gate: SandboxGate | None = None  # to the network, where that is not the machine's; None: there is none
    worker: Mapping[str, str] = field(
        default_factory=dict, repr=False
    )  # the engine's command line runs with it
    end_seconds: float = END_SECONDS  # that a container may take to end before its engine is asked
    links: list[ContainerLink] = field(default_factory=list, repr=False, compare=False)  # of those that ran

    def showing(self, files: Iterable[Path], *, sockets: Iterable[Path] = ()) -> Self:
        """See `Sandbox`."""
        return replace(self, confined=self.confined.showing(files, sockets=sockets))

    def command(self, argv: Sequence[str], environment: Mapping[str, str], *, cwd: Path) -> SandboxCommand:
        """The command that runs the program in a container; whether the image has it, the container says.

        SpawnError for a variable that is meant for the engine itself.
        """
        inside = {**environment, **self.confined.environment, "TMPDIR": TEMPORARY}
        if not self.has_path:  # that of the worker's machine: the image has its own
            inside.pop("PATH", None)
        if theirs := sorted(name for name in inside if name.startswith(OF_ENGINES)):
            message = (
                f"the variable {theirs[0]} is for the container engine, so no agent in a container can have "
                "it and nothing was started; propose a version without it"
            )
            raise SpawnError(message)
        container = Container(
            image=self.image, name=f"{self.name}-{len(self.links)}", user=os.getuid(), group=os.getgid(),
            keeps_user=self.engine.keeps_user,
        )  # fmt: skip
        link = ContainerLink(self.gate, end_seconds=self.end_seconds)
        self.links.append(link)
        ports = self.gate.ports if self.gate is not None else ()
        line = container_argv(
            self.engine.program, container, self.confined, first_process(argv, ports=ports), cwd=str(cwd),
            environment=inside, link=str(link.path),
        )  # fmt: skip
        return SandboxCommand(
            argv=line, environment={**inherited(inside), **self._of_engine()}, is_wrapper=False
        )

    def broken_limit(self) -> LimitBroken | None:
        """As the container said it."""
        return self.links[-1].broken_limit() if self.links else None

    def close(self) -> None:
        """End what still runs in containers of this turn."""
        for number, link in enumerate(self.links):
            if not link.close():  # its first process hangs
                self.engine.remove(f"{self.name}-{number}")
        if self.gate is not None:
            self.gate.close()

    def _of_engine(self) -> dict[str, str]:
        """What of the worker's environment the engine's command line needs to find its engine."""
        wanted = ("PATH", "HOME", "USER", "LOGNAME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
        return {
            name: value
            for name, value in self.worker.items()
            if name in wanted or name.startswith(OF_ENGINES)
        }
