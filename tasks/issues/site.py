"""Where a job works: its forge, its repository and its issue. Pure.

Jobs that people enqueue may name a path or an address instead; those belong to no forge.
"""

from routing.errors import InvalidInputError
from routing.issues.issue import IssueRef
from routing.jobs.job import Job


def place_of(job: Job) -> tuple[str, str]:
    """The forge and the repository that a job works in, ('', '') when it works in none."""
    forge, _, repo = job.request.repository.partition(":")
    return (forge, repo) if repo else ("", "")


def issue_of(job: Job) -> IssueRef | None:
    """The issue that a job works on; None when it has none, or names something else."""
    try:
        return IssueRef.parse(job.request.issue) if job.request.issue else None
    except InvalidInputError:
        return None
