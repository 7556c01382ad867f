"""What an agent program can say: one frozen record for each kind, whichever program said it.

Made by runtimes from lines; read by `turn.tally`, which counts, and by the runner, which keeps what people
may want to read. A new kind of event has to be added to `AgentEvent` and to the tally.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from routing.accounts.prices import ModelPrice
from routing.cost import Cost

#: US dollars that sums of floating point numbers may differ by and still be the same.
_ROUNDING_USD = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What model calls consumed. Dollars that nobody said are unknown, and not 0."""

    cost_usd: float | None = None  # that are known; None: nobody said any
    input_tokens: int = 0  # with those from and to the cache
    output_tokens: int = 0
    cache_read_tokens: int = 0  # of the input
    cache_write_tokens: int = 0  # of the input
    is_partial: bool = False  # a part of the tokens is not in the dollars
    is_priced: bool = False  # the dollars, or a part of them, come from a price table

    def __add__(self, other: "Usage") -> "Usage":
        known = [each for each in (self, other) if each.cost_usd is not None]
        unsaid = any(each.cost_usd is None and each.has_tokens for each in (self, other))
        return Usage(
            cost_usd=sum(each.cost_usd or 0.0 for each in known) if known else None,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            is_partial=self.is_partial or other.is_partial or (bool(known) and unsaid),
            is_priced=self.is_priced or other.is_priced,
        )

    @property
    def has_tokens(self) -> bool:
        """Whether a model was called, as far as the program said."""
        return self.tokens > 0

    @property
    def tokens(self) -> int:
        """All of them: input, with that from the cache, and output."""
        return self.input_tokens + self.output_tokens

    @property
    def is_paid(self) -> bool:
        """Whether a model did something, by tokens or by dollars."""
        return self.has_tokens or bool(self.cost_usd)

    def cost(self, seconds: float) -> Cost:
        """The cost of the turn that consumed this, and took so many seconds."""
        return Cost(
            turns=1,
            usd=self.cost_usd or 0.0,
            unknown=int(self.cost_usd is None or self.is_partial),
            priced=int(self.is_priced),
            seconds=seconds,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cache_read_tokens=self.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens,
        )

    def priced(self, price: ModelPrice | None) -> "Usage":
        """The same with dollars by a price, where the program said none."""
        if price is None or self.cost_usd is not None or not self.has_tokens:
            return self
        dollars = price.usd(
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cache_read_tokens=self.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens,
        )
        return replace(self, cost_usd=dollars, is_priced=True)

    def since(self, earlier: "Usage") -> "Usage":
        """What was added after `earlier`.

        All of it if any number is smaller, as the program then counts anew.
        """
        before = earlier.cost_usd or 0.0
        if (
            (self.cost_usd is not None and self.cost_usd < before - _ROUNDING_USD)
            or self.input_tokens < earlier.input_tokens
            or self.output_tokens < earlier.output_tokens
        ):
            return self
        return replace(
            self,
            cost_usd=None if self.cost_usd is None else max(0.0, self.cost_usd - before),
            input_tokens=self.input_tokens - earlier.input_tokens,
            output_tokens=self.output_tokens - earlier.output_tokens,
            cache_read_tokens=max(0, self.cache_read_tokens - earlier.cache_read_tokens),
            cache_write_tokens=max(0, self.cache_write_tokens - earlier.cache_write_tokens),
        )

    def at_least(self, other: "Usage") -> "Usage":
        """The larger of two reports of the same thing, number by number."""
        known = [each for each in (self, other) if each.cost_usd is not None]
        return Usage(
            cost_usd=max((each.cost_usd or 0.0 for each in known), default=None),
            input_tokens=max(self.input_tokens, other.input_tokens),
            output_tokens=max(self.output_tokens, other.output_tokens),
            cache_read_tokens=max(self.cache_read_tokens, other.cache_read_tokens),
            cache_write_tokens=max(self.cache_write_tokens, other.cache_write_tokens),
            is_partial=bool(known) and all(each.is_partial for each in known),
            is_priced=any(each.is_priced for each in known),
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
class LimitEvent:
    """The program says that the account has reached a limit."""

    until: float | None = None  # when it ends, seconds since the epoch; None when the program does not say
    is_wide: bool = False  # it holds for all models of the account
    words: str = ""


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
    | LimitEvent
    | NoticeEvent
    | MalformedEvent
)


def log_line(event: AgentEvent) -> tuple[str, str] | None:
    """What an event is in a job's log, as its kind and its words; None for what is not kept there."""
    match event:
        case TextEvent(text=text):
            return "text", text
        case ToolEvent(name=name, detail=detail):
            return "tool", f"{name} {detail}".strip()
        case ResultEvent(text=text, is_error=is_error):
            return "error" if is_error else "result", text
        case _:
            return None
