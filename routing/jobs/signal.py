"""Signals: verifiable facts about a job, from which its score is computed.

Each is recorded once: the same fact, seen again, has the same id.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from routing.errors import CorruptRecordError

#: A time for a fact that becomes true with the step that records it: that puts the store's time in its place.
AT_STEP = 0.0


class SignalKind(StrEnum):
    """What can be known of a job. What each is worth is decided in `harvest/settling/score.py`."""

    CI_GREEN = "ci_green"  # real CI passed at the job's commit
    CI_RED = "ci_red"
    FROZEN = "frozen"  # CI red and no more repairs
    MERGED = "merged"
    PUSHED_TO_MAIN = "pushed_to_main"  # without a review flow
    REVERTED = "reverted"  # what landed was taken back, by content; again in a further `round`
    REAPPLIED = "reapplied"  # what was taken back is there again, as many times
    CLOSED_UNMERGED = "closed_unmerged"
    CHANGES_REQUESTED = "changes_requested"  # `round` says in which round of review
    HANDED_OVER = "handed_over"  # its first work went to the judge of its pair; `spent` until then
    JUDGED = "judged"  # the judge of a pair has scored that work: `value`; `round` is its place, from 1
    FINISHED = "finished"  # the agent ended cleanly on a job that has no repository
    AGENT_ERRORED = "agent_errored"
    AGENT_STALLED = "agent_stalled"
    AGENT_ABORTED = "agent_aborted"
    NOTHING_PUSHED = "nothing_pushed"
    REFUSED = "refused"  # the server did not take the work, and the agent did not repair it
    ESCALATED = "escalated"
    THUMB_UP = "thumb_up"
    THUMB_DOWN = "thumb_down"
    UNREACHABLE = "unreachable"  # the forge did not answer; not the agent's fault, like all below
    MAIN_RED = "main_red"  # the main branch fails in the same way
    CONFLICT = "conflict"  # others changed the same lines of its branch's target, once too often
    NO_VERDICT = "no_verdict"  # the forge answered all the time, and CI did not judge the work
    AUTHENTICATION = "authentication"
    QUOTA = "quota"
    FELL_BACK = "fell_back"  # it used another model than its version's, which the other arm may not
    MACHINE_LOST = "machine_lost"
    NOT_JUDGED = "not_judged"  # the judge of a pair could not be run
    SETUP = "setup"  # the repository takes nobody's work: archived, a protected or a taken branch name
    CANCELLED = "cancelled"  # by a person


class Signal(BaseModel):
    """One fact. Facts with the same id are one fact."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    v: Literal[1] = 1
    id: str  # `merged:4be1…`: the kind and what makes the fact one of its own
    kind: SignalKind
    at: float  # when it became true, seconds since the epoch; AT_STEP in a step that puts its own
    commit: str = ""
    round: int = 0  # of review, from 1; of reverts, from 0; place in the judge's order, from 1
    note: str = ""  # in words, for people
    value: float | None = None  # in [0,1], of what was judged; None for any other fact
    spent: Mapping[str, float] | None = None  # when it became true, by guardrail; None: nobody noted it
    overdue: bool = False  # whether the judge was ended at its time limit
    is_cause: bool = True  # of a pair that is left out: False where the other half, or neither, is why


def signal(kind: SignalKind, *, at: float, commit: str = "", round_: int = 0, note: str = "") -> Signal:
    """A fact whose id is its kind, its commit and its round."""
    parts = [kind.value, commit] + ([str(round_)] if round_ else [])
    return Signal(id=":".join(parts), kind=kind, at=at, commit=commit, round=round_, note=note[:500])


def judgement(
    *, at: float, commit: str, value: float | None, note: str, overdue: bool = False, place: int = 0,
    is_cause: bool = True,
) -> Signal:  # fmt: skip
    """What the judge of a pair says: a score in [0,1], or None when it could not be run. Once a job.

    `place` in the order in which the pair was judged, from 1; 0 where nobody drew one. `is_cause`: whether
    this half is why there is no score.
    """
    kind = SignalKind.NOT_JUDGED if value is None else SignalKind.JUDGED
    return Signal(
        id="judgement", kind=kind, at=at, commit=commit, round=place, note=note[:500], value=value,
        overdue=overdue, is_cause=is_cause,
    )  # fmt: skip


def handed_over(*, at: float, commit: str) -> Signal:
    """A job's first work went to the judge of its pair. Once a job."""
    return Signal(id="handed_over", kind=SignalKind.HANDED_OVER, at=at, commit=commit)


def parsed_signal(text: str) -> Signal:
    """A stored signal, or CorruptRecordError."""
    try:
        return Signal.model_validate_json(text)
    except ValidationError as error:
        message = f"a stored signal cannot be read: {text[:80]!r}"
        raise CorruptRecordError(message) from error
