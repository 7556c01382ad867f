"""Coverage of the interval of the difference: how often either end ever passes the truth, at any look.

An end passes the true difference at some look when the trial's evidence against that very difference ever
reaches 1/level, whether it is looked at or not; so that is what is counted.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from benchmarks.results import Row, row
from benchmarks.simulation import LN_THRESHOLD, POLICY, Floats, Ints, ln_mixture, rounded_baseline
from harvest.draws.draw_evidence import DrawEvidence
from harvest.draws.draw_wager import wager
from harvest.evidence.trial_test import AnyTest
from harvest.evidence.wager import Null, Wager
from harvest.pairs.pair_evidence import PairEvidence
from harvest.pairs.pair_plan import PairLaw
from harvest.pairs.pair_rule import PairRule
from harvest.pairs.pair_wager import pair_wager
from routing.templates.trial import Arm

NAME = "intervals"

_CHAMPIONS = (0.45, 0.7, 0.9)
_DIFFERENCES = (-0.3, -0.1, -0.03, 0.0, 0.07)
_SHARES = (0.1, 0.5)
_AGREEMENTS = (0.0, 0.6)
_JOBS, _PAIRS = 1_500, 600
_SEED = 1964


class _Missed(Protocol):
    """The part of the runs whose lower end, or upper end, ever passed the truth."""

    def __call__(self, generator: np.random.Generator, runs: int) -> tuple[float, float]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class _Draws:
    champion: float
    difference: float
    share: float

    def __call__(self, generator: np.random.Generator, runs: int) -> tuple[float, float]:
        """Jobs that settle at once; the champion's mean is frozen as it is then."""
        nulls = _nulls(self.difference, DrawEvidence)
        table = np.array(
            [
                [
                    _factors([wager(null, arm, self.share, place / 100) for null in nulls], (0.0, 1.0))
                    for place in range(101)
                ]
                for arm in (Arm.CHAMPION, Arm.CANARY)
            ]
        )
        wealth, reached = np.zeros((runs, 2, 3)), np.zeros((runs, 2), dtype=bool)
        total, settled = np.zeros(runs), np.zeros(runs)
        for _ in range(_JOBS):
            canary = generator.random(runs) < self.share
            rate = self.champion + self.difference * canary
            score = (generator.random(runs) < rate).astype(np.int64)
            wealth += table[canary.astype(np.int64), rounded_baseline(total, settled), score]
            total += score * ~canary
            settled += ~canary
            _note(nulls, wealth, reached)
        return _parts(reached)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Pairs:
    champion: float
    difference: float
    agreement: float

    def __call__(self, generator: np.random.Generator, runs: int) -> tuple[float, float]:
        """Pairs that settle at once."""
        nulls = _nulls(self.difference, PairEvidence)
        table = np.array(
            [
                _factors([pair_wager(null, max(place, 1) / 100) for null in nulls], (-1.0, 0.0, 1.0))
                for place in range(101)
            ]
        )
        canary = self.champion + self.difference
        law = PairLaw.of(champion=self.champion, canary=canary, agreement=self.agreement)
        wealth, reached = np.zeros((runs, 2, 3)), np.zeros((runs, 2), dtype=bool)
        squares = np.zeros(runs)
        belief = PairRule.of(POLICY).belief
        for pairs in range(_PAIRS):
            number = generator.random(runs)
            outcome = np.where(number < law.champion_only, -1, 0)
            won = (number >= law.champion_only) & (number < law.champion_only + law.canary_only)
            outcome[won] = 1
            mean = (squares + belief.discordance * belief.pairs) / (pairs + belief.pairs)
            frozen: Ints = np.maximum(np.rint(mean * 100), 1).astype(np.int64)
            wealth += table[frozen, outcome + 1]
            squares += outcome * outcome
            _note(nulls, wealth, reached)
        return _parts(reached)


def rows(*, quick: bool) -> list[Row]:
    """Measure both tests; the level of each end is alpha, beta being the same here."""
    runs = 500 if quick else 5_000
    draws = [
        _Draws(champion=champion, difference=difference, share=share)
        for champion in _CHAMPIONS
        for share in _SHARES
        for difference in _DIFFERENCES
    ]
    pairs = [
        _Pairs(champion=champion, difference=difference, agreement=agreement)
        for champion in _CHAMPIONS
        for agreement in _AGREEMENTS
        for difference in _DIFFERENCES
    ]
    return [*_rows("draw", draws, runs, _SEED), *_rows("pairs", pairs, runs, _SEED + 1000)]


def _rows(kind: str, cells: Sequence[_Missed], runs: int, seed: int) -> list[Row]:
    """The worst cell of each end, against the level and three standard errors of the count."""
    missed = [cell(np.random.default_rng(seed + place), runs) for place, cell in enumerate(cells)]
    target = POLICY.alpha + 3 * math.sqrt(POLICY.alpha * (1 - POLICY.alpha) / runs)
    return [
        row(
            f"{kind}: {end} of the interval ever passes the truth, worst of {len(cells)} cells",
            max(each[place] for each in missed),
            unit="of trials",
            target=target,
            baseline=POLICY.alpha,
        )
        for place, end in enumerate(("lower end", "upper end"))
    ]


def _nulls(gap: float, test: type[AnyTest]) -> tuple[Null, Null]:
    """What the lower and the upper end are made of, as `harvest.evidence.difference` asks it."""
    return test.worse_null(POLICY, gap=gap), test.not_worse_null(POLICY, margin=-gap)


def _factors(wagers: Sequence[Wager], scores: Sequence[float]) -> list[list[tuple[float, ...]]]:
    return [[each.ln_factors(score) for each in wagers] for score in scores]


def _note(nulls: Sequence[Null], wealth: Floats, reached: Floats) -> None:
    """Mark the runs whose evidence is enough now."""
    near = (wealth >= LN_THRESHOLD).any(axis=2) & ~reached.astype(bool)
    if near.any():
        weights = np.broadcast_to(np.array([null.weights for null in nulls]), wealth.shape)
        reached[near] = ln_mixture(wealth[near], weights[near]) >= LN_THRESHOLD


def _parts(reached: Floats) -> tuple[float, float]:
    lower, upper = reached.mean(axis=0)
    return float(lower), float(upper)
