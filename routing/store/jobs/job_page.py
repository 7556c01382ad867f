"""A page of the list of jobs: which are asked for, and where the next one begins."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from routing.jobs.job import Job, JobState
from routing.store.jobs.job_store import JobStore

#: Jobs that one page looks at, however few of them are asked for.
LOOKED_AT = 2_000

#: Jobs that are read in one round trip.
_READ_AT_ONCE = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class JobFilter:
    """Which jobs are asked for; each part that is empty asks for nothing."""

    states: frozenset[JobState] = frozenset()
    template: str = ""
    parent: str = ""

    def takes(self, job: Job) -> bool:
        """Whether a job is among them."""
        return (
            (not self.states or job.state in self.states)
            and (not self.template or job.template == self.template)
            and (not self.parent or job.parent == self.parent)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class JobPage:
    """Jobs, the newest first. There may be none although more follow: those looked at were of other kinds."""

    jobs: Sequence[Job]
    next: str  # the id after which the next page begins; "" where no more jobs follow


def listed(jobs: JobStore, start: int) -> Iterator[tuple[str, Job | None]]:
    """Each id with its record, None for one that has expired or cannot be read; as far as the caller asks."""
    while ids := jobs.newest(_READ_AT_ONCE, start):
        yield from zip(ids, jobs.read_many(ids), strict=True)
        start += len(ids)


def read_page(
    jobs: JobStore, start: int, *, most: int, only: JobFilter, looked_at: int = LOOKED_AT
) -> JobPage:
    """At most so many jobs of a kind, from a place on, among the next `looked_at` of all."""
    found: list[Job] = []
    last = ""
    for place, (identifier, job) in enumerate(listed(jobs, start)):
        if len(found) == most or place == looked_at:
            return JobPage(jobs=found, next=last)
        last = identifier
        if job is not None and only.takes(job):
            found.append(job)
    return JobPage(jobs=found, next="")
