"""Trials whose outcomes come late, at a speed that depends on the arm and on the outcome.

A whole path of MAX_JOBS jobs is laid out at once. What counts at a moment then follows from the paths:
jobs dispatched by then, with the scores that arrived by then, the others at their worst. The evidence
never falls, so the moment of the verdict is found by bisection.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.simulation import (
    DRAW_WEIGHTS,
    GRADUATE,
    HOLD,
    LN_THRESHOLD,
    MAX_JOBS,
    OPEN,
    ROLL_BACK,
    Bools,
    Cell,
    Floats,
    Ints,
    SimulatedTrial,
    factor_table,
    ln_mixture,
    rounded_baseline,
    table_row,
)

#: Mean delays in jobs.
SLOW, FAST = 80.0, 10.0
_BATCH = 100  # runs laid out together
_HORIZONS = (1_000, 2_500, MAX_JOBS)  # most runs are decided early, so the whole is looked at last


@dataclass(frozen=True, kw_only=True, slots=True)
class Paths:
    """Runs laid out; arrays by [run, job in dispatch order]."""

    arms: Bools  # True is canary
    scores: Bools
    arrival: Ints  # jobs dispatched when the score arrives; its own successor at the earliest
    hundredths: Ints  # the frozen baseline

    def part(self, runs: Ints, jobs: int) -> "Paths":
        """The first jobs of some of the runs."""
        return Paths(
            arms=self.arms[runs, :jobs],
            scores=self.scores[runs, :jobs],
            arrival=self.arrival[runs, :jobs],
            hundredths=self.hundredths[runs, :jobs],
        )

    def rows(self, column: Bools | int) -> Ints:
        """Rows of the factor table."""
        return table_row(self.arms, self.hundredths, column)


def paths(cell: Cell, *, runs: int, seed: int) -> Iterator[Paths]:
    """Lay out the runs, batch by batch."""
    generator = np.random.default_rng(seed)
    for start in range(0, runs, _BATCH):
        shape = (min(_BATCH, runs - start), MAX_JOBS)
        arms = generator.random(shape) < cell.share
        scores = generator.random(shape) < np.where(arms, cell.canary, cell.champion)
        delay = generator.standard_exponential(shape) * np.where(arms & scores, SLOW, FAST)
        arrival = np.arange(1, MAX_JOBS + 1) + delay.astype(np.int64)
        settled = _arrived(arrival, ~arms)
        total = _arrived(arrival, ~arms & scores)
        yield Paths(arms=arms, scores=scores, arrival=arrival, hundredths=rounded_baseline(total, settled))


def _arrived(arrival: Ints, counted: Bools) -> Floats:
    """By [run, job]: how many of the counted jobs had their score when this one was dispatched."""
    runs, jobs = arrival.shape
    run, job = np.nonzero(counted & (arrival < jobs))
    arrivals = np.bincount(run * jobs + arrival[run, job], minlength=runs * jobs)
    arrived: Floats = arrivals.reshape(runs, jobs).cumsum(axis=1).astype(np.float64)
    return arrived


def simulate(cell: Cell, *, runs: int, seed: int) -> SimulatedTrial:
    """Verdicts as the trial would have reached them, with every open job at its worst."""
    table = factor_table(cell.share)
    parts = [_decide(batch, table) for batch in paths(cell, runs=runs, seed=seed)]
    return SimulatedTrial(
        verdict=np.concatenate([part.verdict for part in parts]),
        jobs=np.concatenate([part.jobs for part in parts]),
        canary_jobs=np.concatenate([part.canary_jobs for part in parts]),
    )


def _decide(batch: Paths, table: Floats) -> SimulatedTrial:
    runs = len(batch.arms)
    halves = [np.ascontiguousarray(table[:, :3]), np.ascontiguousarray(table[:, 3:])]
    moments = np.full((2, runs), MAX_JOBS + 1)
    for horizon in _HORIZONS:
        undecided = np.flatnonzero(moments.min(axis=0) > MAX_JOBS)
        part = batch.part(undecided, horizon)
        for null, half in enumerate(halves):
            final = half.take(part.rows(part.scores), axis=0)
            worst = half.take(part.rows(OPEN), axis=0)
            moments[null, undecided] = moments_of_verdict(final, worst, part.arrival)
    jobs = np.minimum(moments.min(axis=0), MAX_JOBS)
    verdict = np.where(moments[0] <= moments[1], ROLL_BACK, GRADUATE)
    verdict[moments.min(axis=0) > MAX_JOBS] = HOLD
    dispatched = batch.arms.cumsum(axis=1)
    return SimulatedTrial(verdict=verdict, jobs=jobs, canary_jobs=dispatched[np.arange(runs), jobs - 1])


def moments_of_verdict(final: Floats, worst: Floats, arrival: Ints, weights: Floats = DRAW_WEIGHTS) -> Ints:
    """For each run the dispatched jobs at which the evidence is enough; MAX_JOBS + 1 when not in these.

    `final` and `worst` are ln factors by [run, job, alternative], of the score and of an open job. `weights`
    are those of the alternatives.
    """
    moments = np.full(len(final), MAX_JOBS + 1)
    earliest = _first_enough(final, weights)
    for run in np.flatnonzero(earliest <= MAX_JOBS):
        enough = _Enough(final=final[run], worst=worst[run], arrival=arrival[run], weights=weights)
        moments[run] = enough.moment(int(earliest[run]))
    return moments


def _first_enough(ln_factors: Floats, weights: Floats = DRAW_WEIGHTS) -> Ints:
    """The first prefix after which the final scores are enough: the evidence cannot be enough before."""
    ln_wealth = ln_factors.cumsum(axis=1)
    run, job = np.nonzero((ln_wealth >= LN_THRESHOLD).any(axis=2))
    enough = ln_mixture(ln_wealth[run, job], weights) >= LN_THRESHOLD
    first = np.full(len(ln_factors), MAX_JOBS + 1)
    np.minimum.at(first, run[enough], job[enough] + 1)
    return first


@dataclass(frozen=True, kw_only=True, slots=True)
class _Enough:
    """When the evidence of one run is enough; its arrays by job."""

    final: Floats
    worst: Floats
    arrival: Ints
    weights: Floats

    def moment(self, earliest: int) -> int:
        """Bisection between the prefix that will be enough and the time when all of it has arrived."""
        low, step = earliest - 1, 32  # at `low` the evidence is not enough
        high = low + step
        while high < len(self.final) and not self.at(high):
            low, step = high, step * 2
            high = low + step
        high = min(high, len(self.final))
        if not self.at(high):
            return MAX_JOBS + 1
        while high - low > 1:
            middle = (low + high) // 2
            if self.at(middle):
                high = middle
            else:
                low = middle
        return high

    def at(self, moment: int) -> bool:
        """Whether it is enough when `moment` jobs are dispatched."""
        settled = self.arrival[:moment] <= moment
        ln_wealth = np.where(settled[:, None], self.final[:moment], self.worst[:moment]).cumsum(axis=0)
        near = ln_wealth[(ln_wealth >= LN_THRESHOLD).any(axis=1)]
        return bool(len(near) and (ln_mixture(near, self.weights) >= LN_THRESHOLD).any())


def arrival_order_rollbacks(cell: Cell, *, runs: int, seed: int) -> float:
    """The part of the trials that the wrong rule rolls back: outcomes fed in the order of their arrival."""
    table = factor_table(cell.share)
    rolled_back = 0
    for batch in paths(cell, runs=runs, seed=seed):
        factors = table.take(batch.rows(batch.scores), axis=0)
        order = batch.arrival.argsort(axis=1, kind="stable")
        arrived = np.take_along_axis(factors, order[:, :, None], axis=1)
        worse, not_worse = _first_enough(arrived[:, :, :3]), _first_enough(arrived[:, :, 3:])
        rolled_back += int(((worse <= MAX_JOBS) & (worse <= not_worse)).sum())
    return rolled_back / runs
