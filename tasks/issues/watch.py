"""Watching a run: a pure decision, one row of the table a call.

The table has a row for each state of the turn. A turn that runs is left alone: what it has pushed before is
being repaired, and its own limits end it.
"""

from dataclasses import dataclass
from enum import StrEnum

from routing.forges.commit_status import CiVerdict
from routing.printable import printable

#: The most of a check's own words that goes into a reason.
COMPLAINT_CHARACTERS = 300


class TurnState(StrEnum):
    """What is known of a run's newest turn."""

    RUNNING = "running"
    IDLE = "idle"  # it has ended, by itself
    ERROR = "error"  # it has ended badly, and is not tried again
    VANISHED = "vanished"  # its worker was lost
    UNKNOWN = "unknown"


class Action(StrEnum):
    """What is to be done with a run."""

    WAIT = "wait"
    CLOSE_SUCCESS = "close_success"
    FIX_FORWARD = "fix_forward"
    FREEZE_ESCALATE = "freeze_escalate"
    ESCALATE = "escalate"
    ESCALATE_PREPUSH = "escalate_prepush"
    REDISPATCH = "redispatch"


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchLimits:
    """What a run is allowed, by the settings."""

    fix_forwards: int = 5  # corrective turns
    fix_forward_seconds: float = 3600.0  # behind the first push, after which no corrective turn is begun
    no_verdict_seconds: float = 7200.0  # of silent CI, after which a person is asked
    redispatches: int = 1  # turns that take the place of one that vanished


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """What is known of a run."""

    turn: TurnState
    pushed: bool
    ci: CiVerdict  # of the pushed commit; not asked before there is one
    has_ci: bool = True  # whether anybody judges commits there
    judged: bool = False  # the pushed commit was judged red before
    fix_forwards: int = 0  # corrective turns that it has had
    redispatches: int = 0  # turns that have vanished and were begun anew
    elapsed_seconds: float = 0.0  # since the first push
    silent_seconds: float = 0.0  # since the newest push
    complaint: str = ""  # what the check says that made CI red


@dataclass(frozen=True, kw_only=True, slots=True)
class Watch:
    """An action and its reason in words."""

    action: Action
    reason: str


def watch(seen: Watched, limits: WatchLimits) -> Watch:
    """Decide. A state that is not known means wait: never close, never escalate."""
    if seen.turn in {TurnState.RUNNING, TurnState.UNKNOWN}:
        return Watch(action=Action.WAIT, reason=f"its turn is {seen.turn}")
    return _pushed(seen, limits) if seen.pushed else _unpushed(seen, limits)


def _unpushed(seen: Watched, limits: WatchLimits) -> Watch:
    if seen.turn is TurnState.VANISHED and seen.redispatches < limits.redispatches:
        return Watch(action=Action.REDISPATCH, reason="its worker was lost before it pushed anything")
    why = {
        TurnState.IDLE: "its turn ended without a push",
        TurnState.ERROR: "its turn failed before it pushed anything",
        TurnState.VANISHED: "its worker was lost, once more, before it pushed anything",
    }[seen.turn]
    return Watch(action=Action.ESCALATE_PREPUSH, reason=why)


def _pushed(seen: Watched, limits: WatchLimits) -> Watch:
    if not seen.has_ci:
        return Watch(action=Action.CLOSE_SUCCESS, reason="pushed; the forge runs no CI")
    if seen.ci is CiVerdict.GREEN:
        return Watch(action=Action.CLOSE_SUCCESS, reason="pushed, and CI is green")
    if seen.ci is CiVerdict.RED:
        return _red(seen, limits)
    if seen.silent_seconds >= limits.no_verdict_seconds:
        reason = f"CI gave no verdict within {limits.no_verdict_seconds:g} s"
        return Watch(action=Action.ESCALATE, reason=reason)
    return Watch(action=Action.WAIT, reason=f"CI is {seen.ci}")


def _red(seen: Watched, limits: WatchLimits) -> Watch:
    why = printable(f": {seen.complaint}" if seen.complaint else "")[:COMPLAINT_CHARACTERS]
    exhausted = _exhausted(seen, limits)
    if exhausted is None:
        return Watch(action=Action.FIX_FORWARD, reason=f"CI is red at the pushed commit{why}")
    end = f"; {exhausted}" if exhausted else ""
    return Watch(action=Action.FREEZE_ESCALATE, reason=f"CI is red at the pushed commit{why}{end}")


def _exhausted(seen: Watched, limits: WatchLimits) -> str | None:
    """Why there is no further corrective turn, '' when there never is one, None when there is."""
    if limits.fix_forwards == 0:
        return ""
    if seen.fix_forwards >= limits.fix_forwards:
        return f"it has had {seen.fix_forwards} of {limits.fix_forwards} corrective turns"
    if seen.elapsed_seconds >= limits.fix_forward_seconds:
        return f"{limits.fix_forward_seconds:g} s have passed since its first push"
    if seen.judged:
        return "that commit was judged before, and no newer one has come"
    return None
