"""A page of the list of jobs: which are asked for, and where the next one begins."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from routing.jobs.job import Job, JobState
from routing.store.jobs.job_store import JobStore
from routing.store.jobs.reader import JobKind

#: Jobs that one page looks at, however few of them are asked for.
LOOKED_AT = 2_000

#: Jobs that are looked at in one round trip.
_LOOKED_AT_ONCE = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class JobFilter:
    """Which jobs are asked for; each part that is empty asks for nothing."""

    states: frozenset[JobState] = frozenset()
    template: str = ""
    parent: str = ""

    @property
    def takes_all(self) -> bool:
        """Whether it asks for nothing."""
        return not (self.states or self.template or self.parent)

    def takes(self, job: Job) -> bool:
        """Whether a job is among them."""
        return self.takes_kind(JobKind(job.state, job.template, job.parent))

    def takes_kind(self, kind: JobKind) -> bool:
        """Whether a job of that kind is among them."""
        return (
            (not self.states or kind.state in self.states)
            and (not self.template or kind.template == self.template)
            and (not self.parent or kind.parent == self.parent)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class JobPage:
    """Jobs, the newest first. There may be none although more follow: those looked at were of other kinds."""

    jobs: Sequence[Job]
    next: str  # the id after which the next page begins; "" where no more jobs follow


def listed(
    jobs: JobStore, start: int, only: JobFilter, *, at_once: int = _LOOKED_AT_ONCE
) -> Iterator[tuple[str, Job | None]]:
    """Each id, with its record where it is asked for and can be read; as far as the caller asks.

    Of jobs that are not asked for only the fields are read that say so.
    """
    while ids := jobs.newest(at_once, start):
        wanted = ids
        if not only.takes_all:
            wanted = [job for job, kind in zip(ids, jobs.kinds(ids), strict=True) if only.takes_kind(kind)]
        found = dict(zip(wanted, jobs.read_many(wanted), strict=True))
        for each in ids:
            job = found.get(each)
            yield each, job if job is not None and only.takes(job) else None
        start += len(ids)


def read_page(
    jobs: JobStore, start: int, *, most: int, only: JobFilter, looked_at: int = LOOKED_AT
) -> JobPage:
    """At most so many jobs of a kind, from a place on, among the next `looked_at` of all."""
    found: list[Job] = []
    last = ""
    at_once = most + 1 if only.takes_all else _LOOKED_AT_ONCE
    for place, (identifier, job) in enumerate(listed(jobs, start, only, at_once=at_once)):
        if len(found) == most or place == looked_at:
            return JobPage(jobs=found, next=last)
        last = identifier
        if job is not None:
            found.append(job)
    return JobPage(jobs=found, next="")
