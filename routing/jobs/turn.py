"""Turns of a job: what each is for, what a corrective one has to repair, and what a finished one still lacks.

Versions have a prompt by kind, and jobs carry the repair, so neither stands in the other's module.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints, field_validator

from routing.jobs.ending import Ending

#: Of a log only the end is kept, in characters: that is where programs say why they failed.
LOG_END_CHARACTERS = 16_000

#: The most that is kept of what reviewers wrote, in characters.
REVIEW_CHARACTERS = 32_000

#: The most checks, or files, that are named, and characters of a name.
MOST_CHECKS = 50
CHECK_CHARACTERS = 200

#: Commits of one job that are remembered as judged: the newest.
MOST_JUDGED = 50


class TurnKind(StrEnum):
    """Each has a text of its own in the prompt."""

    FIRST = "first"  # the task
    REDISPATCH = "redispatch"  # the task again, as an earlier turn did not come to its end
    MAIL = "mail"  # what arrived for an agent that waited for it
    FIX_FORWARD = "fix_forward"  # what CI found at the commit that was pushed
    REVIEW = "review"  # what people asked for when they looked at the pushed commit
    CONFLICT = "conflict"  # that its work cannot be merged, as the main branch changed the same lines
    EDITED = "edited"  # the text of its issue was changed meanwhile
    REFUSED = "refused"  # what the server said when it did not take the work
    LIFTED = "limit.lifted"  # the limit of an account that ended its last turn is over


class Repair(BaseModel):
    """What CI, or reviewers, found at a pushed commit. What is too long is cut when it is made."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="ignore")

    commit: Annotated[str, StringConstraints(min_length=1, max_length=64)]  # that was looked at
    checks: tuple[str, ...] = ()  # names of those that failed
    log: str = ""  # the end of what they printed
    review: str = ""  # what reviewers wrote, "" where CI alone spoke
    onto: str = ""  # the branch that it has conflicts with, "" for none
    files: tuple[str, ...] = ()  # that these are in

    @field_validator("checks", "files")
    @classmethod
    def _few(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(check[:CHECK_CHARACTERS] for check in value[:MOST_CHECKS])

    @field_validator("log")
    @classmethod
    def _end(cls, value: str) -> str:
        return value[-LOG_END_CHARACTERS:]


class FinishedTurn(BaseModel):
    """A turn that did its work, until that is delivered and reported.

    It is written together with the turn's end. While a job has one, no other turn is run for it: its work is
    in the tree on the host that is named.
    """

    model_config = ConfigDict(defer_build=True, frozen=True, extra="ignore")

    host: str  # that has the tree
    work_dir: str = ""  # the folder there that it is in, "" where that was not noted
    awaits: bool = False  # its work goes on when mail arrives: it lacks the report alone
    clean: bool  # by the runtime's definition; else the agent said that it was done before it was ended
    ended_by: Ending
    exit_code: int | None = None
    duration_seconds: float = 0.0
    cost_usd: float | None = None  # None: nobody said
    tail: str = ""  # the end of what the agent printed

    def as_json(self) -> str:
        """The stored form. What is not known is left out: earlier releases read no null."""
        return self.model_dump_json(exclude_none=True)


class EndedTurn(BaseModel):
    """A turn of a job that is over, as the step that ended it wrote it down."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="ignore")

    number: int  # among all turns that were ever run for the job, from 1
    at: float  # when it ended, seconds since the epoch, the server's
    kind: str  # what it was for; one of a later release is read, too
    seconds: float  # that it took
    usd: float  # as far as it is known
    unknown: bool  # whether its dollars, or a part of them, are not
    tokens: int  # input, with that from the cache, and output

    @property
    def began_at(self) -> float:
        """When its process was started, about."""
        return self.at - self.seconds

    @property
    def known_usd(self) -> float | None:
        """Its dollars; None where nobody said any."""
        return None if self.unknown and not self.usd else self.usd


class HindranceKind(StrEnum):
    """What keeps a job waiting. Nobody's work is to blame, and the same step may succeed later."""

    TOKEN = "token"  # noqa: S105 - the remote does not know our token, or does not let it do this
    GONE = "gone"  # there is no such repository, or the token may not see it
    AWAY = "away"  # the remote, or the store, gave no answer
    MACHINE = "machine"  # this host has no room, cannot read or write, or cannot make a sandbox
    UNREADABLE = "unreadable"  # what the agent left in its tree could not be taken over
    UNABLE = "unable"  # this worker lacks what the job needs: a secret, a program, the repository's forge
    LIMIT = "limit"  # the account that its turn ran on has reached a limit, or its credential is refused
    ELSEWHERE = "elsewhere"  # the finished work is on another host


class Hindrance(BaseModel):
    """What a job waits for that is neither its agent's nor its own to change."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="ignore")

    kind: HindranceKind
    since: float  # when it was first met, seconds since the epoch, the server's
    seen_at: float  # when a host that has the finished work last tried; or when another first looked for it
    times: int = 1  # tries that it has stopped
    until: float | None = None  # when it ends, as was said; None: nobody did
    words: str = ""  # what was said
