"""What the end of a turn means for its session: pure decisions.

| the turn | the session goes to |
|---|---|
| lost its lease | nowhere: another worker may hold it |
| was drained | between_turns |
| met a limit of its account | between_turns |
| exited, not clean | between_turns while attempts are left, then zombie |
| was clean, with terminal mail | completed |
| was clean, and awaits mail | between_turns |
| was clean, the role has no task | between_turns |
| was clean, without terminal mail | completed, and the mail is missing |
| was ended by us | completed with terminal mail, else zombie |
"""

from dataclasses import dataclass

from routing.jobs.ending import OVERSTAYED, Ending
from routing.jobs.retry import Again, Attempts, is_done, retry
from tasks.agents.mail.role import Role
from tasks.agents.session.record import SessionRecord
from tasks.agents.session.state import SessionState
from tasks.agents.turn.result import TurnResult


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionStep:
    """Where a session goes after a turn."""

    to: SessionState
    reason: str  # in words
    is_retry: bool = False  # the next turn tries again what this one failed at
    mail_missing: bool = False  # the task is over, and the agent did not say how it went
    awaits: bool = False  # its job waits for mail
    is_end: bool = False  # the agent has no more turns, unless its job goes on


def step_after(
    turn: TurnResult, *, role: Role, terminal_seen: bool, awaiting: bool, attempts: Attempts
) -> SessionStep | None:
    """Decide by the table above. None: nothing may be written, as somebody else may have the session.

    `terminal_seen`: in this turn; `awaiting`: the agent said that it awaits mail; `attempts`: of the turn's
    job.
    """
    may_retry = isinstance(retry(turn.ended_by, attempts), Again)
    if turn.limit is not None and not (terminal_seen and turn.ended_by in OVERSTAYED):
        reason = f"its account does not serve: {turn.limit.kind.said}"
        return SessionStep(to=SessionState.BETWEEN_TURNS, reason=reason)
    match turn.ended_by:
        case Ending.LEASE_LOST:
            return None
        case Ending.DRAIN:
            return SessionStep(to=SessionState.BETWEEN_TURNS, reason="its worker shut down")
        case Ending.RESULT | Ending.PARSER_ERROR:
            return _exited(
                turn, role=role, terminal_seen=terminal_seen, awaiting=awaiting, may_retry=may_retry
            )
        case ending:
            goes_on = may_retry and not is_done(ending, clean=turn.clean, said_done=terminal_seen)
            to = SessionState.COMPLETED if terminal_seen else SessionState.ZOMBIE
            return SessionStep(to=to, reason=f"its turn was ended: {ending.value}", is_end=not goes_on)


def _exited(
    turn: TurnResult, *, role: Role, terminal_seen: bool, awaiting: bool, may_retry: bool
) -> SessionStep:
    if not turn.clean:
        reason = f"it exited with code {turn.exit_code}"
        if turn.lingered:
            reason = "it said that it had failed, and did not exit"
        if turn.refused:
            reason = f"the model's API refused its conversation: {turn.refused}"
        if turn.ended_by is Ending.PARSER_ERROR:
            reason = f"its runtime could not read what it said: {turn.reason}"
        if may_retry:
            return SessionStep(to=SessionState.BETWEEN_TURNS, reason=reason, is_retry=True)
        return SessionStep(
            to=SessionState.ZOMBIE, reason=f"{reason}, and no attempt is left", is_retry=True, is_end=True
        )
    if terminal_seen:
        return SessionStep(to=SessionState.COMPLETED, reason="it said how its task went", is_end=True)
    if awaiting:
        reason = "it waits for those it has sent out"
        return SessionStep(to=SessionState.BETWEEN_TURNS, reason=reason, awaits=True)
    if not role.is_task_scoped:
        return SessionStep(to=SessionState.BETWEEN_TURNS, reason="it waits for mail")
    return SessionStep(
        to=SessionState.COMPLETED,
        reason="it ended cleanly without terminal mail",
        mail_missing=True,
        is_end=True,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Resumption:
    """Whether the next turn goes on with an earlier conversation."""

    session_id: str | None = None  # that is to be resumed, None for a new one
    lost: str = ""  # why there is one that cannot be resumed, "" when there is none


def resumption(record: SessionRecord, *, runtime: str, resumes: bool, host: str) -> Resumption:
    """Decide by the record, which must have been read under the turn's lease; `host` is ours."""
    if not record.runtime_session:
        return Resumption()
    why = {
        f"its runtime was {record.runtime or 'unknown'} and is {runtime}": record.runtime != runtime,
        f"the runtime {runtime} cannot resume": not resumes,
        f"it is kept on the host {record.session_host}": record.session_host != host,
        "its last turn was given up": record.gave_up == SessionState.ZOMBIE,
    }
    lost = next((reason for reason, holds in why.items() if holds), "")
    return Resumption(lost=lost) if lost else Resumption(session_id=record.runtime_session)
