"""Other stakes on pairs: alternatives, weights and beliefs of the discordance, searched over a grid.

For each rule: how many pairs it needs over what no test can beat, how often it is right on published
outcomes, and after how many issues. Rows are shown for comparison; the last one counts the rules that are as
good as the reference in all of that.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.pairs import CELLS, PUBLISHED, PublishedPair, differences_of, least_right, outcomes_of
from benchmarks.results import Row, row
from benchmarks.simulation import GRADUATE, HOLD, LN_THRESHOLD, POLICY, ROLL_BACK, Floats, Ints
from harvest.evidence.wager import WEIGHTS, Null, Triple
from harvest.pairs.pair_wager import pair_wager

NAME = "stake-search"

_MOST_PAIRS = 3_000
_SEED = 2741
#: What no rule of the grid may need more of: pairs over the bound.
_MOST_OVER = 1.35


@dataclass(frozen=True, kw_only=True, slots=True)
class _Bets:
    """What is bet on one question."""

    times: Triple  # the alternatives, in multiples of delta beyond the edge of the null
    weights: Triple = WEIGHTS  # of them

    @property
    def words(self) -> str:
        """Its numbers."""
        times, weights = (", ".join(f"{each:.2g}" for each in some) for some in (self.times, self.weights))
        return f"{times} by {weights}"

    def null(self, edge: float, side: float) -> Null:
        """The claim that it is bet against; `side` is -1 for alternatives below the edge, else 1."""
        first, second, third = (edge + side * times * POLICY.delta for times in self.times)
        return Null(gap=edge, alternatives=(first, second, third))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rule:
    """Three stakes on each question, and the belief of the discordance that they are computed from."""

    worse: _Bets
    better: _Bets
    belief: tuple[float, float]  # the discordance before any pair, and how many pairs that weighs

    @property
    def words(self) -> str:
        """What it is."""
        return (
            f"worse {self.worse.words}; better {self.better.words}; "
            f"belief {self.belief[0]:g} x {self.belief[1]:g}"
        )

    def table(self) -> Floats:
        """Ln factors by [hundredths of the discordance, outcome, alternatives of both nulls]."""
        nulls = (self.worse.null(-POLICY.margin, -1.0), self.better.null(-POLICY.delta, 1.0))
        found = np.zeros((101, 3, 6))
        for hundredths, (place, null) in itertools.product(range(1, 101), enumerate(nulls)):
            staked = pair_wager(null, hundredths / 100)
            for column, outcome in enumerate((-1.0, 0.0, 1.0)):
                found[hundredths, column, 3 * place : 3 * place + 3] = staked.ln_factors(outcome)
        return found

    def decide(self, outcomes: Iterator[Ints], runs: int) -> tuple[Ints, Ints]:
        """Verdicts and pairs of runs whose pairs settle at once."""
        table, (prior, weight) = self.table(), self.belief
        weights = np.array([self.worse.weights, self.better.weights])
        left, wealth, squares = np.arange(runs), np.zeros((runs, 6)), np.zeros(runs)
        verdict, taken = np.full(runs, HOLD), np.full(runs, _MOST_PAIRS)
        for pairs in range(_MOST_PAIRS):
            outcome = next(outcomes)[left]
            mean = (squares[left] + prior * weight) / (pairs + weight)
            wealth[left] += table[np.maximum(np.rint(mean * 100).astype(np.int64), 1), outcome + 1]
            squares[left] += outcome * outcome
            mixed = (np.exp(wealth[left]).reshape(-1, 2, 3) * weights).sum(axis=2)
            enough = mixed >= math.exp(LN_THRESHOLD)
            verdict[left[enough[:, 1]]] = GRADUATE
            verdict[left[enough[:, 0]]] = ROLL_BACK
            taken[left[enough.any(axis=1)]] = pairs + 1
            left = left[~enough.any(axis=1)]
            if not len(left):
                break
        return verdict, taken


#: The grid: one set of weights for both questions; the first rule is the present one.
_GRID = tuple(
    _Rule(
        worse=_Bets(times=times, weights=weights),
        better=_Bets(times=(1.0, 2.0, 3.0), weights=weights),
        belief=belief,
    )
    for times, weights, belief in itertools.product(
        ((0.75, 1.5, 3.0), (0.5, 1.5, 4.0), (1.0, 2.0, 4.0), (1.5, 2.5, 4.0)),
        (WEIGHTS, (1 / 3, 1 / 3, 1 / 3), (0.2, 0.4, 0.4)),
        ((0.3, 4.0), (0.3, 20.0), (0.5, 8.0)),
    )
)

#: Found by drawing some thousand rules whose questions have weights of their own: little is staked on the
#: largest gain, and on the largest loss less than now.
_FOUND = (
    _Rule(
        worse=_Bets(times=(0.7, 2.0, 3.5), weights=(0.55, 0.3, 0.15)),
        better=_Bets(times=(0.9, 1.8, 3.0), weights=(0.49, 0.5, 0.01)),
        belief=(0.5, 12.0),
    ),
)


def rows(*, quick: bool) -> list[Row]:
    """Measure each rule; `quick` the present one and those that were found."""
    found, better = [], 0
    for rule in (*_GRID[:1], *_FOUND) if quick else (*_GRID, *_FOUND):
        over = _over(rule, runs=40 if quick else 400)
        found += [row(f"{rule.words}: pairs over the lower bound, {len(CELLS)} cells", over, unit="times")]
        is_good = over <= _MOST_OVER
        for published in PUBLISHED:
            if published.right is None:
                continue
            part, issues = _on(rule, published, runs=200 if quick else 20_000)
            what = f"{published.champion} → {published.canary}"
            found += [
                row(f"{rule.words}: right verdict, {what}", part, unit="of trials", baseline=published.right),
                row(f"{rule.words}: issues, {what}", issues, unit="issues", baseline=published.mean),
            ]
            is_good &= part >= least_right(published.right) and issues <= published.mean
        better += is_good
    what = (
        f"rules that are as right as the reference, after no more issues, within {_MOST_OVER} times the bound"
    )
    return [*found, row(what, better, unit="rules")]


def _over(rule: _Rule, *, runs: int) -> float:
    """Pairs over the least that any test needs, geometric mean of all cells."""
    logs = []
    for place, cell in enumerate(CELLS):
        outcomes = outcomes_of(cell.law.champion_only, cell.law.canary_only, runs, _SEED + place)
        logs.append(math.log(float(rule.decide(outcomes, runs)[1].mean()) / cell.least))
    return math.exp(float(np.mean(logs)))


def _on(rule: _Rule, published: PublishedPair, *, runs: int) -> tuple[float, float]:
    """The part of right verdicts on published outcomes, and the issues until one."""
    differences = differences_of(published.champion, published.canary)
    lost, won = float((differences < 0).mean()), float((differences > 0).mean())
    verdict, taken = rule.decide(outcomes_of(lost, won, runs, _SEED), runs)
    right = ROLL_BACK if differences.mean() < -POLICY.delta / 2 else GRADUATE
    return float((verdict == right).mean()), float(taken.mean())
