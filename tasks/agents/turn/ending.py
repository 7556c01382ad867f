"""The end of a turn: what it means for its session is decided, and written together with the lease.

One write moves the session, adds what the turn consumed, removes the process's registration and gives the
lease back. So a session is never seen without a turn and with its process, or the other way round. A store
that does not answer is waited for until the lease has run out; then the session belongs to the worker that
wins it.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TypeVar

import structlog

from routing.back_off import BackOff
from routing.cost import NO_COST
from routing.errors import STORE_AWAY, CoalmineError
from routing.generator import Generator
from routing.jobs.ending import OVERSTAYED, Ending
from routing.jobs.retry import is_done
from routing.jobs.turn import FinishedTurn
from routing.store.sessions.session_store import SessionStore, TurnEnd
from tasks.agents.mail.post_office import PostOffice
from tasks.agents.runtimes.agent_event import Usage
from tasks.agents.session.conversation import Conversation
from tasks.agents.session.record import SessionRecord, billed_fields
from tasks.agents.session.state import ALLOWED, SessionState
from tasks.agents.session.step import SessionStep, step_after
from tasks.agents.supervision.retirement import Retirement
from tasks.agents.supervision.worker_died import AgentEnd
from tasks.agents.turn.mail import TurnMail
from tasks.agents.turn.order import HeldTurn, TurnOrder
from tasks.agents.turn.result import TurnResult
from tasks.work.log_and_continue import LogAndContinue

T = TypeVar("T")

_log = structlog.get_logger(__name__)

#: The pauses between two tries to do a step of a turn on a store that does not answer. Short: all is to be at
#: work within seconds of its return.
STORE_BACK_OFF = BackOff(first_seconds=0.5, cap_seconds=2.0)

#: Seconds for which the end of a turn that did its work is offered to a store that is away: it was paid for.
FINISHED_PATIENCE_SECONDS = 300.0


class TurnCleanup:
    """Runs the steps of one turn's beginning and end.

    One that fails is logged, and the next is done all the same; `until_answered` alone raises.
    """

    def __init__(
        self, agent: str, *, lease_ends: Callable[[], float], monotonic: Callable[[], float],
        pause: Callable[[float], None], generator: Generator,
    ) -> None:  # fmt: skip
        self._agent = agent
        self._lease_ends = lease_ends  # of the turn, by `monotonic`
        self._monotonic = monotonic
        self._pause = pause
        self._generator = generator  # of jitter
        self._failures = 0  # of the store since it last answered: it is asked less and less often

    def patiently(self, what: str, step: Callable[[], T], *, at_least_seconds: float = 0.0) -> T | None:
        """Do it again until the store answers, or the lease has run out. Returns None if it never did.

        The last try is made when the lease ends. `at_least_seconds`: go on for so long in any case, with a
        step that carries a fence.
        """
        until = self._monotonic() + at_least_seconds
        try:
            return self.until_answered(what, step, gives_up_at=lambda: max(self._lease_ends(), until))
        except STORE_AWAY:
            return None

    def until_answered(
        self, what: str, step: Callable[[], T], *, gives_up_at: Callable[[], float] | None = None
    ) -> T:
        """The same, but raises what the store said last. `gives_up_at`: in place of the end of the lease."""
        ends = gives_up_at or self._lease_ends
        while True:
            try:
                answer = step()
            except STORE_AWAY as error:
                self._failures += 1
                if self._failures == 1:
                    self._log_failure(what, error)
                left = ends() - self._monotonic()
                if left <= 0:
                    raise
                self._pause(min(left, STORE_BACK_OFF.seconds(self._failures, self._generator)))
            else:
                self._failures = 0
                return answer

    def once(self, what: str, step: Callable[[], object]) -> None:
        """Do it once."""
        try:
            step()
        except (CoalmineError, OSError) as error:
            self._log_failure(what, error)

    def _log_failure(self, what: str, error: Exception) -> None:
        _log.error("turn.cleanup_failed", agent=self._agent, what=what, reason=str(error))


class TerminalMail(StrEnum):
    """Whether the agent has sent mail that ends its task."""

    SEEN = "seen"  # in this very turn
    MISSING = "missing"  # the task is over without it
    NOT_DUE = "not_due"  # there are turns to come, or the role has no task


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnRecord:
    """One turn of a session."""

    result: TurnResult  # exit code, clean, session id, mismatch, ended_by, duration, usage and cost
    agent: str  # name of the session
    fence: int  # of the turn's lease
    resumed: bool  # an earlier conversation was asked for
    terminal_mail: TerminalMail
    initial: SessionState  # as it was when the lease was won
    awaits: bool  # the job goes on when mail arrives for the agent
    final: SessionState | None  # None when it could not be written
    retirement: (
        Retirement | None
    )  # how its agent leaves if its job has ended; None when the turn is another's

    @property
    def said_done(self) -> bool:
        """Whether the agent said how its task went before silence or the time limit ended it."""
        return self.terminal_mail is TerminalMail.SEEN and self.result.ended_by in OVERSTAYED


@dataclass(kw_only=True)
class TurnEnding:
    """Step 8 of a turn, see `turn_runner`.

    Order of calls: `begin` before the process starts; `conclude` once after it has ended; `release` last and
    always, also when one of the others raised or was never called.
    """

    order: TurnOrder
    held: HeldTurn
    record: SessionRecord  # as it was when the lease was won
    sessions: SessionStore
    office: PostOffice
    mail: TurnMail
    conversation: Conversation
    cleanup: TurnCleanup
    host: str = ""  # where the turn was run
    finished_seconds: float = FINISHED_PATIENCE_SECONDS  # for which the end of finished work is offered
    has_lease: bool = True  # False once the end was written
    newest_terminal: int = 0  # sequence of the terminal mail that there was before the turn

    def begin(self) -> None:
        """Step 3: note which terminal mail there is already."""
        self.newest_terminal = self.office.terminal_sequence(self.held.name)

    def conclude(self, result: TurnResult, consumed: Usage, *, silent_seconds: float) -> TurnRecord:
        """Decide what the turn meant, and write that.

        `consumed` is what the conversation consumed in this turn, `silent_seconds` the time since its last
        event.
        """
        result = self.order.judged(result)
        terminal_seen = bool(self.cleanup.patiently("terminal mail", self._has_terminal_mail))
        stored = self.cleanup.patiently("the session", self._read) or self.record
        step = step_after(
            result,
            role=self.order.agent.role,
            terminal_seen=terminal_seen,
            awaiting=stored.awaiting,
            attempts=self.order.attempts,
        )
        done = step is not None and _is_done(result, terminal_seen=terminal_seen)
        self._warn(result, step, silent_seconds=silent_seconds)
        if step is None or not self.write(step, result, consumed, done=done):
            return self._recorded(result, step, terminal_seen=terminal_seen)
        counts = result.ended_by is not Ending.DRAIN and result.limit is None
        self._settle_mail(clean=result.clean, reason=step.reason, counts=counts)
        end = AgentEnd(
            ended_by=result.ended_by,
            exit_code=result.exit_code,
            clean=result.clean,
            terminal_seen=terminal_seen,
            awaiting=step.awaits,
            last_activity=stored.last_activity,
            stall_seconds=round(silent_seconds),
        )
        retirement = Retirement(agent=self.order.agent, fence=self.held.fence, end=end, is_end=step.is_end)
        return self._recorded(result, step, terminal_seen=terminal_seen, retirement=retirement)

    def _warn(self, result: TurnResult, step: SessionStep | None, *, silent_seconds: float) -> None:
        """Say in the worker's log what a person may want to look at. The store has events about it, too."""
        warn = partial(_log.warning, agent=self.held.name, job=self.order.job)
        if result.ended_by is Ending.STALL and result.limit is None:
            warn("session.stalled", silent_seconds=round(silent_seconds))
        if result.lingered:
            warn("session.did_not_exit", clean=result.clean)
        if result.resume_mismatch:
            warn("session.resume_mismatch", asked=self.conversation.asked, seen=result.session_id)
        if step is not None and step.mail_missing:
            warn("session.terminal_mail_missing", reason=step.reason)

    def write(self, step: SessionStep, result: TurnResult, consumed: Usage, *, done: bool = False) -> bool:
        """Write the turn's end and give the lease back in one step. Returns whether the session moved.

        `done`: its work is there, and the job keeps the turn until that is delivered. As this is the same
        write, a worker that dies at any moment after it costs no second turn.
        """
        conversation = self.conversation
        conversation.save()
        total = conversation.consumed(
            consumed, elsewhere=result.resume_mismatch or conversation.asked is None
        )
        is_put_off = result.limit is not None and not done
        end = TurnEnd(
            name=self.held.name,
            fence=self.held.fence,
            to=step.to,
            allowed=ALLOWED[step.to],
            reason=step.reason,
            fields=billed_fields(total),
            cost=NO_COST if is_put_off and not result.acted else result.usage.cost(result.duration_seconds),
            put_off=is_put_off,
            payer=self.order.payer,
            job=self.order.job,
            job_fence=self.order.job_fence,
            finished=self._finished(result, awaits=step.awaits).as_json() if done else "",
            retry=step.is_retry,
            mail_missing=step.mail_missing,
            forget=result.session_lost or bool(result.refused),
            call_id=secrets.token_hex(8),
        )
        patience = self.finished_seconds if done else 0.0
        moved = self.cleanup.patiently(
            "the end of the turn", lambda: self.sessions.end(end), at_least_seconds=patience
        )
        self.has_lease = moved is None
        if moved is None or not moved.done:
            _log.warning("session.not_moved", agent=self.held.name, to=step.to.value, answer=str(moved))
        return moved is not None and moved.done

    def _finished(self, result: TurnResult, *, awaits: bool) -> FinishedTurn:
        """What the job keeps of a turn that did its work."""
        return FinishedTurn(
            host=self.host,
            work_dir=self.order.work_dir,
            awaits=awaits,
            clean=result.clean,
            ended_by=result.ended_by,
            exit_code=result.exit_code,
            duration_seconds=round(result.duration_seconds, 3),
            cost_usd=result.usage.cost_usd,
            tail=result.output_tail[-1000:],
        )

    def close_mail(self) -> None:
        """Take mail from the agent no longer.

        What it sends in the grace period after an abort came too late.
        """
        self.cleanup.once("the mail's command", self.mail.close)

    def release(self, *, was_read: bool) -> None:
        """Give back what `conclude` has not. Never raises for a store that does not answer.

        `was_read`: whether an agent was started that may have read its mail.
        """
        self.close_mail()
        if self.has_lease:
            end = TurnEnd(name=self.held.name, fence=self.held.fence, call_id=secrets.token_hex(8))
            self.cleanup.patiently("the lease", lambda: self.sessions.end(end))
        self._settle_mail(clean=False, reason="its turn ended before it could be judged", counts=was_read)

    def _settle_mail(self, *, clean: bool, reason: str, counts: bool) -> None:
        """Acknowledge its mail, or have it wait again; only the first call counts."""
        settle = partial(self.mail.settle, clean=clean, reason=reason, counts=counts)
        with LogAndContinue("turn.cleanup_failed", agent=self.held.name, what="the mail"):
            self.cleanup.patiently("the mail", settle)

    def _recorded(
        self, result: TurnResult, step: SessionStep | None, *, terminal_seen: bool,
        retirement: Retirement | None = None,
    ) -> TurnRecord:  # fmt: skip
        """The record of the turn; without a retirement its end was not written."""
        written = step is not None and retirement is not None
        mail = TerminalMail.MISSING if step is not None and step.is_end else TerminalMail.NOT_DUE
        return TurnRecord(
            result=result,
            agent=self.held.name,
            fence=self.held.fence,
            resumed=self.conversation.asked is not None,
            terminal_mail=TerminalMail.SEEN if terminal_seen else mail,
            initial=self.record.state,
            awaits=step is not None and step.awaits and written,
            final=step.to if step is not None and written else None,
            retirement=retirement,
        )

    def _has_terminal_mail(self) -> bool:
        return self.office.terminal_since(self.held.name, self.newest_terminal) is not None

    def _read(self) -> SessionRecord:
        return SessionRecord.parse(self.sessions.read(self.held.name))


def _is_done(result: TurnResult, *, terminal_seen: bool) -> bool:
    """Whether the turn's work is there to be delivered, whatever becomes of this worker."""
    return is_done(result.ended_by, clean=result.clean, said_done=terminal_seen)
