"""A harvest tick with 1,000 new outcomes: the same work whether few jobs are stored or a million."""

import statistics
import time

from benchmarks.fleet import TEMPLATE, MeasuredFleet, measured_fleet, ratio, request
from benchmarks.results import Row, row
from harvest.evidence.policy import TrialPolicy
from routing.jobs.ending import Ending
from routing.jobs.job import JobResult, JobState
from routing.jobs.lifecycle import Claim
from routing.jobs.signal import SignalKind, signal
from routing.templates.version import Snapshot

NAME = "harvest_tick"

#: Passes, of which the median counts.
PASSES = 5

#: New outcomes that a tick finds.
NEW = 1000

#: Old jobs on the two fleets, and records written in one round trip.
FEW = 1000
MANY, MANY_QUICKLY = 1_000_000, 50_000
CHUNK = 2000


def rows(*, quick: bool) -> list[Row]:
    """Seconds a tick on a measured_fleet with many old jobs, against one with few."""
    many = MANY_QUICKLY if quick else MANY
    with measured_fleet() as light, measured_fleet() as heavy:
        for site, jobs in ((light, FEW), (heavy, many)):
            _grow(site, jobs)
            _open_trial(site)
        passes = [(_tick(heavy), _tick(light)) for _ in range(PASSES)]
    ours, reference = (list(column) for column in zip(*passes, strict=True))
    slower = ratio(reference, ours)
    name = f"harvest tick, {NEW:,} new outcomes"
    return [
        row(
            f"{name}, on {many:,} old jobs", statistics.median(ours),
            unit="s", baseline=statistics.median(reference),
        ),
        row(f"{name}: {many:,} old jobs against {FEW:,}", slower, unit="times", target=1.2),
    ]  # fmt: skip


def _grow(site: MeasuredFleet, jobs: int) -> None:
    """Store settled jobs: one that was really worked, and copies of its record under other ids."""
    parts, keys, redis = site.coalmine, site.coalmine.keys, site.coalmine.redis
    _work(site, jobs=1)
    parts.harvester.harvest()
    worked = parts.job_store.newest(1)[0]
    created_at = parts.now() - 3600.0
    for start in range(0, jobs, CHUNK):
        ids = [f"{number:016x}" for number in range(start, min(jobs, start + CHUNK))]
        pipeline = redis.pipeline(transaction=False)
        for job in ids:
            pipeline.copy(keys.job(worked), keys.job(job))
            pipeline.copy(keys.signals(worked), keys.signals(job))
        pipeline.zadd(keys("jobs"), dict.fromkeys(ids, created_at))
        pipeline.execute()


def _open_trial(site: MeasuredFleet) -> None:
    """Open a trial that asks for more evidence than it will see, so that every tick does the same."""
    parts = site.coalmine
    policy = TrialPolicy(alpha=1e-200, beta=1e-200, max_canary_jobs=1_000_000, share=0.5)
    canary = parts.templates.propose(TEMPLATE, Snapshot(command="true", prompt="better")).version
    parts.proposals.open(canary, policy, by="the benchmark")


def _tick(site: MeasuredFleet) -> float:
    """Seconds of a tick after new outcomes."""
    _work(site, jobs=NEW)
    harvest = site.coalmine.harvester.harvest
    started = time.perf_counter()
    settled = harvest().settled
    taken = time.perf_counter() - started
    assert settled == NEW, f"the tick settled {settled} jobs"
    return taken


def _work(site: MeasuredFleet, *, jobs: int) -> None:
    """Take jobs to their end, but for messages."""
    parts = site.coalmine
    for done in parts.mailbox.enqueue_many([request(number) for number in range(jobs)]):
        claim = parts.jobs.claim(done.job, worker="w1@bench", lease_seconds=60.0)
        assert isinstance(claim, Claim), claim
        facts = [signal(SignalKind.FINISHED, at=parts.now())]
        result = JobResult(exit_code=0, ended_by=Ending.RESULT)
        parts.jobs.end(claim, JobState.SUCCEEDED, reason="done", result=result, signals=facts)
