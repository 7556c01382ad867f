"""Fixing forward: a pushed commit is red, and the same agent gets another turn to repair its branch."""

from dataclasses import replace

from routing.events import JOB_FIX_FORWARD
from routing.jobs.job import Job, JobResult, JobState
from routing.jobs.repair import MOST_JUDGED, Repair
from routing.jobs.signal import SignalKind, signal
from routing.jobs.turn_kind import TurnKind
from routing.store.jobs.move import Move


def corrective_turn(job: Job, repair: Repair, *, reason: str, most: int, at: float) -> Move:
    """The step that queues a waiting job for a corrective turn, one of at most `most`.

    Attempts begin anew for the turn; version, arm, trial and draw stay. Whether there is to be one is
    decided by `tasks.issues.watch`; the fence keeps two watchers from sending a job back twice.
    """
    number = job.fix_forwards + 1
    return Move(
        job=job.id,
        allowed=[JobState.WAITING],
        to=JobState.QUEUED,
        event=JOB_FIX_FORWARD,
        fence=job.fence,
        reason=reason,
        kind=TurnKind.FIX_FORWARD,
        repair=repair,
        judged=(*job.judged, repair.commit)[-MOST_JUDGED:],
        signals=[signal(SignalKind.CI_RED, at=at, commit=repair.commit, note=", ".join(repair.checks))],
        corrective=True,
        data={"commit": repair.commit, "attempt": number, "most": most, "checks": list(repair.checks)},
    )


def still_pushed(job: Job, result: JobResult) -> JobResult:
    """The result of a corrective turn; one that pushed nothing takes no earlier push away."""
    if job.repair is None or result.commit:
        return result
    return replace(result, commit=job.repair.commit, branch=job.branch)
