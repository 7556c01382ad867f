"""Thousands of trials at once: numpy over runs, with lookup tables made by the project's own wager."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harvest.draws.draw_wager import draw_not_worse, wager
from harvest.evidence.policy import TrialPolicy
from harvest.evidence.wager import WEIGHTS, Null
from routing.templates.trial import Arm

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: Jobs of a run at most.
MAX_JOBS = 5_000
POLICY = TrialPolicy(max_canary_jobs=MAX_JOBS)
WORSE = draw_not_worse(POLICY, margin=POLICY.margin)
NOT_WORSE = Null.at_most(-POLICY.delta, delta=POLICY.delta)
LN_THRESHOLD = float(np.log(1 / POLICY.alpha))  # alpha and beta are the same here
HOLD, ROLL_BACK, GRADUATE = 0, 1, 2
#: Third column of the table beside the scores 0 and 1.
OPEN = 2

_BASELINES = 101  # 0.00, 0.01 … 1.00
_COMPACT_EVERY = 25  # jobs
#: What part of the wealth each alternative of the draw begins with.
DRAW_WEIGHTS: Floats = np.array(WEIGHTS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """What a set of runs has in common."""

    champion: float  # chance that a champion's job scores 1, else 0
    difference: float  # the canary's chance less the champion's
    share: float

    @property
    def canary(self) -> float:
        """Chance that a canary's job scores 1."""
        return round(min(max(self.champion + self.difference, 0.0), 1.0), 12)


@dataclass(frozen=True, kw_only=True, slots=True)
class SimulatedTrial:
    """How the runs of a cell ended, one entry a run."""

    verdict: Ints  # HOLD when MAX_JOBS did not decide
    jobs: Ints  # of both arms, dispatched until then
    canary_jobs: Ints

    def part(self, verdict: int) -> float:
        """The part of the runs that ended so."""
        return float(np.mean(self.verdict == verdict))


def factor_table(share: float) -> Floats:
    """Ln factors by [row, column]; rows as `table_row`, columns the alternatives of both nulls."""
    table = np.empty((2, _BASELINES, 3, 6))
    for arm_place, arm in enumerate((Arm.CHAMPION, Arm.CANARY)):
        for hundredths in range(_BASELINES):
            baseline = round(hundredths / 100, 2)
            for place, null in enumerate((WORSE, NOT_WORSE)):
                staked = wager(null, arm, share, baseline)
                columns = slice(3 * place, 3 * place + 3)
                table[arm_place, hundredths, 0, columns] = staked.ln_factors(0.0)
                table[arm_place, hundredths, 1, columns] = staked.ln_factors(1.0)
                table[arm_place, hundredths, OPEN, columns] = staked.lowest
    return table.reshape(-1, 6)


#: Rows of one share's table.
TABLE_ROWS = 2 * _BASELINES * 3


def table_row(arms: Bools, hundredths: Ints, column: Ints | Bools | int) -> Ints:
    """The row of a job: its arm, its frozen baseline, and its score (or OPEN)."""
    rows: Ints = (arms * _BASELINES + hundredths) * 3 + column
    return rows


def rounded_baseline(total: Floats, jobs: Floats) -> Ints:
    """The champion's mean in hundredths, exactly as `harvest.draws.baseline` freezes it."""
    mean = (total + POLICY.prior_mean * POLICY.prior_weight) / (jobs + POLICY.prior_weight)
    hundredths = mean * 100
    rounded = np.rint(hundredths).astype(np.int64)
    ties = np.abs(np.abs(hundredths - rounded) - 0.5) < 1e-6  # decided by the last bit of the mean
    if ties.any():
        rounded[ties] = [round(round(float(each), 2) * 100) for each in mean[ties]]
    return rounded


def ln_mixture(ln_wealth: Floats, weights: Floats = DRAW_WEIGHTS) -> Floats:
    """The weighted mean over the last axis, on the scale of logarithms; the weights are broadcast."""
    top = ln_wealth.max(axis=-1)
    mixed: Floats = top + np.log((np.exp(ln_wealth - top[..., None]) * weights).sum(axis=-1))
    return mixed


def uniforms(seed: int, runs: int) -> Iterator[Floats]:
    """For each job in turn the numbers that choose [arm, score] of every run."""
    generator = np.random.default_rng(seed)
    for _ in range(MAX_JOBS):
        yield generator.random((2, runs))


class _Runs:
    """The runs that are not decided yet; arrays by run."""

    def __init__(self, cells: Sequence[Cell], runs: int) -> None:
        shares = sorted({cell.share for cell in cells})
        self.table = np.concatenate([factor_table(share) for share in shares])
        self.id = np.arange(len(cells) * runs)
        self.offset = np.repeat([shares.index(cell.share) * TABLE_ROWS for cell in cells], runs)
        self.share = np.repeat([cell.share for cell in cells], runs)
        self.champion = np.repeat([cell.champion for cell in cells], runs)
        self.canary = np.repeat([cell.canary for cell in cells], runs)
        self.total = np.zeros(len(self.id))
        self.settled = np.zeros(len(self.id))
        self.canary_jobs = np.zeros(len(self.id), dtype=np.int64)
        self.ln_wealth = np.zeros((len(self.id), 6))

    def step(self, numbers: Floats) -> None:
        """Dispatch and settle one job of every run."""
        arms = numbers[0] < self.share
        scores = numbers[1] < np.where(arms, self.canary, self.champion)
        rows = table_row(arms, rounded_baseline(self.total, self.settled), scores) + self.offset
        self.ln_wealth += self.table.take(rows, axis=0)
        self.total += scores & ~arms
        self.settled += ~arms
        self.canary_jobs += arms

    def verdicts(self) -> tuple[Ints, Ints]:
        """Places of the runs whose wealth is enough now, and their verdicts."""
        places = np.flatnonzero((self.ln_wealth >= LN_THRESHOLD).any(axis=1))
        enough = ln_mixture(self.ln_wealth[places].reshape(-1, 2, 3)) >= LN_THRESHOLD
        return places, np.where(enough[:, 0], ROLL_BACK, np.where(enough[:, 1], GRADUATE, HOLD))

    def keep(self, kept: Bools) -> None:
        """Forget the decided ones."""
        for name, values in vars(self).items():
            if name != "table":
                setattr(self, name, values[kept])


def simulate(cells: Sequence[Cell], *, runs: int, seed: int) -> list[SimulatedTrial]:
    """Trials whose scores settle before the next job is dispatched: the evidence is the largest wealth."""
    state = _Runs(cells, runs)
    verdict = np.zeros(len(state.id), dtype=np.int64)
    jobs = np.full(len(state.id), MAX_JOBS)
    canary_jobs = np.zeros(len(state.id), dtype=np.int64)
    for job, numbers in enumerate(uniforms(seed, len(state.id)), start=1):
        state.step(numbers[:, state.id])
        places, verdicts = state.verdicts()
        for place, found in zip(places, verdicts, strict=True):
            run = state.id[place]
            if found != HOLD and verdict[run] == HOLD:
                verdict[run], jobs[run], canary_jobs[run] = found, job, state.canary_jobs[place]
        if job % _COMPACT_EVERY == 0:
            state.keep(verdict[state.id] == HOLD)
            if not len(state.id):
                break
    canary_jobs[state.id] = state.canary_jobs
    return [
        SimulatedTrial(verdict=verdict[part], jobs=jobs[part], canary_jobs=canary_jobs[part])
        for part in (slice(place * runs, (place + 1) * runs) for place in range(len(cells)))
    ]
