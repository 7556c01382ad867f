"""Queues and the processes of the fleet, as they are now: what waits, who takes it, who runs what."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from console.output.rendering import iso
from routing.errors import UnavailableError
from routing.jobs.job import Job, JobState
from routing.store.fleet.clock_store import ClockReport
from tasks.broker import QUEUES
from tasks.composition.composition import Coalmine

#: Queued jobs that are looked at, those that wait longest first.
MOST_QUEUED = 1_000

#: What the name of a process of beat begins with.
BEAT = "beat@"


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueLine:
    """A queue of the broker."""

    name: str
    messages: int | None  # that wait there; None: the broker did not say
    jobs: int  # that wait for a worker of it, of the first MOST_QUEUED
    oldest_at: float | None  # when the oldest of them was made
    workers: int  # that take from it and say so
    is_unserved: bool  # something waits, and nobody takes it


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessLine:
    """A worker, or beat, that gave a sign of life in the last minutes, or that has a job."""

    name: str
    report: ClockReport | None  # None: it gave none of late
    jobs: Sequence[Job]  # that it works on, the longest first

    @property
    def is_beat(self) -> bool:
        """Whether it sends ticks and takes nothing."""
        return self.name.startswith(BEAT)


@dataclass(frozen=True, kw_only=True, slots=True)
class FleetLines:
    """All of it."""

    at: float
    queues: Sequence[QueueLine]
    processes: Sequence[ProcessLine]

    @property
    def versions(self) -> list[str]:
        """The versions of Coalmine that processes say they run."""
        return sorted({each.report.version for each in self.processes if each.report and each.report.version})

    def document(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "at": iso(self.at),
            "queues": [_queue_document(each) for each in self.queues],
            "processes": [_process_document(each) for each in self.processes],
            "versions": self.versions,
        }


def read_fleet_lines(parts: Coalmine) -> FleetLines:
    """A few round trips. A broker that does not answer hides nothing of what the store knows."""
    reports = parts.clocks.reports()
    return FleetLines(
        at=parts.job_store.now(), queues=_queues(parts, reports), processes=_processes(parts, reports)
    )


def read_queues(parts: Coalmine) -> list[QueueLine]:
    """The queues alone; nothing of a job is read but where it waits, and since when."""
    return _queues(parts, parts.clocks.reports())


def _queues(parts: Coalmine, reports: Sequence[ClockReport]) -> list[QueueLine]:
    store, depths = parts.job_store, _depths(parts)
    waiting: defaultdict[str, list[float]] = defaultdict(list)
    for job in store.waits(store.queued(MOST_QUEUED)):
        waiting[job.queue].append(job.created_at)
    return [_queue(name, depths.get(name), waiting[name], reports) for name in QUEUES]


def _depths(parts: Coalmine) -> dict[str, int]:
    """Messages by queue; none where the broker does not say."""
    try:
        return parts.publisher.depths(QUEUES)
    except UnavailableError:
        return {}


def _queue(
    name: str, messages: int | None, waiting: Sequence[float], reports: Sequence[ClockReport]
) -> QueueLine:
    taking = [report for report in reports if name in report.queues]
    # A worker of an earlier release does not say what it takes from.
    unknown = any(not report.queues and not report.process.startswith(BEAT) for report in reports)
    return QueueLine(
        name=name,
        messages=messages,
        jobs=len(waiting),
        oldest_at=min(waiting, default=None),
        workers=len(taking),
        is_unserved=bool(waiting or messages) and not taking and not unknown,
    )


def _processes(parts: Coalmine, reports: Sequence[ClockReport]) -> list[ProcessLine]:
    working = _working(parts)
    by_name = {report.process: report for report in reports}
    return [
        ProcessLine(name=name, report=by_name.get(name), jobs=working.get(name, ()))
        for name in sorted({*by_name, *working})
    ]


def _working(parts: Coalmine) -> Mapping[str, Sequence[Job]]:
    store, found = parts.job_store, defaultdict[str, list[Job]](list)
    for job in store.read_many(store.running()):
        if job is not None and job.state is JobState.RUNNING and job.worker:
            found[job.worker].append(job)
    for jobs in found.values():
        jobs.sort(key=lambda job: job.claimed_at or job.created_at)
    return found


def _queue_document(line: QueueLine) -> dict[str, Any]:
    return {
        "queue": line.name,
        "messages": line.messages,
        "jobs": line.jobs,
        "oldest_at": iso(line.oldest_at),
        "workers": line.workers,
        "unserved": line.is_unserved,
    }


def _process_document(line: ProcessLine) -> dict[str, Any]:
    report = line.report
    return {
        "process": line.name,
        "version": report.version or None if report else None,
        "queues": list(report.queues) if report else [],
        "clock_ahead_seconds": report.ahead_seconds if report else None,
        "jobs": [job.id for job in line.jobs],
    }
