"""A program that the supervisor keeps running, and when it is started again: pure, no clock is read."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from routing.errors import InvalidInputError


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """What to run, and under which name its output is shown."""

    name: str  # unique among the programs of a supervisor
    argv: tuple[str, ...]  # never passes a shell
    env: Mapping[str, str] | None = None  # the whole environment; None: ours
    cwd: Path | None = None  # None: ours
    descriptors: tuple[int, ...] = ()  # open ones of ours that it has under the same numbers

    def check(self) -> None:
        """Raise InvalidInputError for a program that is not installed, before anything is started.

        A relative path is left to the start: it is looked for from `cwd`.
        """
        if not self.argv:
            message = f"{self.name} has no command: name the program to run"
            raise InvalidInputError(message)
        path = None if self.env is None else self.env.get("PATH")
        command = Path(self.argv[0])
        relative = not command.is_absolute() and len(command.parts) > 1
        if not relative and shutil.which(self.argv[0], path=path) is None:
            message = f"{self.name} cannot be started: there is no program {self.argv[0]}; install it first"
            raise InvalidInputError(message)


@dataclass(frozen=True, kw_only=True, slots=True)
class RestartPolicy:
    """How long to wait before a program that died is started again, and when to stop trying.

    A program may always end and be started again. One that dies *quickly* many times in a row cannot live as
    it is set up: each pause is twice the one before, and then the supervisor gives up.
    """

    first_pause_seconds: float = 0.5  # doubles with each quick death in a row
    longest_pause_seconds: float = 30.0
    quick_death_seconds: float = 10.0  # a program that lived longer starts from the first pause again
    quick_deaths_allowed: int = 5  # this many in a row are too many

    def quick_deaths(self, before: int, *, lived_seconds: float) -> int:
        """How many quick deaths in a row it is after one more death; 0 after a long life."""
        return before + 1 if lived_seconds < self.quick_death_seconds else 0

    def gives_up(self, quick_deaths: int) -> bool:
        """Whether that many quick deaths in a row are too many."""
        return quick_deaths >= self.quick_deaths_allowed

    def pause_seconds(self, quick_deaths: int) -> float:
        """Seconds until the next start, after that many quick deaths in a row."""
        doubled: float = self.first_pause_seconds * 2 ** max(0, quick_deaths - 1)
        return min(self.longest_pause_seconds, doubled)
