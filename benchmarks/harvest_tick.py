"""A harvest tick with 1,000 new outcomes: the same work whether few jobs are stored or a million."""

import statistics
import time

from benchmarks.finished_jobs import copy_newest, finish
from benchmarks.fleet import TEMPLATE, MeasuredFleet, measured_fleet, ratio
from benchmarks.results import Row, row
from harvest.evidence.policy import TrialPolicy
from routing.templates.version import Snapshot

NAME = "harvest_tick"

#: Passes, of which the median counts.
PASSES = 5

#: New outcomes that a tick finds.
NEW = 1000

#: Old jobs on the two fleets.
FEW = 1000
MANY, MANY_QUICKLY = 1_000_000, 50_000


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
    finish(site, jobs=1)
    site.coalmine.harvester.harvest()
    copy_newest(site, first=0, last=jobs, age_seconds=3_600.0)


def _open_trial(site: MeasuredFleet) -> None:
    """Open a trial that asks for more evidence than it will see, so that every tick does the same."""
    parts = site.coalmine
    policy = TrialPolicy(alpha=1e-200, beta=1e-200, max_canary_jobs=1_000_000, share=0.5)
    canary = parts.templates.propose(TEMPLATE, Snapshot(command="true", prompt="better")).version
    parts.proposals.open(canary, policy, by="the benchmark")


def _tick(site: MeasuredFleet) -> float:
    """Seconds of a tick after new outcomes."""
    finish(site, jobs=NEW)
    harvest = site.coalmine.harvester.harvest
    started = time.perf_counter()
    settled = harvest().settled
    taken = time.perf_counter() - started
    assert settled == NEW, f"the tick settled {settled} jobs"
    return taken
