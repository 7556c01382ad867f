"""What follows when something was in the way of a turn, or of the delivery of a finished one: pure.

A turn and the delivery of its work are two things. Work that only lacks a push is pushed later, by whichever
worker holds the job and has the tree; no other turn is run for it, and no attempt is used up. A refusal is an
answer: the agent gets one turn to repair its branch, or a person is asked at once.
"""

from dataclasses import dataclass

from routing.accounts.limit import AccountLimit, LimitKind
from routing.git.push_refusal import NOT_THE_AGENTS, REPAIRABLE, RefusalKind
from routing.jobs.ending import NotRun
from routing.jobs.job import Job
from routing.jobs.retry import UNCOUNTED, Again
from routing.jobs.signal import SignalKind
from routing.jobs.turn import Hindrance, HindranceKind
from tasks.work.outcome import NextStep, Ran, TurnOutcome

#: Corrective turns that one job gets for work that was refused.
MOST_REFUSALS = 1

#: Tries at a tree that cannot be read, before a person is asked: what is wrong with it will stay.
MOST_READINGS = 3

#: Seconds until a job is offered again whose finished work is on another host.
ELSEWHERE_SECONDS = 2.0

#: The longest time until a job is offered again that its last worker could not do.
UNABLE_SECONDS = 15.0

#: What a job ends with when it has waited for too long: none of it is the version's doing, but the last.
_SIGNALS = {
    HindranceKind.TOKEN: SignalKind.AUTHENTICATION,
    HindranceKind.GONE: SignalKind.AUTHENTICATION,
    HindranceKind.AWAY: SignalKind.UNREACHABLE,
    HindranceKind.MACHINE: SignalKind.MACHINE_LOST,
    HindranceKind.UNREADABLE: SignalKind.AGENT_ERRORED,
    HindranceKind.UNABLE: SignalKind.SETUP,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryLimits:
    """How long finished work waits; in seconds, by the settings."""

    give_up_seconds: float = 259_200.0  # for whatever is in the way to go; then a person is asked
    lost_seconds: float = 900.0  # for the host that has the work; then it counts as lost with that host


def held_up(ran: Ran, job: Job, *, now: float, limits: DeliveryLimits) -> TurnOutcome | None:
    """Decide about an attempt that was hindered or refused, or met a limit; None for any other.

    `job` as it was claimed, `now` by the server's clock.
    """
    if ran.refusal is not None:
        return _refused(ran, ran.refusal, job)
    if ran.limit is not None:
        return _limited(ran.limit, job, now, is_noted=ran.is_noted)
    if ran.hindrance is None:
        return None
    if ran.hindrance is HindranceKind.ELSEWHERE:
        return _elsewhere(ran, job, now, limits)
    known = job.hindrance
    seen = Hindrance(
        kind=ran.hindrance,
        since=known.since if known else now,
        seen_at=now,
        times=known.times + 1 if known else 1,
        words=ran.note[:500],
    )
    finished = ran.ended_by is not NotRun.FAULT
    what = "its work is finished and waits to be pushed" if finished else "its turn could not begin"
    reason = f"{what}: {ran.note}"
    unreadable = seen.kind is HindranceKind.UNREADABLE and seen.times >= MOST_READINGS
    if unreadable or now - seen.since >= limits.give_up_seconds:
        step = NextStep.ESCALATE if finished else NextStep.FAIL
        return TurnOutcome(step=step, signal=_SIGNALS[seen.kind], reason=reason, keeps_turn=finished)
    again = Again(counts=False, back_off_after=seen.times)
    if seen.kind is HindranceKind.UNABLE:  # another worker may be able at once
        again = Again(counts=False, wait_seconds=min(UNABLE_SECONDS, seen.times))
    return TurnOutcome(step=NextStep.HINDERED, signal=None, reason=reason, again=again, hindrance=seen)


def _limited(limit: AccountLimit, job: Job, now: float, *, is_noted: bool) -> TurnOutcome:
    """Put the job off: it is offered again at once, and held until an account is open.

    Where no account could be closed for it, nothing would hold it: the back-off of jobs does. However often
    that happens no attempt is used up, as nothing about it is the agent's.
    """
    known = job.hindrance if job.hindrance and job.hindrance.kind is HindranceKind.LIMIT else None
    seen = Hindrance(
        kind=HindranceKind.LIMIT,
        since=known.since if known else now,
        seen_at=now,
        times=known.times + 1 if known else 1,
        until=limit.until,
        words=limit.words[:500],
    )
    whose = job.version_id if limit.kind is LimitKind.START else job.account or "its account"
    reason = f"put off, as of {whose} {limit.kind.said}: {limit.words}"
    again = UNCOUNTED if is_noted else Again(counts=False, back_off_after=seen.times)
    return TurnOutcome(step=NextStep.HINDERED, signal=None, reason=reason, again=again, hindrance=seen)


def _elsewhere(ran: Ran, job: Job, now: float, limits: DeliveryLimits) -> TurnOutcome:
    """Leave finished work to the host that has it, while that may still come; `note` names the host.

    Only when it is lost another turn is paid.
    """
    seen = job.hindrance or Hindrance(kind=HindranceKind.ELSEWHERE, since=now, seen_at=now, words=ran.note)
    if ran.is_lost or now - seen.seen_at >= limits.lost_seconds:
        reason = f"its finished work is lost, so the work is done again: {ran.note}"
        return TurnOutcome(step=NextStep.RETRY, signal=None, reason=reason, again=UNCOUNTED)
    reason = f"its work is finished and waits to be pushed: {ran.note}"
    again = Again(counts=False, wait_seconds=ELSEWHERE_SECONDS)
    return TurnOutcome(step=NextStep.HINDERED, signal=None, reason=reason, again=again, hindrance=seen)


def _refused(ran: Ran, kind: RefusalKind, job: Job) -> TurnOutcome:
    if kind in REPAIRABLE and job.refusals < MOST_REFUSALS:
        return TurnOutcome(step=NextStep.REFUSED, signal=None, reason=ran.note)
    fact = SignalKind.REFUSED
    if kind is RefusalKind.MOVED:  # a person works on the branch
        fact = SignalKind.CANCELLED
    elif kind in NOT_THE_AGENTS:
        fact = SignalKind.SETUP
    finished = ran.ended_by is not NotRun.FAULT
    return TurnOutcome(
        step=NextStep.ESCALATE,
        signal=fact,
        reason=ran.note,
        keeps_turn=finished and kind is not RefusalKind.UNRELATED,
    )
