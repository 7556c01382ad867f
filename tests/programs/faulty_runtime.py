"""A runtime that raises, for tests."""

from collections.abc import Mapping, Sequence

from tasks.agents.accounts.limit_words import SHARED_WORDS
from tasks.agents.runtimes.agent_event import AgentEvent
from tasks.agents.runtimes.command import CommandRuntime
from tasks.agents.runtimes.runtime import RuntimeSpec, Seen, TurnInput


class Faulty:
    """Runs a shell line, and raises where a test says so."""

    def __init__(
        self, spec: RuntimeSpec, fails_at: str = "", error: BaseException | None = None, after: int = 0
    ) -> None:
        self._real = CommandRuntime(spec)
        self.name, self.resumes = "faulty", False
        self.session_files = self._real.session_files
        self.limit_words = SHARED_WORDS
        self.fails_at = fails_at
        self.error = error or RuntimeError("the parser is broken")
        self.after = after  # lines that are read before
        self.calls = 0

    def _meet(self, where: str) -> None:
        if where == self.fails_at:
            self.calls += 1
            if self.calls > self.after:
                raise self.error

    def check(self) -> None:
        """As ever, unless it raises."""
        self._meet("check")
        self._real.check()

    def argv(self, turn: TurnInput) -> Sequence[str]:
        """As ever, unless it raises."""
        self._meet("argv")
        return self._real.argv(turn)

    def environment(self, turn: TurnInput) -> Mapping[str, str]:
        """As ever, unless it raises."""
        self._meet("environment")
        return self._real.environment(turn)

    def stdin(self, turn: TurnInput) -> bytes:
        """As ever, unless it raises."""
        self._meet("stdin")
        return self._real.stdin(turn)

    def parse(self, line: str) -> Sequence[AgentEvent]:
        """As ever, unless it raises."""
        self._meet("parse")
        return self._real.parse(line)

    def parse_error(self, line: str) -> Sequence[AgentEvent]:
        """As ever, unless it raises."""
        self._meet("parse_error")
        return self._real.parse_error(line)

    def clean(self, exit_code: int, seen: Seen) -> bool:
        """As ever, unless it raises."""
        self._meet("clean")
        return self._real.clean(exit_code, seen)
