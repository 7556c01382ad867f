"""A job with its signals, and what its turn has cost so far."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from console.details.job_timeline import Moment, timeline_of
from console.output.cost_views import cost_document
from console.output.job_views import job_document, signal_document
from console.output.rendering import iso
from routing.cost import Cost
from routing.jobs.job import Job, JobState
from routing.jobs.signal import Signal
from routing.store.jobs.log_store import LogLine
from tasks.composition.composition import Coalmine


@dataclass(frozen=True, kw_only=True, slots=True)
class JobDetail:
    """One job as it is now."""

    job: Job
    signals: Sequence[Signal]  # oldest first
    timeline: Sequence[Moment]  # what happened, oldest first
    spending: Cost | None  # of a turn that runs, None where nobody said or none runs

    def document(self) -> dict[str, Any]:
        """For scripts."""
        return job_document(self.job) | {
            "signals": [signal_document(fact) for fact in self.signals],
            "timeline": [each.document() for each in self.timeline],
            "spending": None if self.spending is None else cost_document(self.spending),
        }


def read_job(parts: Coalmine, job: str) -> JobDetail:
    """Read it by its id; UnknownJobError for one that does not exist, or no longer."""
    found = parts.jobs.find(job)
    spending = None
    if found.state is JobState.RUNNING:
        (spending,) = parts.log_store.spending([(found.id, found.fence)])
    facts = parts.signals.read(found.id)
    timeline = timeline_of(found, facts, now=parts.now())
    return JobDetail(job=found, signals=facts, timeline=timeline, spending=spending)


def log_document(line: LogLine) -> dict[str, Any]:
    """An entry of a job's log for scripts."""
    return {"at": iso(int(line.id.partition("-")[0]) / 1000), "kind": line.kind, "text": line.text}
