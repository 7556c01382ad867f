"""What a turn's end means for its job: a pure decision."""

from dataclasses import dataclass, field
from enum import StrEnum

from routing.jobs.job import JobResult
from routing.jobs.signal import SignalKind
from tasks.agents.supervision.retirement import Retirement


class NextStep(StrEnum):
    """What is to be done with the job."""

    PUSHED = "pushed"  # watch its CI
    FINISHED = "finished"  # it succeeded, and there is no commit to be watched
    RETRY = "retry"  # queue it again while attempts are left
    ESCALATE = "escalate"  # hand it to a person
    CANCEL = "cancel"
    GIVE_BACK = "give_back"  # to the queue, without counting the attempt
    PUT_OFF = "put_off"  # to the queue for a moment, as if it had not been claimed
    AWAIT = "await"  # to the queue until mail arrives for its agent, without counting the attempt
    DROP = "drop"  # the lease is lost: write nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    """How an attempt at a job went."""

    ended_by: str  # result, stall, …: see Ending; or fault, busy, job_limit
    clean: bool = False  # by the runtime's own definition
    said_done: bool = False  # it did not end by itself, but had said how its task went
    awaits: bool = False  # the agent ended its turn cleanly to wait for mail
    has_repository: bool = False
    expects_commit: bool = True  # whether its role's work on a repository is a commit
    judged: bool = False  # CI was red at its commit already: nothing new was pushed
    fault: SignalKind | None = None  # why no turn could be run, when that was not the agent's doing
    note: str = ""  # what happened, in words
    result: JobResult = field(default_factory=JobResult)
    retirement: Retirement | None = None  # how the agent leaves if the job has ended; None: no turn was run


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnOutcome:
    """The step, the signal that comes with the job's end, and the reason in words."""

    step: NextStep
    signal: SignalKind | None
    reason: str


_STOPPED = {
    "cancel": TurnOutcome(
        step=NextStep.CANCEL, signal=SignalKind.CANCELLED, reason="cancelled while it was running"
    ),
    "lease_lost": TurnOutcome(step=NextStep.DROP, signal=None, reason="the lease was lost"),
    "drain": TurnOutcome(step=NextStep.GIVE_BACK, signal=None, reason="its worker shut down"),
    "busy": TurnOutcome(step=NextStep.PUT_OFF, signal=None, reason="its agent is busy with another job"),
}

_LIMITS = {
    "stall": (SignalKind.AGENT_STALLED, "the agent went silent"),
    "deadline": (SignalKind.AGENT_ABORTED, "the agent ran into its time limit"),
    "output_limit": (SignalKind.AGENT_ABORTED, "the agent printed more than it may"),
    "budget": (SignalKind.AGENT_ABORTED, "the agent spent more than it may"),
    "parser_error": (SignalKind.AGENT_ERRORED, "the agent's runtime could not read what it said"),
}

#: How an agent that had said that it was done was ended all the same.
_OVERSTAYED = {"stall": "when it went silent", "deadline": "at its time limit"}

#: What a shell says by its exit code of a command that it could not run.
_NOT_STARTED = {
    126: "the agent's command may not be executed in the work tree (exit 126)",
    127: "the agent's command was not found in the work tree (exit 127)",
}


def outcome(ran: Ran) -> TurnOutcome:
    """Decide by how the attempt ended; faults that are not the agent's come first."""
    if ran.ended_by in _STOPPED:
        return _STOPPED[ran.ended_by]
    if ran.ended_by == "job_limit":
        return TurnOutcome(step=NextStep.ESCALATE, signal=SignalKind.AGENT_ABORTED, reason=ran.note)
    if ran.fault is not None:
        return TurnOutcome(step=NextStep.RETRY, signal=ran.fault, reason=ran.note or "no turn could be run")
    if ran.said_done and ran.ended_by in _OVERSTAYED:
        return _done(ran, f"the agent said that it was done, and was ended {_OVERSTAYED[ran.ended_by]}")
    if ran.ended_by in _LIMITS or not ran.clean:
        return _failed(ran)
    return _done(ran, "the agent ended cleanly")


def _failed(ran: Ran) -> TurnOutcome:
    exit_code = ran.result.exit_code
    words = _NOT_STARTED.get(exit_code or 0, f"the agent ended with exit code {exit_code}")
    exited = (SignalKind.AGENT_ERRORED, words)
    kind, reason = _LIMITS.get(ran.ended_by, exited)
    return TurnOutcome(
        step=NextStep.RETRY, signal=kind, reason=f"{reason} ({ran.note})" if ran.note else reason
    )


def _done(ran: Ran, how: str) -> TurnOutcome:
    """Its work is there to be judged, unless it awaits mail; `how` says how its turn ended."""
    if ran.awaits:
        return TurnOutcome(step=NextStep.AWAIT, signal=None, reason="its agent awaits mail")
    if not ran.has_repository:
        return TurnOutcome(step=NextStep.FINISHED, signal=SignalKind.FINISHED, reason=how)
    if ran.result.commit and ran.judged:
        reason = "CI is red, and the corrective turn committed nothing new"
        return TurnOutcome(step=NextStep.ESCALATE, signal=SignalKind.FROZEN, reason=reason)
    if ran.result.commit:
        pushed = f"pushed {ran.result.commit[:12]}"
        return TurnOutcome(
            step=NextStep.PUSHED, signal=None, reason=f"{how}; {pushed}" if ran.said_done else pushed
        )
    if not ran.expects_commit:
        reason = f"{how}; its role is not to commit"
        return TurnOutcome(step=NextStep.FINISHED, signal=SignalKind.FINISHED, reason=reason)
    reason = f"{how} but committed nothing"
    return TurnOutcome(step=NextStep.ESCALATE, signal=SignalKind.NOTHING_PUSHED, reason=reason)
