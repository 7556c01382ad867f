"""Planning a trial: how many canary jobs it will take, before a single one is drawn.

Trials are simulated with the very wagers and thresholds that the real ones use, under two simplifications:
scores are 0 or 1 and settle at once, and the share does not ramp. Beside the simulation stands the lower
bound that no test with these error rates can beat.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from harvest.draws.baseline import Sums
from harvest.draws.draw_wager import draw_not_worse, wager
from harvest.evidence.policy import TrialPolicy
from harvest.evidence.segment import ZEROS, plus
from harvest.evidence.verdict import Verdict
from harvest.evidence.wager import Null, Triple
from routing.errors import InvalidInputError
from routing.templates.trial import Arm

#: Simulated trials, enough for a mean and a 90th percentile to plan by; the seed makes a plan repeatable.
RUNS = 300
_SEED = 20_260_101
#: Jobs simulated at most over all runs, so that a plan takes seconds whatever is asked.
_JOBS = 500_000

#: Steps of the search for the lower bound, and the distance that means keep from 0 and 1 in it.
_STEPS = 100
_EDGE = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What to expect of a trial whose canary differs from the champion by `difference`."""

    difference: float  # assumed: canary's mean score - champion's mean score
    mean_canary_jobs: float  # until the trial ends, by a verdict or by its limit
    p90_canary_jobs: int  # nine trials in ten need no more
    roll_back: float  # part of the trials that ends so
    graduate: float
    undecided: float  # part that reaches the limit of canary jobs
    lower_bound: float  # canary jobs that any test needs on average for the right verdict, no limit set
    runs: int  # simulated trials


def plan(
    *,
    policy: TrialPolicy,
    baseline: float,
    difference: float,
    delta: float | None = None,
    share: float | None = None,
    runs: int = RUNS,
    seed: int = _SEED,
) -> Plan:
    """Simulate trials of a canary whose mean score differs from the champion's `baseline` by `difference`.

    `delta` and `share` replace those of the policy. Fewer than `runs` trials are simulated when they take too
    many jobs: see `Plan.runs`. InvalidInputError for numbers that cannot be scores.
    """
    if not 0.0 <= baseline <= 1.0 or not -1.0 <= difference <= 1.0:
        raise InvalidInputError(
            f"a plan needs a baseline in [0,1] and a difference in [-1,1], not {baseline!r} and "
            f"{difference!r}; give the champion's mean score and what you expect the canary to add to it"
        )
    policy = TrialPolicy.checked(
        **{
            **policy.model_dump(),
            "delta": policy.delta if delta is None else delta,
            "share": policy.share if share is None else share,
        }
    )
    canary_rate = min(max(baseline + difference, 0.0), 1.0)
    generator = random.Random(seed)  # noqa: S311 - a simulation, not a secret
    nulls = draw_not_worse(policy, margin=policy.margin), Null.at_most(-policy.delta, delta=policy.delta)

    @cache
    def factors(arm: Arm, score: float, baseline: float) -> tuple[Triple, Triple]:
        worse, better = (wager(null, arm, policy.share, baseline).ln_factors(score) for null in nulls)
        return worse, better

    jobs_left = _JOBS
    endings: list[_Ending] = []
    while len(endings) < max(runs, 1) and jobs_left > 0:
        ending = _simulate(policy, (baseline, canary_rate), generator, nulls, factors)
        jobs_left -= ending.jobs
        endings.append(ending)
    return _summary(policy, baseline, difference, endings)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Ending:
    """How one simulated trial ended."""

    verdict: Verdict
    canary_jobs: int
    jobs: int  # of both arms


def _simulate(
    policy: TrialPolicy,
    rates: tuple[float, float],
    draws: random.Random,
    nulls: tuple[Null, Null],
    factors: Callable[[Arm, float, float], tuple[Triple, Triple]],
) -> _Ending:
    """One trial without delays, so that the evidence is simply the largest wealth so far.

    `rates` are the champion's and the canary's; `factors` gives the logarithms of what a score of an arm
    multiplies the wealth against each of the two nulls by, at a baseline.
    """
    champion_rate, canary_rate = rates
    worse_null, better_null = nulls
    enough_to_roll_back, enough_to_graduate = math.log(1 / policy.alpha), math.log(1 / policy.beta)
    worse: Triple = ZEROS
    better: Triple = ZEROS
    champion = Sums()
    baseline = _rounded(champion, policy)
    jobs = canary_jobs = 0
    while canary_jobs < policy.max_canary_jobs:
        jobs += 1
        arm = Arm.CANARY if draws.random() < policy.share else Arm.CHAMPION
        score = float(draws.random() < (canary_rate if arm is Arm.CANARY else champion_rate))
        against_worse, against_better = factors(arm, score, baseline)
        worse = plus(worse, against_worse)
        better = plus(better, against_better)
        if arm is Arm.CANARY:
            canary_jobs += 1
        else:
            champion = champion.add(score)
            baseline = _rounded(champion, policy)
        if _reached(worse_null, worse, enough_to_roll_back):
            return _Ending(verdict=Verdict.ROLL_BACK, canary_jobs=canary_jobs, jobs=jobs)
        if _reached(better_null, better, enough_to_graduate):
            return _Ending(verdict=Verdict.GRADUATE, canary_jobs=canary_jobs, jobs=jobs)
    return _Ending(verdict=Verdict.EXPIRE, canary_jobs=canary_jobs, jobs=jobs)


def _rounded(champion: Sums, policy: TrialPolicy) -> float:
    return round(champion.mean(towards=policy.prior_mean, weight=policy.prior_weight), 2)


def _reached(null: Null, ln_wealth: Triple, threshold: float) -> bool:
    """Whether the mixture reaches the threshold; it never exceeds its largest part."""
    return max(ln_wealth) >= threshold and null.ln_mixture(ln_wealth) >= threshold


def _summary(policy: TrialPolicy, baseline: float, difference: float, endings: list[_Ending]) -> Plan:
    """Means and parts of the simulated endings."""
    runs = len(endings)
    canary_jobs = sorted(ending.canary_jobs for ending in endings)

    def part(verdict: Verdict) -> float:
        return sum(ending.verdict is verdict for ending in endings) / runs

    return Plan(
        difference=difference,
        mean_canary_jobs=sum(canary_jobs) / runs,
        p90_canary_jobs=canary_jobs[math.ceil(0.9 * runs) - 1],
        roll_back=part(Verdict.ROLL_BACK),
        graduate=part(Verdict.GRADUATE),
        undecided=part(Verdict.EXPIRE),
        lower_bound=least_canary_jobs(
            policy, baseline=baseline, difference=min(max(baseline + difference, 0.0), 1.0) - baseline
        ),
        runs=runs,
    )


def least_canary_jobs(policy: TrialPolicy, *, baseline: float, difference: float) -> float:
    """The lower bound for the verdict that is right: to roll back below the middle of the two nulls."""
    if difference < -(policy.margin + policy.delta) / 2:
        gap, level = -policy.margin, policy.alpha
    else:
        gap, level = -policy.delta, policy.beta
    return lower_bound(baseline=baseline, difference=difference, gap=gap, share=policy.share, level=level)


def kl(p: float, q: float) -> float:
    """Kullback-Leibler divergence of Bernoulli(p) from Bernoulli(q), in nats."""
    total = 0.0
    if p > 0:
        total += p * math.log(p / q)
    if p < 1:
        total += (1 - p) * math.log((1 - p) / (1 - q))
    return total


def lower_bound(*, baseline: float, difference: float, gap: float, share: float, level: float) -> float:
    """Canary jobs that any test needs on average to reject "D is at `gap`" when D is `difference`.

    Scores are 0 or 1. The bound is Wald's (1945), for sequential tests with error rate `level` on both sides:
    share * kl(1 - level, level) / min over q0 of (1 - share) * kl(p0, q0) + share * kl(p1, q0 + gap), where
    p0 and p1 are the means of champion and canary. It is infinite when D is at the gap.
    """
    canary = min(max(baseline + difference, 0.0), 1.0)

    def information(champion: float) -> float:
        """The information of a job, in nats, against the null whose champion has this mean; convex."""
        return (1 - share) * kl(baseline, champion) + share * kl(canary, champion + gap)

    low, high = max(0.0, -gap) + _EDGE, min(1.0, 1.0 - gap) - _EDGE
    for _ in range(_STEPS):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        if information(left) < information(right):
            high = right
        else:
            low = left
    least = information((low + high) / 2)
    return share * kl(1 - level, level) / least if least > _EDGE else math.inf
