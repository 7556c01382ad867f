"""What the runtimes of known programs share: the prompt goes in on standard input, JSON lines come out.

A program's own file says what differs: its name, how people install it and log in (`program`), its command
line, what its lines mean (`lines`), and, where it is unlike the others, its environment and what counts as
clean.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from tasks.agents.accounts.limit_words import SHARED_WORDS, LimitWords
from tasks.agents.runtimes.agent_event import AgentEvent
from tasks.agents.runtimes.json_lines import Forms
from tasks.agents.runtimes.known_program import KnownProgram
from tasks.agents.runtimes.runtime import (
    RuntimeRefusedError,
    RuntimeSpec,
    Seen,
    SessionFiles,
    TurnInput,
)


@dataclass(frozen=True)
class ProgramRuntime:
    """A `Runtime` without its `argv`. The program keeps its sessions on the machine if it `resumes`."""

    spec: RuntimeSpec

    name: ClassVar[str]
    program: ClassVar[KnownProgram | None] = None  # None: any
    resumes: ClassVar[bool] = True
    lines: ClassVar[Forms]
    session_files: ClassVar[SessionFiles | None] = None
    limit_words: ClassVar[LimitWords] = SHARED_WORDS

    def check(self) -> None:
        """Refuse a model or a tool that the program would take for another option, or for none."""
        model = [] if self.spec.model is None else [("model", self.spec.model)]
        for what, value in [*model, *(("tool", tool) for tool in self.spec.tools)]:
            if not value.strip() or value.startswith("-") or "\0" in value:
                message = (
                    f"{value[:60]!r} is not a {what} for the runtime `{self.name}`; "
                    f"propose a version whose {what} is a name in that program's own words"
                )
                raise RuntimeRefusedError(message)

    @abstractmethod
    def argv(self, turn: TurnInput) -> Sequence[str]:
        """Return the program and its arguments."""

    def environment(self, turn: TurnInput) -> Mapping[str, str]:  # noqa: ARG002  # the protocol's signature
        """Nothing: all is said by options."""
        return {}

    def stdin(self, turn: TurnInput) -> bytes:
        """Give the prompt as it is; a lone surrogate, which no encoding knows, becomes a question mark."""
        return turn.prompt.encode(errors="replace")

    def parse(self, line: str) -> Sequence[AgentEvent]:
        """Read one of the program's JSON lines."""
        return self.lines.read(line)

    def parse_error(self, line: str) -> Sequence[AgentEvent]:  # noqa: ARG002  # the protocol's signature
        """Nothing: all is said on standard output."""
        return ()

    def clean(self, exit_code: int, seen: Seen) -> bool:
        """Exit code 0, and the last result is not an error: interrupted programs exit with 0, too."""
        return exit_code == 0 and seen.succeeded


def option(name: str, value: str | None) -> tuple[str, ...]:
    """An option with its value; nothing without one."""
    return () if value is None else (name, value)
