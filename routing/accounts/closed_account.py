"""A closed account as people and programs see it: why, since when, and until when. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from routing.accounts.breaker import Breaker, BreakerState, field_of, span, version_of
from routing.accounts.limit import LimitKind

#: In place of a model: the account as a whole.
ALL_MODELS = "*"


@dataclass(frozen=True, kw_only=True, slots=True)
class ClosedAccount:
    """An account, or one model of it, on which no job but the one that tries it begins now.

    Times are seconds since the epoch, the server's.
    """

    account: str  # `claude:team-a`
    model: str  # "*": all of them, "": the runtime's default
    state: BreakerState  # never OPEN
    kind: LimitKind | None  # what it met, PERSON for a person's wish
    words: str  # of the program or the person; text from outside
    since: float | None
    until: float | None  # when it is tried again, None: when a person opens it
    seconds_left: float | None  # until then, 0 once the time has come; None: when a person opens it
    probe: str  # the job that tries it now, "" while none does

    @classmethod
    def of(cls, breaker: Breaker, now: float) -> Self | None:
        """What a breaker is for those who look at it; None for an open one."""
        if breaker.is_open:
            return None
        return cls(
            account=breaker.account,
            model=breaker.model,
            state=breaker.state,
            kind=breaker.kind,
            words=breaker.words,
            since=breaker.since,
            until=breaker.until,
            seconds_left=breaker.seconds_left(now),
            probe=breaker.probe if breaker.state is BreakerState.PROBING else "",
        )

    @property
    def name(self) -> str:
        """`claude:team-a/opus`; `claude:team-a/*` for all its models; a version whose agents do not start."""
        return self.version or field_of(self.account, self.model)

    @property
    def version(self) -> str:
        """The version whose agents do not start, where it is that and no account; else ""."""
        return version_of(self.account)

    @property
    def needs_person(self) -> bool:
        """Whether waiting alone does not open it."""
        return self.kind is not None and self.kind.needs_person

    @property
    def why(self) -> str:
        """In words, for people."""
        return self.kind.said if self.kind else "it is closed"

    @property
    def countdown(self) -> str:
        """When it is tried again, in words: `in 4 h 12 min`."""
        if self.probe:
            return f"now, by job {self.probe}"
        if self.seconds_left is None:
            return "when a person opens it"
        return f"in {span(self.seconds_left)}" if self.seconds_left else "by the next job"


def closed_accounts(breakers: Iterable[Breaker], now: float) -> list[ClosedAccount]:
    """Those that are closed, the ones for a person first, each kind by name."""
    closed = (ClosedAccount.of(breaker, now) for breaker in breakers)
    return sorted(
        (each for each in closed if each is not None),
        key=lambda each: (not each.needs_person, each.account, each.model),
    )
