"""Steps of jobs that need a decision: each function says which `Move` follows from a job as it was read.

Pure: the caller gives the time, and carries the step out. A step carries the fence that was read, so that it
is refused when somebody else moved the job meanwhile. Whether a job is tried again is decided by `retry`.
"""

from dataclasses import replace

from routing.events import JOB_FINISHED, JOB_LEASE_EXPIRED
from routing.jobs.ending import NotRun
from routing.jobs.job import Job, JobResult, JobState
from routing.jobs.retry import UNCOUNTED, Again, Attempts, GiveUp, retry
from routing.jobs.signal import SignalKind, signal
from routing.store.jobs.move import Move

#: Characters of an agent's last words that are kept for reviewers.
REVIEW_SAID_CHARACTERS = 1500


def still_pushed(job: Job, result: JobResult) -> JobResult:
    """The result of a corrective turn; one that pushed nothing takes no earlier push away."""
    if job.repair is None or result.commit:
        return result
    return replace(result, commit=job.repair.commit, branch=job.branch)


def review_ended(job: Job, result: JobResult) -> tuple[str, str]:
    """The commit at which a turn for a review ended, and its agent's words where it made none.

    ("", "") for any other turn. It is noted once: later turns, and updates of the branch, make commits, too.
    """
    if not job.reviewed_commit or job.review_end:
        return "", ""
    end = still_pushed(job, result).commit
    return end, result.tail[-REVIEW_SAID_CHARACTERS:] if end == job.reviewed_commit else ""


def after_lost_worker(job: Job, *, at: float) -> Move:
    """The step after a worker was lost: a wish to cancel comes first, then the attempts that are left.

    A finished turn stays, to be delivered by the next worker, which does not count as an attempt.
    """
    reason, kind = "its worker was lost", None
    to, event = JobState.QUEUED, JOB_LEASE_EXPIRED
    decided = UNCOUNTED if job.finished else retry(NotRun.WORKER_LOST, Attempts.of(job))
    if job.cancel:
        to, event, reason = job.cancel_to, JOB_FINISHED, job.cancel
        kind = SignalKind.CANCELLED if to is JobState.CANCELLED else None
    elif isinstance(decided, GiveUp):
        reason = f"{reason}; {decided.reason}"
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
        refund=to is JobState.QUEUED and isinstance(decided, Again) and not decided.counts,
        expired=True,
        cuts_short=to is JobState.QUEUED,
        list_dead=to is JobState.FAILED,
        keeps_turn=to in {JobState.QUEUED, JobState.CANCELLED},
    )


def unreadable(job_id: str, why: str) -> Move:
    """The end of a job whose record cannot be read: a person finds it among the dead letters."""
    return Move(
        job=job_id,
        allowed=[JobState.RUNNING],
        to=JobState.FAILED,
        event=JOB_FINISHED,
        reason=why[:500],
        expired=True,
        list_dead=True,
    )
