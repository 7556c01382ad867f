"""What becomes of a job whose lease ran out: a pure decision."""

from routing.events import JOB_FINISHED, JOB_LEASE_EXPIRED
from routing.jobs.ending import NotRun
from routing.jobs.job import Job, JobState
from routing.jobs.retry import Attempts, GiveUp, retry
from routing.jobs.signal import SignalKind, signal
from routing.store.jobs.move import Move


def after_lost_worker(job: Job, *, at: float) -> Move:
    """The step behind a lost worker: the wish to cancel comes first, then the attempts that are left."""
    reason, kind = "its worker was lost", None
    to, event = JobState.QUEUED, JOB_LEASE_EXPIRED
    if job.cancel:
        to, event, reason, kind = JobState.CANCELLED, JOB_FINISHED, job.cancel, SignalKind.CANCELLED
    elif isinstance(given_up := retry(NotRun.WORKER_LOST, Attempts.of(job)), GiveUp):
        reason = f"{reason}; {given_up.reason}"
        to, event, kind = JobState.FAILED, JOB_FINISHED, SignalKind.MACHINE_LOST
    return Move(
        job=job.id,
        allowed=[JobState.RUNNING],
        to=to,
        event=event,
        fence=job.fence,  # what was decided holds for this lease alone
        reason=reason,
        kind=job.kind_again,
        signals=[signal(kind, at=at, note=reason)] if kind else [],
        expired=True,
        list_dead=to is JobState.FAILED,
    )


def unreadable(job_id: str, why: str) -> Move:
    """Nobody can work on a record that cannot be read; a person finds it among the dead letters."""
    return Move(
        job=job_id,
        allowed=[JobState.RUNNING],
        to=JobState.FAILED,
        event=JOB_FINISHED,
        reason=why[:500],
        expired=True,
        list_dead=True,
    )
