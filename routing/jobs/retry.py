"""Whether a job is tried again after an attempt, and after how long: a pure decision, made here alone.

The worker decides by it for the agent's session and for the job, the sweep for a job whose worker was lost.
What an attempt means besides (the fact about the version, who is asked) is decided by `tasks.work.outcome`.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Self

from routing.back_off import BackOff
from routing.generator import Generator
from routing.jobs.ending import OF_RESOURCES, OVERSTAYED, Ending, NotRun
from routing.jobs.job import Job

#: Seconds that a job waits whose agent is busy with another one.
BUSY_SECONDS: Final = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempts:
    """How many attempts a job has had, the one that has just ended among them, and may have."""

    used: int
    allowed: int

    @classmethod
    def of(cls, job: Job) -> Self:
        """Those of a claimed job: the claim counted the attempt."""
        return cls(used=job.attempts, allowed=job.max_attempts)

    def __str__(self) -> str:
        """In words, for a reason."""
        return f"attempt {self.used} of {self.allowed}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Again:
    """The job is queued again."""

    counts: bool  # whether the attempt is one of those that the job may have
    wait_seconds: float = 0.0  # before the next attempt; not used with back_off_after
    back_off_after: int = 0  # attempts after which the back-off says how long to wait; 0: it does not

    def delay_seconds(self, back_off: BackOff, generator: Generator) -> float:
        """How long the job waits; the generator is asked only where there is jitter."""
        if self.back_off_after:
            return back_off.seconds(self.back_off_after, generator)
        return self.wait_seconds


#: It is queued again without a pause, and the attempt counts.
AT_ONCE: Final = Again(counts=True)

#: The same, and the attempt does not count: it was nobody's failure.
UNCOUNTED: Final = Again(counts=False)


def awaiting(wait_seconds: float) -> Again:
    """How a job is queued again whose agent awaits mail: the turn did its work, so it is not an attempt."""
    return Again(counts=False, wait_seconds=wait_seconds)


@dataclass(frozen=True, kw_only=True, slots=True)
class GiveUp:
    """The job is not tried again."""

    reason: str


class _Rule(Enum):
    BACK_OFF = auto()  # again while attempts are left, after a pause
    AT_ONCE = auto()  # again while attempts are left
    FREE = auto()  # again at once, and the attempt does not count: it was nobody's failure
    BUSY = auto()  # the same after a moment
    NEVER = auto()


_RULES: Final[dict[Ending | NotRun, _Rule]] = {
    Ending.RESULT: _Rule.BACK_OFF,
    Ending.STALL: _Rule.BACK_OFF,
    Ending.DEADLINE: _Rule.BACK_OFF,
    Ending.OUTPUT_LIMIT: _Rule.BACK_OFF,
    **dict.fromkeys(OF_RESOURCES, _Rule.BACK_OFF),
    Ending.BUDGET: _Rule.BACK_OFF,
    Ending.PARSER_ERROR: _Rule.BACK_OFF,
    Ending.CANCEL: _Rule.NEVER,
    Ending.LEASE_LOST: _Rule.NEVER,  # by this worker; the sweep decides about WORKER_LOST
    Ending.DRAIN: _Rule.FREE,
    NotRun.BUSY: _Rule.BUSY,
    NotRun.NOTHING_TO_SAY: _Rule.BACK_OFF,
    NotRun.OVER: _Rule.BACK_OFF,
    NotRun.FAULT: _Rule.BACK_OFF,
    NotRun.STORE_AWAY: _Rule.FREE,
    NotRun.JOB_LIMIT: _Rule.NEVER,
    NotRun.WORKER_LOST: _Rule.AT_ONCE,  # the lease ran out: that was pause enough
}


def is_done(ended_by: Ending | NotRun, *, clean: bool, said_done: bool) -> bool:
    """Whether a turn's work is there to be judged.

    `clean` by the runtime's definition; `said_done`: it had said how its task went before it was ended,
    which counts when it merely stayed too long.
    """
    return (clean and ended_by is Ending.RESULT) or (said_done and ended_by in OVERSTAYED)


def retry(ended_by: Ending | NotRun, attempts: Attempts) -> Again | GiveUp:
    """What follows an attempt that ended so and was not done, see `is_done`."""
    match _RULES[ended_by]:
        case _Rule.NEVER:
            return GiveUp(reason=f"a job is not tried again after {ended_by.value}")
        case _Rule.FREE:
            return UNCOUNTED
        case _Rule.BUSY:
            return Again(counts=False, wait_seconds=BUSY_SECONDS)
        case _ if attempts.used >= attempts.allowed:
            return GiveUp(reason=str(attempts))
        case _Rule.BACK_OFF:
            return Again(counts=True, back_off_after=attempts.used)
        case _Rule.AT_ONCE:
            return AT_ONCE
