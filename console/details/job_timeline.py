"""What happened to a job, in the order of time: its turns, what CI and people said, how it ended. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from console.output.rendering import duration, iso
from routing.jobs.job import Job, JobState
from routing.jobs.signal import Signal, SignalKind
from routing.jobs.turn import EndedTurn


class MomentKind(StrEnum):
    """Whose moment it is: one row of the picture each."""

    JOB = "job"
    TURN = "turn"
    CI = "CI"
    REVIEW = "review"
    MERGE = "merge"


#: Signals that have a row of their own; all others are the job's.
_ROWS = {
    SignalKind.CI_GREEN: MomentKind.CI,
    SignalKind.CI_RED: MomentKind.CI,
    SignalKind.MAIN_RED: MomentKind.CI,
    SignalKind.FROZEN: MomentKind.CI,
    SignalKind.NO_VERDICT: MomentKind.CI,
    SignalKind.CHANGES_REQUESTED: MomentKind.REVIEW,
    SignalKind.THUMB_UP: MomentKind.REVIEW,
    SignalKind.THUMB_DOWN: MomentKind.REVIEW,
    SignalKind.JUDGED: MomentKind.REVIEW,
    SignalKind.NOT_JUDGED: MomentKind.REVIEW,
    SignalKind.MERGED: MomentKind.MERGE,
    SignalKind.PUSHED_TO_MAIN: MomentKind.MERGE,
    SignalKind.REVERTED: MomentKind.MERGE,
    SignalKind.REAPPLIED: MomentKind.MERGE,
    SignalKind.CLOSED_UNMERGED: MomentKind.MERGE,
    SignalKind.CONFLICT: MomentKind.MERGE,
}

#: Signals that speak for the work; whether others speak against it is the score's to say.
GOOD = frozenset(
    {
        SignalKind.CI_GREEN, SignalKind.MERGED, SignalKind.PUSHED_TO_MAIN, SignalKind.REAPPLIED,
        SignalKind.FINISHED, SignalKind.THUMB_UP,
    }
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """Something that happened; a turn lasts, all else is at one time."""

    at: float  # when it began, seconds since the epoch
    kind: MomentKind
    said: str  # in words
    good: bool = True  # False: it speaks against the work, or is not yet known to speak for it
    turn: EndedTurn | None = None
    until: float | None = None  # when a turn ended, or that it runs now; None: it does not last
    note: str = ""  # in words of others

    def document(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "at": iso(self.at),
            "kind": self.kind.value,
            "said": self.said,
            "seconds": None if self.turn is None else round(self.turn.seconds, 3),
            "usd": None if self.turn is None else self.turn.known_usd,
            "note": self.note,
        }


def timeline_of(job: Job, signals: Sequence[Signal], *, now: float) -> list[Moment]:
    """All of it, oldest first. Turns that an earlier release ran are not in it."""
    moments = [*_of_job(job), *_turns(job, now), *(_fact(each) for each in signals)]
    return sorted(moments, key=lambda moment: (moment.at, moment.until or moment.at))


def _of_job(job: Job) -> Iterator[Moment]:
    arm = f", for the {job.arm.value}" if job.arm else ""
    yield Moment(at=job.created_at, kind=MomentKind.JOB, said=f"accepted for {job.version_id}{arm}")
    if job.begun_at is not None:
        waited = duration(job.begun_at - job.created_at, units=1)
        yield Moment(at=job.begun_at, kind=MomentKind.JOB, said=f"a worker took it after {waited}")
    if job.pushed_at is not None:
        yield Moment(
            at=job.pushed_at,
            kind=MomentKind.JOB,
            said="pushed, and its CI is watched",
            note=job.result.commit,
        )
    if job.finished_at is not None:
        yield Moment(
            at=job.finished_at, kind=MomentKind.JOB, said=f"ended: {job.state.value}", note=job.reason,
            good=job.state is JobState.SUCCEEDED,
        )  # fmt: skip
    if job.settled_at is not None:
        worth = "left out" if job.excluded else f"scored {job.score:.2f}"
        yield Moment(at=job.settled_at, kind=MomentKind.JOB, said=worth, note=job.score_reason)


def _turns(job: Job, now: float) -> Iterator[Moment]:
    for turn in job.ended_turns:
        words = turn.kind.replace("_", " ").replace("limit.lifted", "after a limit")
        yield Moment(
            at=turn.began_at,
            kind=MomentKind.TURN,
            said=f"turn {turn.number}: {words}",
            turn=turn,
            until=turn.at,
        )
    if job.state is JobState.RUNNING and job.claimed_at is not None:
        began = max([job.claimed_at, *(turn.at for turn in job.ended_turns)])
        yield Moment(at=began, kind=MomentKind.TURN, said="its agent is at work", until=now)


def _fact(signal: Signal) -> Moment:
    words = signal.kind.value.replace("_", " ").replace("ci ", "CI ")
    good = signal.kind in GOOD or (signal.kind is SignalKind.JUDGED and bool(signal.value))
    return Moment(
        at=signal.at, kind=_ROWS.get(signal.kind, MomentKind.JOB), said=words, good=good,
        note=" ".join(filter(None, [signal.commit[:12], signal.note])),
    )  # fmt: skip
