"""Speed of the paired test, in the cells that it must hold and on published outcomes."""

import csv
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.results import Row, row
from benchmarks.simulation import (
    GRADUATE,
    HOLD,
    LN_THRESHOLD,
    POLICY,
    ROLL_BACK,
    Floats,
    Ints,
    ln_mixture,
)  # fmt: skip
from harvest.draws.draw_plan import plan
from harvest.evidence.trial_test import advance
from harvest.evidence.verdict import Verdict
from harvest.pairs.pair_evidence import PairEvidence
from harvest.pairs.pair_ledger import PairDispatched, PairSettlement
from harvest.pairs.pair_plan import PairLaw
from harvest.pairs.pair_rule import Belief, PairRule
from harvest.pairs.pair_wager import pair_wager
from routing.templates.trial import Arm

NAME = "pairs"

#: How trials that are opened now bet.
RULE = PairRule.of(POLICY)

_CHAMPIONS = (0.45, 0.7, 0.9)
_AGREEMENTS = (0.0, 0.5, 0.7)
_DIFFERENCES = (-0.3, -0.2, -0.1, 0.0, 0.1)
_MOST_PAIRS = 3_000
_SEED = 1945
OPEN = 3  # column of the table after the outcomes -1, 0 and 1


class PublishedPair(NamedTuple):
    """Two models of the published outcomes, and what the reference rule does with them."""

    champion: str
    canary: str
    mean: int  # issues that it takes
    most: int  # issues that it takes in nine trials of ten
    right: float | None  # its part of right verdicts; None where either verdict is acceptable


PUBLISHED = (
    PublishedPair("claude-sonnet-4", "claude-sonnet-4.5", 116, 207, 0.995),
    PublishedPair("gpt-5", "claude-sonnet-4.5", 73, 130, 1.0),
    PublishedPair("claude-sonnet-4.5", "gpt-5", 279, 511, None),
    PublishedPair("claude-sonnet-4.5", "kimi-k2", 82, 147, 1.0),
    PublishedPair("claude-sonnet-4.5", "gpt-oss", 38, 65, 1.0),
)
#: The reference was measured on a thousand resamplings. The rule is on more, so that a figure that misses the
#: reference is seen to.
_OF_REFERENCE = 1_000
_RESAMPLINGS = 20_000


@dataclass(frozen=True, kw_only=True, slots=True)
class PairCell:
    """What a set of runs has in common."""

    champion: float
    difference: float
    agreement: float  # correlation of the two outcomes of an issue

    @property
    def words(self) -> str:
        """What the cells of one difference differ in."""
        return f"champion {self.champion:g}, phi {self.agreement:g}"

    @property
    def law(self) -> PairLaw:
        """How a pair comes out."""
        canary = min(max(self.champion + self.difference, 0.0), 1.0)
        return PairLaw.of(champion=self.champion, canary=canary, agreement=self.agreement)

    @property
    def least(self) -> float:
        """Pairs that any test needs for the verdict that is right here."""
        gap = 0.0 if self.difference < -POLICY.delta / 2 else -POLICY.delta
        return self.law.least_pairs(gap=gap, level=POLICY.alpha)


CELLS = tuple(
    PairCell(champion=champion, difference=difference, agreement=agreement)
    for champion in _CHAMPIONS
    for agreement in _AGREEMENTS
    for difference in _DIFFERENCES
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PairsEnding:
    """How the runs of a cell ended, one entry a run."""

    verdict: Ints
    pairs: Ints

    def part(self, verdict: int) -> float:
        """The part of the runs that ended so."""
        return float(np.mean(self.verdict == verdict))


def rows(*, quick: bool) -> list[Row]:
    """Measure all of it."""
    runs = 500 if quick else 5_000
    prompt = {cell: prompt_ending(cell, runs, _SEED + place) for place, cell in enumerate(CELLS)}
    return [
        *_bound_rows(prompt, quick=quick),
        *_published_rows(quick=quick),
        _identity_row(runs=3 if quick else 20),
    ]


@cache
def factor_table(rule: PairRule) -> Floats:
    """Ln factors by [hundredths of the discordance, outcome, alternatives of both nulls]."""
    table = np.zeros((101, 4, 6))
    nulls = (
        rule.not_worse(margin=POLICY.margin, delta=POLICY.delta),
        rule.at_most(-POLICY.delta, delta=POLICY.delta),
    )
    for hundredths in range(1, 101):
        for place, null in enumerate(nulls):
            staked, columns = pair_wager(null, hundredths / 100), slice(3 * place, 3 * place + 3)
            for column, outcome in enumerate((-1.0, 0.0, 1.0)):
                table[hundredths, column, columns] = staked.ln_factors(outcome)
            table[hundredths, OPEN, columns] = staked.lowest
    return table


def frozen_hundredths(belief: Belief, squares: Floats, pairs: Floats | int) -> Ints:
    """The discordance as `harvest.pairs.pair_counts` freezes it, in hundredths."""
    mean = (squares + belief.discordance * belief.pairs) / (pairs + belief.pairs)
    rounded = np.rint(mean * 100).astype(np.int64)
    ties = np.flatnonzero(np.abs(np.abs(mean * 100 - rounded) - 0.5) < 1e-6)  # decided by the last bit
    rounded.ravel()[ties] = [round(round(float(each), 2) * 100) for each in mean.ravel()[ties]]
    return np.maximum(rounded, 1)


def sampled(law: PairLaw, numbers: Floats) -> Ints:
    """-1, 0 or 1 for each uniform number."""
    outcome = np.zeros(numbers.shape, dtype=np.int64)
    outcome[numbers < law.champion_only] = -1
    outcome[(numbers >= law.champion_only) & (numbers < law.champion_only + law.canary_only)] = 1
    return outcome


def ending_of_rule(outcomes: Iterator[Ints], runs: int, rule: PairRule = RULE) -> PairsEnding:
    """How a rule decides runs whose pairs settle at once; `outcomes` yields one outcome a run."""
    table, weights = factor_table(rule), np.array([rule.worse.weights, rule.better.weights])
    left = np.arange(runs)
    wealth, squares = np.zeros((runs, 6)), np.zeros(runs)
    verdict, taken = np.full(runs, HOLD), np.full(runs, _MOST_PAIRS)
    for pairs, all_outcomes in enumerate(outcomes):
        outcome = all_outcomes[left]
        wealth[left] += table[frozen_hundredths(rule.belief, squares[left], pairs), outcome + 1]
        squares[left] += outcome * outcome
        near = left[(wealth[left] >= LN_THRESHOLD).any(axis=1)]
        enough = ln_mixture(wealth[near].reshape(-1, 2, 3), weights) >= LN_THRESHOLD
        verdict[near[enough[:, 1]]] = GRADUATE
        verdict[near[enough[:, 0]]] = ROLL_BACK
        taken[near[enough.any(axis=1)]] = pairs + 1
        left = left[verdict[left] == HOLD]
        if not len(left) or pairs + 1 == _MOST_PAIRS:
            break
    return PairsEnding(verdict=verdict, pairs=taken)


def prompt_ending(cell: PairCell, runs: int, seed: int) -> PairsEnding:
    """How runs end whose pairs settle at once."""
    law = cell.law
    return ending_of_rule(outcomes_of(law.champion_only, law.canary_only, runs, seed), runs)


def outcomes_of(champion_only: float, canary_only: float, runs: int, seed: int) -> Iterator[Ints]:
    """Without end: one outcome a run, by the chances that only one of the two solves the issue."""
    generator, law = (
        np.random.default_rng(seed),
        PairLaw(champion_only=champion_only, canary_only=canary_only),
    )
    while True:
        yield sampled(law, generator.random(runs))


def _bound_rows(endings: dict[PairCell, PairsEnding], *, quick: bool) -> list[Row]:
    """Pairs over the least that any test needs for the right verdict: each cell, and the geometric mean."""
    logs = [math.log(float(ending.pairs.mean()) / cell.least) for cell, ending in endings.items()]
    errors = [float(e.pairs.var() / e.pairs.mean() ** 2) / len(e.pairs) for e in endings.values()]
    mean = math.exp(float(np.mean(logs)))
    allowed = 2 * mean * math.sqrt(sum(errors)) / len(logs) if quick else 0.0
    label = "pairs over the lower bound"
    return [
        row(f"{label}, geometric mean of {len(logs)} cells", mean, unit="times", target=1.35 + allowed),
        *(
            row(f"{label}: {cell.words}, D = {cell.difference:+g}", math.exp(log), unit="times")
            for cell, log in zip(endings, logs, strict=True)
        ),
    ]


def _published_rows(*, quick: bool) -> list[Row]:
    """Issues until a verdict on published outcomes, beside the draw's with half and a tenth of the jobs."""
    found = []
    for place, (champion, canary, mean, most, right) in enumerate(PUBLISHED):
        resamplings, scores = _OF_REFERENCE if quick else _RESAMPLINGS, _scores(champion, canary)
        differences = differences_of(champion, canary)
        generator = np.random.default_rng(_SEED + place)

        def outcomes(
            differences: Ints = differences,
            generator: np.random.Generator = generator,
            runs: int = resamplings,
        ) -> Iterator[Ints]:
            while True:
                yield generator.choice(differences, runs)

        ending = ending_of_rule(outcomes(), resamplings)
        what = f"{champion} → {canary} ({differences.mean():+.2f})"
        found += [
            row(
                f"pairs: issues, {what}",
                float(ending.pairs.mean()),
                unit="issues",
                target=mean,
                baseline=mean,
            ),
            row(
                f"pairs: issues that nine trials in ten need, {what}",
                float(np.quantile(ending.pairs, 0.9)),
                unit="issues",
                target=most,
                baseline=most,
            ),
            row(
                f"pairs: right verdict, {what}",
                ending.part(ROLL_BACK if differences.mean() < -POLICY.delta / 2 else GRADUATE),
                unit="of trials",
                target=None if right is None else least_right(right, resamplings),
                better="higher",
                baseline=right,
            ),
            row(f"pairs: runs of agents, {what}", 2 * float(ending.pairs.mean()), unit="runs"),
            row(f"pairs: exposed jobs, {what}", 0.0, unit="jobs"),
            *(
                each
                for share in (0.5, 0.1)
                for each in _draw_rows(
                    what, scores, share, pairs=float(ending.pairs.mean()), runs=20 if quick else 200
                )
            ),
        ]
    return found


def least_right(reference: float, resamplings: int = _RESAMPLINGS) -> float:
    """The least part of right verdicts in so many resamplings that is as good as a reference's.

    Two standard errors of the difference below it. A reference of 1 was never seen to be wrong: its error is
    that of a part with one more of each (Laplace).
    """
    part = (reference * _OF_REFERENCE + 1) / (_OF_REFERENCE + 2)
    return reference - 2 * math.sqrt(part * (1 - part) * (1 / _OF_REFERENCE + 1 / resamplings))


def _scores(champion: str, canary: str) -> Ints:
    """The published outcomes of both models, of the issues that both have."""
    with (Path(__file__).parent / "data" / "published-outcomes.csv").open() as file:
        table = list(csv.DictReader(file))
    return np.array([(int(a[champion]), int(a[canary])) for a in table if a[champion] and a[canary]])


def differences_of(champion: str, canary: str) -> Ints:
    """The canary's score less the champion's, of each issue."""
    scores = _scores(champion, canary)
    differences: Ints = scores[:, 1] - scores[:, 0]
    return differences


def _draw_rows(what: str, scores: Ints, share: float, *, pairs: float, runs: int) -> list[Row]:
    """Issues, runs and exposed jobs of a trial by draw for the same two rates: each issue is one run.

    A job is exposed when the canary's work on it is delivered.
    """
    champion, canary = (float(each) for each in scores.mean(axis=0))
    expected = plan(policy=POLICY, baseline=champion, difference=canary - champion, share=share, runs=runs)
    issues, name = expected.mean_canary_jobs / share, f"draw at share {share:g}"
    return [
        row(f"{name}: issues, {what}", issues, unit="issues", baseline=pairs),
        row(
            f"{name}: issues that nine trials in ten need, {what}",
            expected.p90_canary_jobs / share,
            unit="issues",
        ),
        row(f"{name}: runs of agents, {what}", issues, unit="runs", baseline=2 * pairs),
        row(f"{name}: exposed jobs, {what}", expected.mean_canary_jobs, unit="jobs"),
    ]


def _identity_row(*, runs: int) -> Row:
    """The simulation must decide at the very pair at which the real module decides."""
    wrong = 0
    for place, cell in enumerate(
        PairCell(champion=0.7, difference=difference, agreement=0.5) for difference in (-0.2, 0.0, 0.1)
    ):
        for run in range(runs):
            numbers = random.Random(_SEED + 10 * run + place)
            drawn = np.array([numbers.random() for _ in range(_MOST_PAIRS)])
            outcome = sampled(cell.law, drawn)
            ending = ending_of_rule(iter(outcome.reshape(-1, 1)), 1)
            wrong += (int(ending.verdict[0]), int(ending.pairs[0])) != _module(outcome)
    return row(
        f"pairs: runs of {3 * runs} in which simulation and module disagree", wrong, unit="runs", target=0.0
    )


def _module(outcomes: Ints) -> tuple[int, int]:
    """The verdict of the real module, and the pairs that it took."""
    state = PairEvidence.begin(POLICY)
    names = {Verdict.ROLL_BACK: ROLL_BACK, Verdict.GRADUATE: GRADUATE}
    for index, outcome in enumerate(outcomes):
        pair = PairDispatched(
            index=index, champion_job="a", canary_job="b", first=Arm.CHAMPION if index % 2 else Arm.CANARY,
            discordance=state.bet.discordance,
        )  # fmt: skip
        scores = PairSettlement(
            index=index, kind="settled", champion=float(outcome < 0), canary=float(outcome > 0)
        )
        state = advance(state, [pair], [scores]).state
        verdict = state.decide(elapsed_days=0.0).verdict
        if verdict in names:
            return names[verdict], index + 1
    return HOLD, len(outcomes)
