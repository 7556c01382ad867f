"""A breaker: what the fleet knows of one account and one model. The record as it is stored, and its words.

A version has a breaker as well, under a name that no account has: it closes when several of its jobs in a row
fail alike before their agents did anything (`breaker_fail.lua`).

It is open until a turn meets a limit. Then it is closed until the time that was given, or for a back-off of a
minute to an hour. After that one job tries it, the *probe*; all others wait until that job's model has
answered, which opens it, or has met the limit again. The steps are Lua, see `routing.store.accounts`.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict

from routing.accounts.limit import LimitKind

#: The pauses of an account whose limit does not say when it ends: doubled from first to last, in seconds.
BACK_OFF_FIRST_SECONDS: Final = 60.0
BACK_OFF_CAP_SECONDS: Final = 3600.0

#: The time after which an account is tried again that a person must look at: it may be right by then.
BROKEN_SECONDS: Final = 3600.0


class BreakerState(StrEnum):
    """Whether work may begin on it."""

    OPEN = "open"
    LIMITED = "limited"  # until a time
    PROBING = "probing"  # the time has come, and one job tries it
    BROKEN = "broken"  # a person must look at it
    CLOSED = "closed"  # a person closed it


def _whole(value: object) -> object:
    """Lua writes whole numbers of a JSON record as it likes."""
    return None if value == "" else value


Time = Annotated[float | None, BeforeValidator(_whole)]


class Breaker(BaseModel):
    """One as stored. A later release may add fields."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="ignore")

    account: str  # `claude:team-a`
    model: str = ""  # in the runtime's words, "" for its default
    state: BreakerState = BreakerState.OPEN
    kind: LimitKind | None = None  # of the limit, None while open
    since: Time = None  # when it was closed; seconds since the epoch, the server's, like all times here
    until: Time = None  # when it is tried again; None: when a person opens it
    given: bool = False  # whether the program said until when
    words: str = ""  # of the program, or of the person
    tries: int = 0  # probes that met a limit again
    probe: str = ""  # id of the job that tries it, or did last
    used_at: Time = None  # when a job last began on it

    @property
    def is_open(self) -> bool:
        """Whether any job may begin on it."""
        return self.state is BreakerState.OPEN

    def seconds_left(self, now: float) -> float | None:
        """Until it is tried again, 0 when that may be now; None when a person must open it."""
        return None if self.until is None else max(0.0, self.until - now)


#: What stands before a version's id in the name of its breaker; no account has an @ in its name.
_OF_VERSION: Final = "version:"


def version_breaker(version: str) -> str:
    """The name that the breaker of a version has in place of an account: `version:implementer@v1`."""
    return f"{_OF_VERSION}{version}"


def version_of(account: str) -> str:
    """The version that a breaker is about; "" for one of an account."""
    return account.removeprefix(_OF_VERSION) if account.startswith(_OF_VERSION) and "@" in account else ""


def field_of(account: str, model: str | None) -> str:
    """The name of a breaker in the store: `claude:team-a/opus`."""
    return f"{account}/{model or ''}"


def utc_words(at: float) -> str:
    """A time in seconds since the epoch as people read it; "" for one that no calendar has."""
    try:
        return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}Z"
    except (ValueError, OverflowError, OSError):
        return ""


def span(seconds: float) -> str:
    """A length of time in words: `2 d 3 h`, `4 h 12 min`, `3 min`, `40 s`."""
    whole = int(seconds + 0.999)
    days, rest = divmod(whole, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, left = divmod(rest, 60)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes and not left else f"{minutes} min {left} s" if minutes else f"{left} s"
