"""Why issues are where they are: the gate that is shut, what their jobs wait for, or what was noted."""

from collections.abc import Sequence

from routing.backlog.item import BacklogItem, BacklogState
from routing.jobs.job import Job, JobState
from tasks.composition.composition import Coalmine


def read_reasons(parts: Coalmine, items: Sequence[BacklogItem]) -> list[str]:
    """The reason of each item, in their order; one round trip for all of their jobs.

    The budgets of the day, closed accounts and limits hold jobs, not issues: an issue in progress whose job
    waits for one of them says so.
    """
    named = [item.job for item in items if item.job and item.state is BacklogState.IN_PROGRESS]
    jobs = {job.id: job for job in parts.job_store.read_many(named) if job is not None} if named else {}
    return [_reason(item, jobs.get(item.job)) for item in items]


def _reason(item: BacklogItem, job: Job | None) -> str:
    if item.state is BacklogState.READY and item.refusal is not None:
        return f"{item.refusal.gate.value}: {item.refusal.reason}"
    if item.pausing:
        return item.pausing
    return (job.reason if job is not None and job.state is JobState.QUEUED else "") or item.reason
