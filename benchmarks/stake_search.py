"""Other stakes on pairs: alternatives, weights and beliefs of the discordance, searched over a grid.

For each rule: how many pairs it needs over what no test can beat, and how often it is right on the published
outcomes where the present one misses its reference. Rows are shown for comparison; the last one counts the
rules that would be better in all of that.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.pairs import CELLS, differences_of, least_right, outcomes_of
from benchmarks.results import Row, row
from benchmarks.simulation import GRADUATE, HOLD, LN_THRESHOLD, POLICY, ROLL_BACK, Floats, Ints
from harvest.evidence.wager import Null
from harvest.pairs.pair_wager import pair_wager

NAME = "stake-search"

#: Against "not worse": alternatives below the edge, in multiples of delta; the present rule has the first.
_WORSE = ((0.75, 1.5, 3.0), (0.5, 1.5, 4.0), (1.0, 2.0, 4.0), (1.5, 2.5, 4.0))
#: Of the three alternatives, the nearest first.
_WEIGHTS = ((0.5, 0.25, 0.25), (1 / 3, 1 / 3, 1 / 3), (0.2, 0.4, 0.4))
#: The discordance before any pair, and how many pairs that belief weighs.
_BELIEFS = ((0.3, 4.0), (0.3, 20.0), (0.5, 8.0))
_MOST_PAIRS = 3_000
_SEED = 2741
#: What no rule of the grid may need more of: pairs over the bound.
_MOST_OVER = 1.35
_MODELS = (("claude-sonnet-4", "claude-sonnet-4.5", 0.995), ("claude-sonnet-4.5", "kimi-k2", 1.0))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rule:
    """Three stakes on each question, and the belief that they are computed from."""

    worse: tuple[float, float, float]
    weights: tuple[float, float, float]
    belief: tuple[float, float]

    @property
    def words(self) -> str:
        """What it is."""
        parts = (f"{each:g}" for each in self.worse)
        weights = "/".join(f"{each:.2g}" for each in self.weights)
        return (
            f"-delta x {', '.join(parts)}; weights {weights}; belief {self.belief[0]:g} x {self.belief[1]:g}"
        )

    def table(self) -> Floats:
        """Ln factors by [hundredths of the discordance, outcome, alternatives of both nulls]."""
        first, second, third = (-POLICY.margin - times * POLICY.delta for times in self.worse)
        nulls = (
            Null(gap=-POLICY.margin, alternatives=(first, second, third)),
            Null.worse_by(delta=POLICY.delta),
        )
        found = np.zeros((101, 3, 6))
        for hundredths, (place, null) in itertools.product(range(1, 101), enumerate(nulls)):
            staked = pair_wager(null, hundredths / 100)
            for column, outcome in enumerate((-1.0, 0.0, 1.0)):
                found[hundredths, column, 3 * place : 3 * place + 3] = staked.ln_factors(outcome)
        return found

    def decide(self, outcomes: Iterator[Ints], runs: int) -> tuple[Ints, Ints]:
        """Verdicts and pairs of runs whose pairs settle at once."""
        table, (prior, weight) = self.table(), self.belief
        left, wealth, squares = np.arange(runs), np.zeros((runs, 6)), np.zeros(runs)
        verdict, taken = np.full(runs, HOLD), np.full(runs, _MOST_PAIRS)
        for pairs in range(_MOST_PAIRS):
            outcome = next(outcomes)[left]
            mean = (squares[left] + prior * weight) / (pairs + weight)
            wealth[left] += table[np.maximum(np.rint(mean * 100).astype(np.int64), 1), outcome + 1]
            squares[left] += outcome * outcome
            mixed = np.exp(wealth[left]).reshape(-1, 2, 3) @ np.array(self.weights)
            enough = mixed >= math.exp(LN_THRESHOLD)
            verdict[left[enough[:, 1]]] = GRADUATE
            verdict[left[enough[:, 0]]] = ROLL_BACK
            taken[left[enough.any(axis=1)]] = pairs + 1
            left = left[~enough.any(axis=1)]
            if not len(left):
                break
        return verdict, taken


def rows(*, quick: bool) -> list[Row]:
    """Measure each rule of the grid; `quick` the present one and one other."""
    grid = [
        _Rule(worse=worse, weights=weights, belief=belief)
        for worse, weights, belief in itertools.product(_WORSE, _WEIGHTS, _BELIEFS)
    ]
    found, better = [], 0
    for rule in grid[:2] if quick else grid:
        over = _over(rule, runs=40 if quick else 400)
        parts = [_right(rule, *models, runs=200 if quick else 4_000) for *models, _ in _MODELS]
        found += [row(f"{rule.words}: pairs over the lower bound, {len(CELLS)} cells", over, unit="times")]
        for (champion, canary, reference), part in zip(_MODELS, parts, strict=True):
            what = f"{rule.words}: right verdict, {champion} → {canary}"
            found += [row(what, part, unit="of trials", baseline=reference)]
        wanted = [least_right(reference) for *_, reference in _MODELS]
        better += over <= _MOST_OVER and all(a >= b for a, b in zip(parts, wanted, strict=True))
    what = (
        f"rules of the grid that are as right as the reference, and need at most {_MOST_OVER} times the bound"
    )
    return [*found, row(what, better, unit="rules")]


def _over(rule: _Rule, *, runs: int) -> float:
    """Pairs over the least that any test needs, geometric mean of all cells."""
    logs = []
    for place, cell in enumerate(CELLS):
        outcomes = outcomes_of(cell.law.champion_only, cell.law.canary_only, runs, _SEED + place)
        logs.append(math.log(float(rule.decide(outcomes, runs)[1].mean()) / cell.least))
    return math.exp(float(np.mean(logs)))


def _right(rule: _Rule, champion: str, canary: str, *, runs: int) -> float:
    """The part of right verdicts on published outcomes."""
    differences = differences_of(champion, canary)
    lost, won = float((differences < 0).mean()), float((differences > 0).mean())
    verdict, _ = rule.decide(outcomes_of(lost, won, runs, _SEED), runs)
    right = ROLL_BACK if differences.mean() < -POLICY.delta / 2 else GRADUATE
    return float((verdict == right).mean())
