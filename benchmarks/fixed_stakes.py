"""What right verdicts near the edge cost in pairs: the rules beside mixtures of eight stakes that are fixed.

A canary that is better by 0.02 is rolled back by a rule that spends nearly all of its error rate at no
difference; one that spends less errs less there, and needs more pairs everywhere. Fixed stakes spend less:
without the discordance most of them are wrong for the trial at hand. All rows are shown for comparison.
"""

import math
from dataclasses import dataclass

import numpy as np

from benchmarks.pairs import CELLS, RULE, PairCell, differences_of, ending_of_rule, outcomes_of
from benchmarks.results import Row, row
from benchmarks.simulation import GRADUATE, HOLD, LN_THRESHOLD, POLICY, ROLL_BACK, Floats, Ints
from harvest.pairs.pair_rule import PairRule

NAME = "stakes"

_MOST_PAIRS = 3_000
_SEED = 1763
#: Parts of the largest stake that no outcome can ruin.
_SETS = {
    "evenly from 0.05 to 0.75": np.linspace(0.05, 0.75, 8),
    "in equal ratios from 0.02 to 0.9": np.geomspace(0.02, 0.9, 8),
}
_RULES = {
    "the rule": RULE,
    "the rule of policies before version 3": PairRule.of(POLICY.model_copy(update={"v": 2})),
}
_MODELS = (
    ("claude-sonnet-4", "claude-sonnet-4.5"),
    ("claude-sonnet-4.5", "kimi-k2"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Fixed:
    """A test whose stakes know nothing of the trial."""

    parts: Floats

    def decide(self, weights: tuple[float, float, float], runs: int, seed: int) -> tuple[Ints, Ints]:
        """Verdicts and pairs of runs whose outcomes -1, 0 and 1 have these chances."""
        generator = np.random.default_rng(seed)
        ln_factors = np.array(
            [
                np.concatenate(
                    [
                        np.log1p(-self.parts * outcome),
                        np.log1p(self.parts / (1 - POLICY.delta) * (outcome + POLICY.delta)),
                    ]
                )
                for outcome in (-1.0, 0.0, 1.0)
            ]
        )
        left, wealth = np.arange(runs), np.zeros((runs, 2 * len(self.parts)))
        verdict, taken = np.full(runs, HOLD), np.full(runs, _MOST_PAIRS)
        for pairs in range(1, _MOST_PAIRS + 1):
            wealth += ln_factors[generator.choice(3, len(left), p=weights)]
            enough = np.exp(wealth).reshape(len(left), 2, -1).mean(axis=2) >= math.exp(LN_THRESHOLD)
            verdict[left[enough[:, 1]]] = GRADUATE
            verdict[left[enough[:, 0]]] = ROLL_BACK
            taken[left[enough.any(axis=1)]] = pairs
            left, wealth = left[~enough.any(axis=1)], wealth[~enough.any(axis=1)]
            if not len(left):
                break
        return verdict, taken


def rows(*, quick: bool) -> list[Row]:
    """Right verdicts and issues on published outcomes, and pairs over the bound, of each."""
    runs = 1_000 if quick else 20_000
    found = []
    tests = _RULES | {f"eight fixed stakes, {name}": _Fixed(parts=parts) for name, parts in _SETS.items()}
    for label, test in tests.items():
        for place, (champion, canary) in enumerate(_MODELS):
            outcomes = differences_of(champion, canary)
            right = ROLL_BACK if outcomes.mean() < -POLICY.delta / 2 else GRADUATE
            shares = tuple(float(np.mean(outcomes == each)) for each in (-1, 0, 1))
            verdict, pairs = _endings(test, shares, runs, _SEED + place)
            what = f"{champion} → {canary}"
            found += [
                row(f"{label}: right verdict, {what}", float(np.mean(verdict == right)), unit="of trials"),
                row(f"{label}: issues, {what}", float(pairs.mean()), unit="issues"),
            ]
        found.append(
            row(
                f"{label}: pairs over the lower bound, geometric mean of {len(CELLS)} cells",
                _over_bound(test, 300 if quick else 2_000),
                unit="times",
            )
        )
    return found


def _endings(test: PairRule | _Fixed, weights: tuple[float, ...], runs: int, seed: int) -> tuple[Ints, Ints]:
    champion_only, neither, canary_only = weights
    if isinstance(test, _Fixed):
        return test.decide((champion_only, neither, canary_only), runs, seed)
    ending = ending_of_rule(outcomes_of(champion_only, canary_only, runs, seed), runs, test)
    return ending.verdict, ending.pairs


def _over_bound(test: PairRule | _Fixed, runs: int) -> float:
    logs = [
        math.log(float(_endings(test, _law(cell), runs, _SEED + place)[1].mean()) / cell.least)
        for place, cell in enumerate(CELLS)
    ]
    return math.exp(float(np.mean(logs)))


def _law(cell: PairCell) -> tuple[float, ...]:
    law = cell.law
    return law.champion_only, 1.0 - law.champion_only - law.canary_only, law.canary_only
