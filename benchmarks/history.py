"""What history costs: memory of finished jobs, ticks with so many stored, and memory with retention."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.finished_jobs import copy_newest, finish
from benchmarks.fleet import MeasuredFleet, measured_fleet
from benchmarks.work_done import WorkDone, used_bytes, work_done
from harvest.evidence.policy import TrialPolicy
from tasks.settings.settings import CanarySettings, JobSettings

#: New outcomes that each tick finds, and ticks of which the one in the middle counts.
NEW, TICKS = 200, 5

#: Seconds for which finished jobs are kept where retention is shown, and jobs of each round.
KEPT_SECONDS, ROUND_JOBS = 10, 300

#: Seconds between two rounds.
ROUND_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """A fleet with so many finished jobs."""

    jobs: int
    size: int  # bytes of all data in Redis
    harvest: WorkDone  # of a tick with NEW outcomes
    sweep: WorkDone  # of what the sweep does for jobs


def history(sizes: Sequence[int]) -> Iterator[Stored]:
    """One fleet that grows: what it takes with each number of finished jobs."""
    with measured_fleet() as site:
        _finish(site, jobs=NEW)
        site.coalmine.harvester.harvest()
        stored = NEW
        for size in sizes:
            copy_newest(site, first=stored, last=size, age_seconds=3_600.0)
            yield Stored(
                jobs=size, size=used_bytes(site),
                harvest=_middle([_harvest(site) for _ in range(TICKS)]),
                sweep=_middle([work_done(site, lambda: _sweep(site))[1] for _ in range(TICKS)]),
            )  # fmt: skip
            stored = size


def retained(rounds: int, *, keeps: bool) -> list[tuple[float, int]]:
    """Finish jobs for some rounds; seconds and bytes after each.

    `keeps`: they are kept for as long as by default; else for KEPT_SECONDS. What the stream of events takes
    is left out: it has a bound of its own.
    """
    # A day is the least that a person may set, so this is not checked as theirs is.
    days = {} if keeps else {"retention_days": KEPT_SECONDS / 86_400}
    job = JobSettings().model_copy(update=days)
    canary = CanarySettings(policy=TrialPolicy(settle_deadline_seconds=1.0, revert_window_seconds=0.0))
    with measured_fleet(job=job, canary=canary) as site:
        _finish(site, jobs=10)
        begun, found = time.monotonic(), []
        for number in range(rounds):
            _finish(site, jobs=ROUND_JOBS)
            site.coalmine.harvester.harvest()
            _sweep(site)
            time.sleep(max(0.0, begun + (number + 1) * ROUND_SECONDS - time.monotonic()))
            found.append((time.monotonic() - begun, used_bytes(site) - _events(site)))
    return found


def _finish(site: MeasuredFleet, *, jobs: int) -> None:
    """Take jobs to their end, and away their messages, which no worker takes here."""
    finish(site, jobs=jobs)
    redis, keys = site.coalmine.redis, site.coalmine.keys
    for key in redis.scan_iter(f"{keys('champion')}*", count=1000):
        redis.delete(key)


def _harvest(site: MeasuredFleet) -> WorkDone:
    _finish(site, jobs=NEW)
    settled, taken = work_done(site, lambda: site.coalmine.harvester.harvest().settled)
    assert settled == NEW, f"the tick settled {settled} jobs"
    return taken


def _sweep(site: MeasuredFleet) -> None:
    """What the sweep does for jobs."""
    parts = site.coalmine
    parts.ticks.beat()
    parts.jobs.reap(at=parts.now())
    parts.jobs.see_to_children(at=parts.now())
    parts.relay.relay()
    parts.job_store.trim(before=parts.now() - parts.settings.retention_seconds)


def _middle(found: Sequence[WorkDone]) -> WorkDone:
    return sorted(found, key=lambda each: each.both)[len(found) // 2]


def _events(site: MeasuredFleet) -> int:
    server: Any = site.coalmine.redis
    return int(server.memory_usage(site.coalmine.keys("events"), samples=0) or 0)
