"""Watching a pushed commit: a pure decision."""

from dataclasses import dataclass
from enum import StrEnum

from routing.commit_status import CiVerdict
from tasks.agents.printable import printable

#: The most of a check's own words that goes into a reason.
COMPLAINT_CHARACTERS = 300


class Action(StrEnum):
    """What is to be done with a job whose work is pushed."""

    WAIT = "wait"
    CLOSE_SUCCESS = "close_success"
    FREEZE_ESCALATE = "freeze_escalate"
    ESCALATE = "escalate"


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """What is known of a pushed commit."""

    ci: CiVerdict
    has_ci: bool  # whether the forge runs CI at all
    elapsed_seconds: float  # since the push
    no_verdict_seconds: float  # after which silence is handed to a person
    complaint: str = ""  # what the check says that made CI red


@dataclass(frozen=True, kw_only=True, slots=True)
class Watch:
    """An action and its reason in words."""

    action: Action
    reason: str


def watch(seen: Watched) -> Watch:
    """Decide. A state that is not known means wait: never close, and escalate only when it lasts."""
    if not seen.has_ci:
        return Watch(action=Action.CLOSE_SUCCESS, reason="pushed; the forge runs no CI")
    if seen.ci is CiVerdict.GREEN:
        return Watch(action=Action.CLOSE_SUCCESS, reason="pushed, and CI is green")
    if seen.ci is CiVerdict.RED:
        why = printable(f": {seen.complaint}" if seen.complaint else "")[:COMPLAINT_CHARACTERS]
        return Watch(action=Action.FREEZE_ESCALATE, reason=f"CI is red at the pushed commit{why}")
    if seen.elapsed_seconds >= seen.no_verdict_seconds:
        return Watch(
            action=Action.ESCALATE, reason=f"CI gave no verdict within {seen.no_verdict_seconds:g} s"
        )
    return Watch(action=Action.WAIT, reason=f"CI is {seen.ci}")
