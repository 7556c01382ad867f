"""Whether containers can be run on this machine: the engine's command line is looked for, and asked once."""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from routing.process.bounded_command import capture
from routing.process.command import Command, SpawnError

#: Programs that are looked for, the first that is there is used.
USUAL = ("podman", "docker")

#: Seconds that the engine may take to answer.
_ASK_SECONDS = 20.0

_INSTALL = "install podman or docker for the worker's user, or name another engine by agent.container"
_START = "start the engine, let the worker's user use it, and see that `{} ps` works"


@dataclass(frozen=True, kw_only=True, slots=True)
class ContainerEngine:
    """An engine as it is here."""

    program: str = ""  # its path; "" where it does not work
    environment: Mapping[str, str] | None = None  # of its command line; None: ours
    why_not: str = ""  # why it does not work, in words; "" where it does
    remedy: str = ""  # what to do about that

    @property
    def works(self) -> bool:
        """Whether programs can be confined by it here."""
        return not self.why_not

    @property
    def keeps_user(self) -> bool:
        """Whether it has to be asked to keep the worker's user number: podman, which runs as users."""
        return "podman" in Path(self.program).name

    def lacks(self, image: str) -> str:
        """Why no container of this image can be made here, in words; "" when it can."""
        said = self._asked("image", "inspect", "--format", "{{.Id}}", image)
        return f"the image {image} is not on this machine ({said})" if said else ""

    def remove(self, name: str) -> str:
        """End a container with all its processes, and remove it; what the engine said if it could not."""
        return self._asked("rm", "--force", name)

    def _asked(self, *words: str) -> str:
        return _said([self.program, *words], self.environment)


def find_engine(
    named: str = "", *, search_path: str | None = None, environment: Mapping[str, str] | None = None
) -> ContainerEngine:
    """Look for the program that the settings name, else for the usual ones, and ask it what runs."""
    if not sys.platform.startswith("linux"):
        return ContainerEngine(
            why_not="containers of other systems than Linux run in a machine of their own",
            remedy="run this worker on Linux",
        )
    found = [shutil.which(name, path=search_path) for name in ([named] if named else USUAL)]
    programs = [program for program in found if program]
    if not programs:
        why = f"{named or ' and '.join(USUAL)} {'is' if named else 'are'} not installed"
        return ContainerEngine(why_not=why, remedy=_INSTALL)
    refused = []
    for program in programs:
        said = _said([program, "ps", "--quiet"], environment)
        if not said:
            return ContainerEngine(program=program, environment=environment)
        refused.append(f"{Path(program).name} runs no containers here: {said}")
    return ContainerEngine(why_not="; ".join(refused), remedy=_START.format(Path(programs[0]).name))


def _said(argv: list[str], environment: Mapping[str, str] | None) -> str:
    """Why the engine did not do it, in its words; "" when it did."""
    try:
        done = capture(
            Command(
                argv=argv, cwd=Path("/"), environment=dict(os.environ if environment is None else environment)
            ),
            timeout_seconds=_ASK_SECONDS,
        )
    except SpawnError as error:
        return str(error)
    return done.complaint
