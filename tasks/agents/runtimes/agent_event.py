"""What an agent program can say: one frozen record for each kind, whichever program said it.

Made by runtimes from lines; read by `turn.tally`, which counts, and by the runner, which keeps what people
may want to read. A new kind of event has to be added to `AgentEvent` and to the tally.
"""

from dataclasses import dataclass
from enum import StrEnum

#: US dollars that sums of floating point numbers may differ by and still be the same.
_ROUNDING_USD = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What model calls consumed."""

    cost_usd: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            cost_usd=self.cost_usd + other.cost_usd,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
        )

    def since(self, earlier: "Usage") -> "Usage":
        """What was added after `earlier`.

        All of it if any number is smaller, as the program then counts anew.
        """
        if (
            self.cost_usd < earlier.cost_usd - _ROUNDING_USD
            or self.input_tokens < earlier.input_tokens
            or self.output_tokens < earlier.output_tokens
        ):
            return self
        return Usage(
            cost_usd=max(0.0, self.cost_usd - earlier.cost_usd),
            input_tokens=self.input_tokens - earlier.input_tokens,
            output_tokens=self.output_tokens - earlier.output_tokens,
        )

    def at_least(self, other: "Usage") -> "Usage":
        """The larger of two reports of the same thing, number by number."""
        return Usage(
            cost_usd=max(self.cost_usd, other.cost_usd),
            input_tokens=max(self.input_tokens, other.input_tokens),
            output_tokens=max(self.output_tokens, other.output_tokens),
        )


class UsageScope(StrEnum):
    """What a report of usage covers; programs differ in this."""

    STEP = "step"  # one model call: reports are added up
    TURN = "turn"  # everything of this process so far: the last report holds
    SESSION = "session"  # everything since the session began: earlier turns are subtracted


@dataclass(frozen=True, kw_only=True, slots=True)
class TextEvent:
    """Something the agent said."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolEvent:
    """The agent used a tool."""

    name: str
    detail: str = ""  # what for, in words


@dataclass(frozen=True, kw_only=True, slots=True)
class ResultEvent:
    """The agent says that its turn is over, and how it went."""

    text: str = ""
    is_error: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class UsageEvent:
    """A report of what was consumed."""

    usage: Usage
    scope: UsageScope = UsageScope.STEP


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionEvent:
    """The id under which the conversation can be resumed."""

    session_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiErrorEvent:
    """The model's API refused or could not be reached; the program may try again."""

    message: str
    status: int | None = None  # HTTP status, None when the program does not say


@dataclass(frozen=True, kw_only=True, slots=True)
class NoticeEvent:
    """A well-formed line that shows life and carries nothing that we keep."""

    kind: str


@dataclass(frozen=True, kw_only=True, slots=True)
class MalformedEvent:
    """A line that could not be read; it is skipped and counted."""

    reason: str


AgentEvent = (
    TextEvent
    | ToolEvent
    | ResultEvent
    | UsageEvent
    | SessionEvent
    | ApiErrorEvent
    | NoticeEvent
    | MalformedEvent
)
