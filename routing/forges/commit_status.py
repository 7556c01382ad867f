"""What CI and others report about a commit, and the verdict that follows."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict

#: Contexts that begin so are Coalmine's own words; they prove nothing about the work.
OWN_CONTEXT_PREFIX = "coalmine/"


class StatusState(StrEnum):
    """What one context says of a commit."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"  # the check itself could not be run

    @property
    def is_final(self) -> bool:
        """Whether nothing more is to come."""
        return self is not StatusState.PENDING


_RED = frozenset({StatusState.FAILURE, StatusState.ERROR})


class CiVerdict(StrEnum):
    """What all of them together say."""

    GREEN = "green"
    RED = "red"
    PENDING = "pending"
    UNKNOWN = "unknown"  # nobody but Coalmine has said anything


class CommitStatus(BaseModel):
    """One report about a commit."""

    model_config = ConfigDict(frozen=True)

    context: str  # who says it: `ci/local`, `build`, `coalmine/progress`
    state: StatusState
    description: str = ""
    url: str = ""  # where the log is: an address, or a file's path
    at: AwareDatetime

    @property
    def is_own(self) -> bool:
        """Whether Coalmine itself said it."""
        return self.context.startswith(OWN_CONTEXT_PREFIX)

    @property
    def is_red(self) -> bool:
        """Whether the check failed, or could not be run."""
        return self.state in _RED

    @property
    def complaint(self) -> str:
        """Who says it, and what, in one line."""
        return f"{self.context}: {self.description}" if self.description else self.context


class CombinedStatus(BaseModel):
    """All reports about a commit: the newest one of each context."""

    model_config = ConfigDict(frozen=True)

    commit: str
    statuses: tuple[CommitStatus, ...] = ()  # by context, each once

    @classmethod
    def of(cls, commit: str, statuses: Iterable[CommitStatus]) -> Self:
        """Keep the newest statement of each context; of two at one time, the later in the list."""
        newest: dict[str, CommitStatus] = {}
        for status in statuses:
            known = newest.get(status.context)
            if known is None or known.at <= status.at:
                newest[status.context] = status
        return cls(commit=commit, statuses=tuple(newest[context] for context in sorted(newest)))

    @property
    def verdict(self) -> CiVerdict:
        """Red as soon as one check failed, green when all have passed; our own statements do not count."""
        states = {status.state for status in self.statuses if not status.is_own}
        if states & _RED:
            return CiVerdict.RED
        if StatusState.PENDING in states:
            return CiVerdict.PENDING
        return CiVerdict.GREEN if states else CiVerdict.UNKNOWN

    @property
    def failed(self) -> tuple[CommitStatus, ...]:
        """What the checks said that failed or could not be run, by context; our own are none."""
        return tuple(one for one in self.statuses if one.is_red and not one.is_own)

    @property
    def failing(self) -> tuple[str, ...]:
        """The contexts of those checks."""
        return tuple(status.context for status in self.failed)

    @property
    def complaint(self) -> str:
        """What the first check that failed, or could not be run, says of it; '' when none did."""
        return self.failed[0].complaint if self.failed else ""

    @property
    def has_real_ci(self) -> bool:
        """Whether at least one check that is not Coalmine's own succeeded."""
        return any(status.state is StatusState.SUCCESS and not status.is_own for status in self.statuses)
