"""What a turn may use before it is ended, and the timers of its silence, its result and its retries.

All are pure: the caller has the clock.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Self

from routing.errors import CoalmineError, UnavailableError
from routing.jobs.ending import Ending
from routing.jobs.job import Job
from routing.sandbox.mount import LimitBroken, ProcessLimits
from tasks.agents.runtimes.agent_event import (
    AgentEvent,
    ResultEvent,
    SessionEvent,
    TextEvent,
    ToolEvent,
    Usage,
)
from tasks.agents.runtimes.runtime import RuntimeSpec

_MIB = 1024 * 1024

#: Seconds between two questions whether a silent agent waits for a person.
ASK_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnLimits:
    """Limits of one turn. A turn that is run as two processes has them once, see `limits_left`."""

    time_limit_seconds: float = 3600.0  # wall clock, from spawn
    stall_seconds: float = 600.0  # without a byte on either stream
    limit_patience_seconds: float = 120.0  # in which a program may ask an account that does not serve
    result_grace_seconds: float = 10.0  # between a result and the end of a program that does not exit
    failure_grace_seconds: float = 60.0  # the same for a result that says error: some programs go on after it
    kill_grace_seconds: float = 2.0  # between SIGTERM and SIGKILL
    output_bytes: int = 512 * _MIB  # of both streams together
    line_bytes: int = 8 * _MIB  # kept of one line; longer ones lose long strings, or their end
    log_bytes: int = 16 * _MIB  # kept in the turn's log
    cost_usd: float | None = None  # as the agent reports it, None for no limit
    tokens: int | None = None  # input, with that from the cache, and output; None for no limit
    resources: ProcessLimits = field(default_factory=ProcessLimits)  # of the machine

    def of_version(self, spec: RuntimeSpec) -> Self:
        """With the version's own limits where they are lower."""
        return replace(
            self, time_limit_seconds=self.time_limit_of(spec),
            resources=self.resources.with_profile(spec.profile),
        )  # fmt: skip

    def is_overspent(self, usage: Usage) -> bool:
        """Whether more was used than may be; dollars that nobody knows are not."""
        too_dear = self.cost_usd is not None and (usage.cost_usd or 0.0) > self.cost_usd
        return too_dear or (self.tokens is not None and usage.tokens > self.tokens)

    def time_limit_of(self, spec: RuntimeSpec) -> float:
        """The version's own time limit when it is the shorter one, else the fleet's."""
        return min(self.time_limit_seconds, spec.time_limit_seconds or self.time_limit_seconds)


@dataclass(frozen=True, kw_only=True, slots=True)
class JobLimits:
    """What all turns of one job may use together; None for no limit."""

    turns: int
    usd: float | None = None
    tokens: int | None = None

    def reached(self, job: Job) -> str:
        """Which limit leaves the job no further turn, in words; "" for none."""
        if job.turns >= self.turns:
            return f"it has had {job.turns} turns of {self.turns}"
        if self.usd is not None and job.spent_usd >= self.usd:
            return f"it has cost {job.spent_usd:.2f} USD of {self.usd:.2f}"
        if self.tokens is not None and job.spent_tokens >= self.tokens:
            return f"it has used {job.spent_tokens} tokens of {self.tokens}"
        return ""

    def left(self, limits: TurnLimits, job: Job) -> TurnLimits:
        """The limits of its next turn, bounded by what it may still use."""
        usd = [limits.cost_usd, None if self.usd is None else self.usd - job.spent_usd]
        tokens = [limits.tokens, None if self.tokens is None else self.tokens - job.spent_tokens]
        return replace(
            limits,
            cost_usd=min((each for each in usd if each is not None), default=None),
            tokens=min((each for each in tokens if each is not None), default=None),
        )


def ending_of(broken: LimitBroken | None) -> Ending | None:
    """How a turn ends that took too much of its machine; None when it did not."""
    return None if broken is None else Ending(f"limit: {broken}")


class StallTimer:
    """How long an agent has said nothing.

    All times are seconds of one monotonic clock, which the caller reads.

    An agent that waits for a person may be silent. Whether it does is asked (a call of the store) only when
    the agent has been silent for too long, and then every ASK_SECONDS. Silence counts from when it was last
    seen to wait, so an answer is never followed by the end at once.

    Call `heard` when the agent has printed something, and `is_over` at `due_at` or later.
    """

    def __init__(self, *, stall_seconds: float, now: float, waits_for_person: Callable[[], bool]) -> None:
        self._stall_seconds = stall_seconds
        self._waits_for_person = waits_for_person
        self._quiet_since = now  # the last output, or the last moment at which it was seen to wait
        self._ask_at = now + stall_seconds

    @property
    def due_at(self) -> float:
        """When `is_over` is to be asked next."""
        return self._ask_at

    def heard(self, now: float) -> None:
        """Something was printed."""
        self._quiet_since = now
        self._ask_at = now + self._stall_seconds

    def is_over(self, now: float) -> bool:
        """Whether the silence has lasted too long. A store that does not answer changes nothing."""
        if now < self._ask_at:
            return False
        try:
            waits = self._waits_for_person()
        except UnavailableError:  # asked again: without a store the turn's lease ends before long
            self._ask_at = now + ASK_SECONDS
            return False
        except CoalmineError:  # its record cannot be read: nobody can answer it either
            waits = False
        if waits:
            self._quiet_since = now
        over_at = self._quiet_since + self._stall_seconds
        if now >= over_at:
            return True
        self._ask_at = min(now + ASK_SECONDS, over_at)
        return False


class ResultTimer:
    """When a program that has said how its turn went, and does not exit, counts as done.

    Tool servers, timers and hooks keep programs alive. One that uses a tool or begins a session after its
    result is at work again, and has to say another one.
    """

    def __init__(self, *, grace_seconds: float, failure_grace_seconds: float) -> None:
        self._grace_seconds = grace_seconds
        self._failure_grace_seconds = failure_grace_seconds
        #: When the program counts as done, by the caller's clock; None while no result stands.
        self.due_at: float | None = None

    def hear(self, event: AgentEvent, now: float) -> None:
        """Take each event."""
        match event:
            case ResultEvent(is_error=True):
                self.due_at = now + self._failure_grace_seconds
            case ResultEvent():
                self.due_at = now + self._grace_seconds
            case ToolEvent() | SessionEvent():
                self.due_at = None


class LimitTimer:
    """How long a program asks an account again and again that does not serve.

    Programs do that by themselves, some without end. It has been long enough when a limit is said
    `patience_seconds` after the first one of a row; an agent that did something in between begins a new row.
    Silence changes nothing here: it may be the answer that is thought out, and `StallTimer` ends it.
    """

    def __init__(self, *, patience_seconds: float) -> None:
        self._patience_seconds = patience_seconds
        self._since: float | None = None  # the first limit of the row, by the caller's clock
        self.is_over = False

    def hear(self, event: AgentEvent, now: float, *, is_limit: bool) -> None:
        """Take each event, and whether it says that the account does not serve."""
        if is_limit:
            self._since = now if self._since is None else self._since
            self.is_over = now - self._since >= self._patience_seconds
        elif isinstance(event, TextEvent | ToolEvent):
            self._since, self.is_over = None, False
