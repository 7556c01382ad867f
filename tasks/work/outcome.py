"""What the end of an attempt means for its job: the table of endings, as a pure decision.

Whether another attempt follows is decided by `routing.jobs.retry`, which this calls. What follows work that
could not be delivered is decided by `tasks.work.delivery`; what CI says of the pushed commit later, by
`tasks.issues.watch`.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum

from routing.accounts.limit import AccountLimit
from routing.git.push_refusal import RefusalKind
from routing.jobs.ending import Ending, NotRun
from routing.jobs.job import JobResult
from routing.jobs.retry import AT_ONCE, Again, Attempts, GiveUp, is_done, retry
from routing.jobs.signal import SignalKind
from routing.jobs.turn import Hindrance, HindranceKind
from tasks.agents.supervision.retirement import Retirement


class NextStep(StrEnum):
    """What is to be done with the job."""

    PUSHED = "pushed"  # a commit is pushed: watch its CI
    FINISHED = "finished"  # it succeeded without a commit to watch
    RETRY = "retry"  # queue it again after a pause
    FAIL = "fail"  # it failed, and no attempt is left
    ESCALATE = "escalate"  # hand it to a person
    CANCEL = "cancel"  # end it as cancelled
    GIVE_BACK = "give_back"  # to the queue, without counting the attempt
    PUT_OFF = "put_off"  # to the queue for a moment, as if it had not been claimed
    HINDERED = "hindered"  # to the queue, with its finished turn, until what is in the way has gone
    REFUSED = "refused"  # queue it for a turn that repairs what the server did not take
    AWAIT = "await"  # to the queue until mail arrives for its agent, without counting the attempt
    DROP = "drop"  # the lease is lost: write nothing

    @property
    def runs_again(self) -> bool:
        """Whether the job goes on with another turn; DROP says nothing of it."""
        return self in {
            self.RETRY, self.GIVE_BACK, self.PUT_OFF, self.HINDERED, self.REFUSED, self.AWAIT,
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    """How an attempt at a job went, as its runner reports it."""

    ended_by: Ending | NotRun
    clean: bool = False  # by the runtime's own definition
    said_done: bool = False  # it did not end by itself, but had said how its task went
    awaits: bool = False  # the agent ended its turn cleanly to wait for mail
    has_repository: bool = False
    expects_commit: bool = True  # whether its role's work on a repository is a commit
    judged: bool = False  # CI was red at its commit already: nothing new was pushed
    corrects: bool = False  # the turn was to repair a commit that CI was red at, and that is still pushed
    fault: SignalKind | None = None  # why no turn could be run, when that was not the agent's doing
    limit: AccountLimit | None = None  # of the account, that ended the turn
    is_noted: bool = True  # with a limit: its account is closed, so that the job is held until it is over
    has_begun: bool = False  # with a limit: there is a conversation, or work, to go on with
    hindrance: HindranceKind | None = None  # what was in the way of the turn, or of its work's delivery
    refusal: RefusalKind | None = None  # what the server, or the state of the work, says no to
    said: str = ""  # with a refusal: the words of it
    is_lost: bool = False  # with ELSEWHERE: the work was on this very host, and is not there
    note: str = ""  # what happened, in words
    left: str = ""  # work that the agent did and that is not on its branch, in words
    kept: str = ""  # where the work of a cancelled turn is, in words
    result: JobResult = field(default_factory=JobResult)
    retirement: Retirement | None = None  # how the agent leaves if the job has ended; None: no turn was run


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnOutcome:
    """What is decided about a job whose attempt has ended."""

    step: NextStep
    signal: SignalKind | None  # the fact that is recorded when the job ends with this
    reason: str  # in words, for the job's record
    again: Again = AT_ONCE  # how the job is queued again, where the step is to do so
    hindrance: Hindrance | None = None  # what is recorded of it, where the step is HINDERED
    keeps_turn: bool = False  # a finished turn is kept by a job that ends, for a person's retry to deliver


#: Endings that say nothing of the agent's work.
_STOPPED: dict[Ending | NotRun, TurnOutcome] = {
    Ending.CANCEL: TurnOutcome(
        step=NextStep.CANCEL, signal=SignalKind.CANCELLED, reason="cancelled while it was running"
    ),
    Ending.LEASE_LOST: TurnOutcome(step=NextStep.DROP, signal=None, reason="the lease was lost"),
    Ending.DRAIN: TurnOutcome(step=NextStep.GIVE_BACK, signal=None, reason="its worker shut down"),
    NotRun.STORE_AWAY: TurnOutcome(step=NextStep.GIVE_BACK, signal=None, reason="the store did not answer"),
    NotRun.BUSY: TurnOutcome(step=NextStep.PUT_OFF, signal=None, reason="its agent is busy with another job"),
}

_LIMITS: dict[Ending | NotRun, tuple[SignalKind, str]] = {
    Ending.STALL: (SignalKind.AGENT_STALLED, "the agent went silent"),
    Ending.DEADLINE: (SignalKind.AGENT_ABORTED, "the agent ran into its time limit"),
    Ending.OUTPUT_LIMIT: (SignalKind.AGENT_ABORTED, "the agent printed more than it may"),
    Ending.MEMORY_LIMIT: (SignalKind.AGENT_ABORTED, "limit: memory; the agent took more than it may"),
    Ending.PROCESS_LIMIT: (SignalKind.AGENT_ABORTED, "limit: processes; the agent had more than it may"),
    Ending.FILE_LIMIT: (SignalKind.AGENT_ABORTED, "limit: file size; the agent wrote more than it may"),
    Ending.DISK_LIMIT: (SignalKind.AGENT_ABORTED, "limit: disk; the agent wrote more than it may"),
    Ending.BUDGET: (SignalKind.AGENT_ABORTED, "the agent spent more than it may"),
    Ending.PARSER_ERROR: (SignalKind.AGENT_ERRORED, "the agent's runtime could not read what it said"),
}

#: Characters that a reason says of work that is not on the branch; the job's log has all.
LEFT_CHARACTERS = 1000

#: How an agent that had said that it was done was ended all the same.
_OVERSTAYED: dict[Ending | NotRun, str] = {
    Ending.STALL: "when it went silent",
    Ending.DEADLINE: "at its time limit",
}

#: The exit codes by which a shell says that it could not run a command (POSIX, Shell & Utilities, 2.8.2).
_NOT_STARTED = {
    126: "the agent's command may not be executed in the work tree (exit 126)",
    127: "the agent's command was not found in the work tree (exit 127)",
}


def outcome(ran: Ran, attempts: Attempts) -> TurnOutcome:
    """Decide by how the attempt ended and by the attempts that are left."""
    follow_up = retry(ran.ended_by, attempts)
    if ran.ended_by in _STOPPED:
        stopped = _STOPPED[ran.ended_by]
        return replace(stopped, again=follow_up) if isinstance(follow_up, Again) else stopped
    if ran.ended_by is NotRun.JOB_LIMIT:
        return TurnOutcome(step=NextStep.ESCALATE, signal=SignalKind.AGENT_ABORTED, reason=ran.note)
    if ran.fault is None and is_done(ran.ended_by, clean=ran.clean, said_done=ran.said_done):
        return _done(ran)
    kind, reason = _failure(ran)
    if isinstance(follow_up, GiveUp) and ran.corrects and ran.fault is None:
        # A check may have been run again, and have passed; if not, the watcher freezes the job.
        return TurnOutcome(step=NextStep.PUSHED, signal=None, reason=f"{reason}; CI is read again")
    if isinstance(follow_up, GiveUp):
        return TurnOutcome(step=NextStep.FAIL, signal=kind, reason=reason)
    return TurnOutcome(step=NextStep.RETRY, signal=kind, reason=reason, again=follow_up)


def of_shadow(found: TurnOutcome) -> TurnOutcome:
    """What is decided about a shadow: its work is judged and never delivered, and no person is asked."""
    instead = {NextStep.PUSHED: NextStep.FINISHED, NextStep.ESCALATE: NextStep.FAIL}
    return replace(found, step=instead.get(found.step, found.step))


def _failure(ran: Ran) -> tuple[SignalKind, str]:
    """The fact about the version, or the fault that is not its own, and the reason in words."""
    if ran.fault is not None:
        return ran.fault, ran.note or "no turn could be run"
    exit_code = ran.result.exit_code
    ended = "the agent failed" if exit_code is None else f"the agent ended with exit code {exit_code}"
    words = _NOT_STARTED.get(exit_code or 0, ended)
    kind, reason = _LIMITS.get(ran.ended_by, (SignalKind.AGENT_ERRORED, words))
    return kind, f"{reason} ({ran.note})" if ran.note else reason


def _done(ran: Ran) -> TurnOutcome:
    """What follows a turn whose work is there to be judged, unless its agent awaits mail."""
    how = "the agent ended cleanly"
    if ran.ended_by in _OVERSTAYED:
        how = f"the agent said that it was done, and was ended {_OVERSTAYED[ran.ended_by]}"
    if ran.awaits:
        return TurnOutcome(step=NextStep.AWAIT, signal=None, reason="its agent awaits mail")
    if not ran.has_repository:
        return TurnOutcome(step=NextStep.FINISHED, signal=SignalKind.FINISHED, reason=how)
    if ran.result.commit and ran.judged:  # CI is read again: a check may have been run again meanwhile
        reason = "the corrective turn committed nothing new"
        return TurnOutcome(step=NextStep.PUSHED, signal=None, reason=reason)
    if ran.result.commit:
        pushed = _with_left(f"pushed {ran.result.commit[:12]}", ran)
        return TurnOutcome(
            step=NextStep.PUSHED, signal=None, reason=f"{how}; {pushed}" if ran.said_done else pushed
        )
    if not ran.expects_commit:
        reason = f"{how}; its role is not to commit"
        return TurnOutcome(step=NextStep.FINISHED, signal=SignalKind.FINISHED, reason=reason)
    reason = _with_left(f"{how} but committed nothing", ran)
    return TurnOutcome(step=NextStep.ESCALATE, signal=SignalKind.NOTHING_PUSHED, reason=reason)


def _with_left(reason: str, ran: Ran) -> str:
    """The reason, and what of the agent's work is not on its branch."""
    left = ran.left if len(ran.left) <= LEFT_CHARACTERS else f"{ran.left[:LEFT_CHARACTERS]}…"
    return f"{reason}; {left}" if left else reason
