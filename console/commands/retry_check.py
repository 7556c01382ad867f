"""Whether a job's issue leaves it anything to do, looked at before a person queues the job again."""

from routing.backlog.item import BacklogItem, BacklogState
from routing.errors import ConflictError
from routing.forges.errors import ForgeError
from routing.issues.issue import IssueRef
from routing.jobs.job import Job
from tasks.composition.composition import Coalmine
from tasks.composition.forge_parts import ForgeParts
from tasks.issues.site import issue_of

_REOPEN = "reopen the issue on its forge to have it worked on again"


def check_issue(coalmine: Coalmine, job: Job) -> str:
    """Raise ConflictError when the job's issue is finished, or another job's.

    Returns what is to be noted: a forge that gives no answer does not keep anybody from retrying. Nothing is
    written, so a job that gets to work on the issue meanwhile is seen by `Jobs.retry` alone.
    """
    ref = issue_of(job)
    if ref is None:
        return ""
    forges = ForgeParts(coalmine=coalmine, run_ci=lambda _commit: None)
    item = forges.backlog.known(ref)
    if item is not None:
        _refuse_taken(item, job)
    site = forges.sites.get(ref.forge)
    if site is None or site.gates.kill_switch:
        return ""
    try:
        found = site.forge.read_issue(ref)
    except ForgeError as error:
        return f"whether {ref} is still open was not seen: {error}"
    if found.state == "closed":
        message = f"{ref} is closed; job {job.id} was not retried: {_REOPEN}"
        raise ConflictError(message)
    return ""


def _refuse_taken(item: BacklogItem, job: Job) -> None:
    if item.state is BacklogState.COMPLETED:
        message = f"{item.ref} is completed ({item.reason}); job {job.id} was not retried: {_REOPEN}"
        raise ConflictError(message)
    if item.state is BacklogState.IN_PROGRESS and item.job != job.id:
        message = f"{_whose(item.ref, item.job)}; job {job.id} was not retried"
        raise ConflictError(message)


def _whose(ref: IssueRef, job: str) -> str:
    if job:
        return f"{ref} is worked on by job {job}; see `coalmine job show {job}`"
    return f"{ref} was just given to another job; see `coalmine issue show {ref}`"
