"""Other bets on pairs: alternatives, weights and beliefs of the discordance, searched over a grid.

For each rule: how many pairs it needs over what no test can beat, how often it is right on published
outcomes, and after how many issues. Rows are shown for comparison; the last one counts the rules of the grid
that are as good as the reference in all of that. The first two rules are those of the versions of a policy.
"""

import itertools
import math

from benchmarks.pairs import (
    CELLS,
    PUBLISHED,
    RULE,
    PublishedPair,
    differences_of,
    ending_of_rule,
    least_right,
    outcomes_of,
)
from benchmarks.results import Row, row
from benchmarks.simulation import GRADUATE, POLICY, ROLL_BACK
from harvest.evidence.wager import WEIGHTS, Triple
from harvest.pairs.pair_rule import Belief, Bets, PairRule

NAME = "stake-search"

_SEED = 2741
#: What no rule of the grid may need more of: pairs over the bound.
_MOST_OVER = 1.35

#: The grid: one set of weights for both questions. The present rule, which has weights of its own for each,
#: was found by drawing some thousand rules: little is staked on the largest gain.
_GRID = tuple(
    PairRule(
        worse=Bets(times=times, weights=weights),
        better=Bets(times=(1.0, 2.0, 3.0), weights=weights),
        belief=belief,
        guardrail_belief=RULE.guardrail_belief,
    )
    for times, weights, belief in itertools.product(
        ((0.75, 1.5, 3.0), (0.5, 1.5, 4.0), (1.0, 2.0, 4.0), (1.5, 2.5, 4.0)),
        (WEIGHTS, (1 / 3, 1 / 3, 1 / 3), (0.2, 0.4, 0.4)),
        (
            Belief(discordance=0.3, pairs=4.0),
            Belief(discordance=0.3, pairs=20.0),
            Belief(discordance=0.5, pairs=8.0),
        ),
    )
)


def rows(*, quick: bool) -> list[Row]:
    """Measure each rule; `quick` those of the versions alone."""
    versions = (RULE, PairRule.of(POLICY.model_copy(update={"v": 2})))
    found, better = [], 0
    for rule in versions if quick else dict.fromkeys((*versions, *_GRID)):
        words = _words(rule)
        over = _over(rule, runs=40 if quick else 400)
        found += [row(f"{words}: pairs over the lower bound, {len(CELLS)} cells", over, unit="times")]
        is_good = over <= _MOST_OVER
        for published in PUBLISHED:
            if published.right is None:
                continue
            runs = 200 if quick else 20_000
            part, issues = _on(rule, published, runs=runs)
            what = f"{published.champion} → {published.canary}"
            found += [
                row(f"{words}: right verdict, {what}", part, unit="of trials", baseline=published.right),
                row(f"{words}: issues, {what}", issues, unit="issues", baseline=published.mean),
            ]
            is_good &= part >= least_right(published.right, runs) and issues <= published.mean
        better += is_good and rule in _GRID
    what = (
        "rules with the same weights for both questions that are as right as the reference, after no more "
        f"issues, within {_MOST_OVER} times the bound"
    )
    return [*found, row(what, better, unit="rules")]


def _words(rule: PairRule) -> str:
    belief = f"belief {rule.belief.discordance:g} x {rule.belief.pairs:g}"
    return f"worse {_bet_words(rule.worse)}; better {_bet_words(rule.better)}; {belief}"


def _bet_words(bets: Bets) -> str:
    def numbers(some: Triple) -> str:
        return ", ".join(f"{each:.2g}" for each in some)

    return f"{numbers(bets.times)} by {numbers(bets.weights)}"


def _over(rule: PairRule, *, runs: int) -> float:
    """Pairs over the least that any test needs, geometric mean of all cells."""
    logs = []
    for place, cell in enumerate(CELLS):
        outcomes = outcomes_of(cell.law.champion_only, cell.law.canary_only, runs, _SEED + place)
        logs.append(math.log(float(ending_of_rule(outcomes, runs, rule).pairs.mean()) / cell.least))
    return math.exp(sum(logs) / len(logs))


def _on(rule: PairRule, published: PublishedPair, *, runs: int) -> tuple[float, float]:
    """The part of right verdicts on published outcomes, and the issues until one."""
    differences = differences_of(published.champion, published.canary)
    lost, won = float((differences < 0).mean()), float((differences > 0).mean())
    ending = ending_of_rule(outcomes_of(lost, won, runs, _SEED), runs, rule)
    right = ROLL_BACK if differences.mean() < -POLICY.delta / 2 else GRADUATE
    return ending.part(right), float(ending.pairs.mean())
