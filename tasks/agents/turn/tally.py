"""Adding up a turn's events while they come, in bounded memory.

Programs report usage in three scopes (`UsageScope`), and some in two at once. Reports of steps are added; of
reports of the turn or the session, the last one holds, less what was billed to earlier turns of that session.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from routing.accounts.prices import ModelPrice
from routing.accounts.reset_time import Said
from routing.printable import printable
from tasks.agents.runtimes.agent_event import (
    AgentEvent,
    ApiErrorEvent,
    LimitEvent,
    MalformedEvent,
    ResultEvent,
    SessionEvent,
    TextEvent,
    ToolEvent,
    Usage,
    UsageEvent,
    UsageScope,
)
from tasks.agents.runtimes.runtime import Seen

#: Characters that are kept, and those of standard error alone, where traces of calls stand after the words.
TAIL_CHARACTERS = 4096
ERROR_CHARACTERS = 4096

#: Seconds before the end of a program in which it may print what it did long before: many keep their standard
#: output in memory until they exit, and write standard error at once.
FLUSH_SECONDS = 2.0


class OutputTail:
    """Keeps the last characters of what it is given, for people who ask how a job ended."""

    def __init__(self, cap: int = TAIL_CHARACTERS) -> None:
        self._cap = cap
        self._pieces: deque[Said] = deque()
        self._characters = 0

    def add(self, text: str, *, at: float = 0.0) -> None:
        """Append a line or several, heard `at` seconds since the epoch."""
        piece = Said(text=f"{printable(text[-self._cap :])}\n"[-self._cap :], at=at)
        self._pieces.append(piece)
        self._characters += len(piece.text)
        while (over := self._characters - self._cap) > 0:
            first = self._pieces.popleft()
            self._characters -= len(first.text)
            if kept := first.text[over:]:
                self._pieces.appendleft(replace(first, text=kept))
                self._characters += len(kept)

    def ends_with(self, text: str) -> bool:
        """Whether this text was the last that was added."""
        whole = "".join(piece.text for piece in self._pieces)
        return whole.endswith(f"{printable(text[-self._cap :])}\n"[-self._cap :])

    @property
    def text(self) -> str:
        """What is kept, without the last newline."""
        return "".join(piece.text for piece in self._pieces).rstrip("\n")

    @property
    def lines(self) -> tuple[Said, ...]:
        """The same, line by line, with when each was heard."""
        return tuple(replace(piece, text=line) for piece in self._pieces for line in piece.text.splitlines())


def _errors() -> OutputTail:
    """For standard error alone."""
    return OutputTail(ERROR_CHARACTERS)


@dataclass(kw_only=True, slots=True)
class TurnTally:
    """Running totals of one turn. Not for several threads: `add` is called where lines are read."""

    billed: Usage = field(default_factory=Usage)  # what earlier turns of the asked session consumed
    price: ModelPrice | None = None  # of the model, where the program says no dollars
    asked: str | None = None  # session that is to be resumed
    clock: Callable[[], float] = time.time  # seconds since the epoch: when something is heard
    tail: OutputTail = field(default_factory=OutputTail)
    events: int = 0
    malformed: int = 0
    result: ResultEvent | None = None
    session_id: str | None = None
    api_error: ApiErrorEvent | None = None
    limit: LimitEvent | None = None
    api_error_at: float = 0.0  # when these were heard, by `clock`
    limit_at: float = 0.0
    result_at: float = 0.0
    tools: int = 0
    errors: OutputTail = field(default_factory=_errors)  # since the agent last went on
    _every_error: OutputTail = field(default_factory=_errors)  # since the turn began
    _failure: ApiErrorEvent | None = None  # the last one of standard error, and when it was heard
    _failure_at: float = 0.0
    _of_turn: Usage = field(default_factory=Usage)  # by reports of steps, or of this turn so far
    _of_session: Usage = field(default_factory=Usage)  # by the last report of the whole session

    @property
    def usage(self) -> Usage:
        """What this turn consumed. Reports in two scopes each miss something, so the larger one holds."""
        other = None not in {self.asked, self.session_id} and self.asked != self.session_id
        usage = self._of_turn.at_least(self._of_session if other else self._of_session.since(self.billed))
        return usage.priced(self.price)

    def add(self, event: AgentEvent, *, stderr: bool = False) -> None:
        """Count one event; `stderr`: that is where it stood."""
        self.events += 1
        match event:
            case TextEvent(text=text):
                self.api_error = None
                self.errors = _errors()
                self.tail.add(text, at=self.clock())
            case ToolEvent():
                self._went_on()
                self.tools += 1
            case ResultEvent():
                self._add_result(event)
            case ApiErrorEvent():
                self._add_api_error(event, stderr=stderr)
            case LimitEvent():
                self.limit, self.limit_at = event, self.clock()
            case SessionEvent(session_id=session_id):
                self.session_id = self.session_id or session_id
            case UsageEvent(usage=usage, scope=scope):
                self._add_usage(usage, scope)
            case MalformedEvent():
                self.malformed += 1

    def add_error(self, line: str) -> None:
        """Keep a line of standard error."""
        at = self.clock()
        for kept in (self.tail, self.errors, self._every_error):
            kept.add(line, at=at)

    def seen(self, *, failed_at: float | None = None) -> Seen:
        """Freeze what there is.

        `failed_at` is when the program exited by itself with an error. What it wrote to standard error within
        FLUSH_SECONDS before that counts as its last words, whatever was read after it.
        """
        late_from = float("inf") if failed_at is None else failed_at - FLUSH_SECONDS
        late = tuple(line for line in self._every_error.lines if line.at >= late_from)
        is_late = self.api_error is None and self._failure_at >= late_from
        return Seen(
            events=self.events,
            malformed=self.malformed,
            result=self.result,
            session_id=self.session_id,
            usage=self.usage,
            api_error=self._failure if is_late else self.api_error,
            limit=self.limit,
            api_error_at=self._failure_at if is_late else self.api_error_at,
            limit_at=self.limit_at,
            result_at=self.result_at,
            tools=self.tools,
            last_errors=max(self.errors.lines, late, key=len),  # both are the end of the same lines
            last_words=self.tail.lines,
        )

    def _went_on(self) -> None:
        """What the program said of failures until now was overcome: it is not what the turn ends by."""
        self.api_error = self.limit = None
        self.errors = _errors()

    def _add_result(self, result: ResultEvent) -> None:
        self.result, self.result_at = result, self.clock()
        if not result.is_error:
            self._went_on()
        if result.text and not self.tail.ends_with(result.text):  # programs often repeat their last words
            self.tail.add(result.text, at=self.result_at)

    def _add_api_error(self, error: ApiErrorEvent, *, stderr: bool) -> None:
        """Keep the last; one that says less, after a failed result, is of a stream that was read late."""
        if stderr:
            self._failure, self._failure_at = error, self.clock()
        has_failed = self.result is not None and self.result.is_error
        has_status = self.api_error is not None and self.api_error.status is not None
        if not (has_failed and has_status and error.status is None):
            self.api_error, self.api_error_at = error, self.clock()

    def _add_usage(self, usage: Usage, scope: UsageScope) -> None:
        match scope:
            case UsageScope.STEP:
                self._of_turn += usage
            case UsageScope.TURN:
                self._of_turn = usage
            case UsageScope.SESSION:
                self._of_session = usage
