"""Planning a paired trial: how many pairs it will take, before a single one is run.

Trials are simulated with the wagers and thresholds that the real ones use; scores are 0 or 1 and settle at
once. Beside the simulation stands what no valid test with these stakes could beat.
"""

import math
import random
from dataclasses import dataclass

from harvest.evidence.policy import TrialPolicy
from harvest.evidence.segment import ZEROS, plus
from harvest.evidence.verdict import Verdict
from harvest.evidence.wager import Triple
from harvest.pairs.pair_counts import Discordance
from harvest.pairs.pair_rule import PairRule
from harvest.pairs.pair_wager import pair_wager
from routing.errors import InvalidInputError

#: Simulated trials, enough for a mean and a 90th percentile to plan by; the seed makes a plan repeatable.
RUNS = 300
_SEED = 20_260_102
#: Pairs simulated at most over all runs, so that a plan takes seconds whatever is asked.
_PAIRS = 300_000

#: How far outcomes of neighbouring versions agree where nothing else is known: their correlation, as
#: measured between published outcomes of models on the same cases (0.45 to 0.62).
AGREEMENT = 0.5

_STEPS = 100
_EDGE = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class PairLaw:
    """How a pair comes out, scores being 0 or 1: the chances that only one of the two versions solves it."""

    champion_only: float  # P(d = -1)
    canary_only: float  # P(d = 1)

    @classmethod
    def of(cls, *, champion: float, canary: float, agreement: float) -> "PairLaw":
        """The law of two rates in [0,1] and the correlation of the outcomes, as far as the rates allow it."""
        spread = math.sqrt(champion * (1 - champion) * canary * (1 - canary))
        both = champion * canary + agreement * spread
        both = min(max(both, champion + canary - 1.0, 0.0), champion, canary)
        return cls(champion_only=champion - both, canary_only=canary - both)

    def least_pairs(self, *, gap: float, level: float) -> float:
        """Pairs that the best of all stakes needs on average to reject "E[d] is at `gap`"; inf when it is.

        ln(1/level) over the largest expected logarithm of a factor 1 + slope * (d - gap): the bound of every
        test of a bounded mean (Kaufmann & Koolen 2021), for outcomes of this law.
        """
        law = (
            (self.champion_only, -1.0),
            (1.0 - self.champion_only - self.canary_only, 0.0),
            (self.canary_only, 1.0),
        )

        def growth(slope: float) -> float:
            return sum(
                part * math.log(max(1.0 + slope * (outcome - gap), _EDGE)) for part, outcome in law if part
            )

        rises = self.canary_only - self.champion_only > gap
        low, high = (0.0, 1.0 / (1.0 + gap)) if rises else (-1.0 / (1.0 - gap), 0.0)
        for _ in range(_STEPS):
            left, right = low + (high - low) / 3, high - (high - low) / 3
            low, high = (left, high) if growth(left) < growth(right) else (low, right)
        best = growth((low + high) / 2)
        return math.log(1.0 / level) / best if best > _EDGE else math.inf


@dataclass(frozen=True, kw_only=True, slots=True)
class PairPlan:
    """What to expect of a paired trial whose canary differs from the champion by `difference`."""

    difference: float  # assumed: canary's mean score - champion's mean score
    mean_pairs: float  # until the trial ends, by a verdict or by its limit; each is two runs
    p90_pairs: int  # nine trials in ten need no more
    roll_back: float  # part of the trials that ends so
    graduate: float
    undecided: float  # part that reaches the limit of pairs
    lower_bound: float  # pairs that any test needs on average for the right verdict, no limit set
    runs: int  # simulated trials


def plan_pairs(
    *, policy: TrialPolicy, baseline: float, difference: float, agreement: float = AGREEMENT,
    runs: int = RUNS, seed: int = _SEED,
) -> PairPlan:  # fmt: skip
    """Simulate paired trials of a canary whose mean score differs from `baseline` by `difference`.

    `agreement` is the correlation of both versions' outcomes on the same issue, in [0,1]. Fewer than `runs`
    trials are simulated when they take too many pairs: see `PairPlan.runs`. InvalidInputError for numbers
    that cannot be scores or a correlation.
    """
    if not 0.0 <= baseline <= 1.0 or not -1.0 <= difference <= 1.0 or not 0.0 <= agreement <= 1.0:
        raise InvalidInputError(
            "a plan needs a baseline and an agreement in [0,1] and a difference in [-1,1], not "
            f"{baseline!r}, {agreement!r} and {difference!r}; give the champion's mean score, how far "
            "outcomes agree, and what you expect the canary to add"
        )
    canary = min(max(baseline + difference, 0.0), 1.0)
    law = PairLaw.of(champion=baseline, canary=canary, agreement=agreement)
    generator = random.Random(seed)  # noqa: S311 - a simulation, not a secret
    left = _PAIRS
    endings: list[tuple[Verdict, int]] = []
    while len(endings) < max(runs, 1) and left > 0:
        endings.append(_simulate(policy, law, generator))
        left -= endings[-1][1]
    pairs = sorted(taken for _, taken in endings)

    def part(verdict: Verdict) -> float:
        return sum(ended is verdict for ended, _ in endings) / len(endings)

    worse = canary - baseline < -(policy.margin + policy.delta) / 2
    gap, level = (-policy.margin, policy.alpha) if worse else (-policy.delta, policy.beta)
    return PairPlan(
        difference=difference,
        mean_pairs=sum(pairs) / len(pairs),
        p90_pairs=pairs[math.ceil(0.9 * len(pairs)) - 1],
        roll_back=part(Verdict.ROLL_BACK),
        graduate=part(Verdict.GRADUATE),
        undecided=part(Verdict.EXPIRE),
        lower_bound=law.least_pairs(gap=gap, level=level),
        runs=len(endings),
    )


def _simulate(policy: TrialPolicy, law: PairLaw, draws: random.Random) -> tuple[Verdict, int]:
    """The verdict of one trial without delays, and its pairs: the evidence is the largest wealth so far."""
    rule = PairRule.of(policy)
    worse_null = rule.not_worse(margin=policy.margin, delta=policy.delta)
    better_null = rule.at_most(-policy.delta, delta=policy.delta)
    enough_to_roll_back, enough_to_graduate = math.log(1 / policy.alpha), math.log(1 / policy.beta)
    worse: Triple = ZEROS
    better: Triple = ZEROS
    discordance = Discordance()
    for pairs in range(1, policy.max_canary_jobs + 1):
        number, frozen = draws.random(), discordance.value(rule.belief)
        won = number >= law.champion_only
        difference = (float(number < law.champion_only + law.canary_only)) if won else -1.0
        worse = plus(worse, pair_wager(worse_null, frozen).ln_factors(difference))
        better = plus(better, pair_wager(better_null, frozen).ln_factors(difference))
        discordance = discordance.add(difference)
        if worse_null.ln_mixture(worse) >= enough_to_roll_back:
            return Verdict.ROLL_BACK, pairs
        if better_null.ln_mixture(better) >= enough_to_graduate:
            return Verdict.GRADUATE, pairs
    return Verdict.EXPIRE, policy.max_canary_jobs
