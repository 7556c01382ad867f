"""Decisions about a job: it is ended, it is tried again, or its work is judged."""

from contextlib import closing

from routing.backlog.item import BacklogItem, BacklogState
from routing.errors import ConflictError
from routing.forges.errors import ForgeError
from routing.issues.issue import IssueRef
from routing.jobs.job import Job, JobState
from routing.jobs.signal import Signal, SignalKind
from tasks.composition.composition import Coalmine
from tasks.composition.forge_parts import ForgeParts
from tasks.issues.site import issue_of

#: The signal that each word of a thumb adds.
THUMBS = {"up": SignalKind.THUMB_UP, "down": SignalKind.THUMB_DOWN}

_REOPEN = "reopen the issue on its forge to have it worked on again"


def cancel_job(parts: Coalmine, job: str, *, by: str) -> tuple[Job, bool]:
    """End a job that is not finished; False beside it when somebody had decided that before."""
    before = parts.jobs.find(job)
    ended = parts.jobs.cancel(before.id, by=by, at=parts.signals.now())
    return ended, not before.cancel and before.state is not JobState.CANCELLED


def retry_job(parts: Coalmine, job: str, *, by: str) -> tuple[Job, str]:
    """Queue a job again that ended without success; returns it, and a note for the person, "" for none.

    ConflictError when its issue is finished, or when another job works on it.
    """
    note = _check_issue(parts, parts.jobs.find(job))
    return parts.jobs.retry(job, by=by), note


def thumb_job(parts: Coalmine, job: str, kind: SignalKind, *, by: str) -> bool:
    """Judge a job's work; False when its last thumb was the same, which is one decision with it."""
    found = parts.jobs.find(job)
    before = [fact.kind for fact in parts.signals.read(found.id) if fact.kind in THUMBS.values()]
    if before[-1:] == [kind]:
        return False
    at = parts.signals.now()
    # With the time in it the id is new: a person may change their mind more than once.
    parts.signals.add(found.id, [Signal(id=f"{kind}:{at:.6f}", kind=kind, at=at, note=f"by {by}")])
    return True


def _check_issue(parts: Coalmine, job: Job) -> str:
    """Raise ConflictError when the job's issue is finished, or when another job works on it.

    Returns a note for the person, "" for none: a forge that does not answer does not stop a retry. Nothing
    is written or locked here; `Jobs.retry` refuses a job whose issue another job has taken since.
    """
    ref = issue_of(job)
    if ref is None:
        return ""
    with closing(ForgeParts(coalmine=parts, run_ci=lambda _commit: None)) as forges:
        item = forges.backlog.known(ref)
        if item is not None:
            _refuse_taken(item, job)
        site = forges.sources.get(ref.forge)
        if site is None or site.config.kill_switch:
            return ""
        try:
            found = site.forge.read_issue(ref)
        except ForgeError as error:
            return f"it is not known whether {ref} is still open: {error}"
    if found.state == "closed":
        message = f"{ref} is closed; job {job.id} was not retried: {_REOPEN}"
        raise ConflictError(message)
    return ""


def _refuse_taken(item: BacklogItem, job: Job) -> None:
    """Raise ConflictError when the backlog has the issue as completed, or given to another job.

    The job itself may still hold its issue: that is the usual case of a retry, and is allowed.
    """
    if item.state is BacklogState.COMPLETED:
        message = f"{item.ref} is completed ({item.reason}); job {job.id} was not retried: {_REOPEN}"
        raise ConflictError(message)
    if item.state is BacklogState.IN_PROGRESS and item.job != job.id:
        message = f"{_whose(item.ref, item.job)}; job {job.id} was not retried"
        raise ConflictError(message)


def _whose(ref: IssueRef, job: str) -> str:
    """Which job has the issue; it is "" between taking the slot and enqueueing it."""
    if job:
        return f"{ref} is being worked on by job {job}; see `coalmine job show {job}`"
    return f"{ref} was just given to another job; see `coalmine issue show {ref}`"
