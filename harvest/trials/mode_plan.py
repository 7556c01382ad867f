"""The ways to try a version, beside each other: what a verdict takes in issues, runs, money and days.

Each way is simulated with its own test (`draw_plan`, `pair_plan`); here their units are made comparable. An
issue of a draw is one run, and the canary's runs are what users see. An issue of a pair is two runs, of which
users see the champion's; issues that are not paired are one. A backtest needs past issues alone, two runs for
each, and shows users nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from harvest.draws.draw_plan import Plan, plan
from harvest.evidence.policy import TrialPolicy
from harvest.pairs.pair_plan import AGREEMENT, PairPlan, plan_pairs
from routing.templates.trial import Mode

#: The share at which a draw needs the fewest jobs.
HALF = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """What a template's work was like so far."""

    usd_per_run: float | None = None  # mean of its jobs whose cost is known; None: of none
    issues_per_day: float | None = None  # None: too few to say
    seconds_per_run: float | None = None  # mean of what the turns of its jobs took; None: of none
    pairs_at_once: int = 1  # cases of backtests that are at work at the same time


@dataclass(frozen=True, kw_only=True, slots=True)
class ModePlan:
    """What to expect of one way, for one difference of the canary."""

    mode: Literal["draw", "shadow", "backtest", "way"]  # way: several, one after the other
    share: float  # part of the issues: of the canary, or that both versions work on; 1 for a way
    difference: float  # assumed: canary's mean score - champion's mean score
    issues: float  # that come in until it ends, on average, like all below; a backtest waits for none
    runs: float  # jobs of both versions
    exposed: float  # jobs of the canary whose work users see
    roll_back: float  # part of the trials that ends so, like the next two
    graduate: float
    undecided: float
    usd: float | None  # of all runs
    extra_usd: float | None  # of the runs that would not be without the trial
    days: float | None  # until so many issues came in; of a backtest, while its runs are at work


def compare(
    policy: TrialPolicy, *, baseline: float, drawn: Plan, pace: Pace, agreement: float = AGREEMENT
) -> Iterator[ModePlan]:
    """The ways for the difference of `drawn`, which is the plan of a draw at the policy's share."""
    yield plan_draw(drawn, policy.share, pace)
    gap = drawn.difference
    if policy.share != HALF:
        yield plan_draw(plan(policy=policy, baseline=baseline, difference=gap, share=HALF), HALF, pace)
    shadow = plan_shadow(policy, baseline=baseline, difference=gap, pace=pace, agreement=agreement)
    yield shadow
    yield _on_past_issues(shadow, policy.pair_share, pace)


def plan_shadow(
    policy: TrialPolicy, *, baseline: float, difference: float, pace: Pace, agreement: float = AGREEMENT
) -> ModePlan:
    """What to expect of a trial of pairs on live issues."""
    found = _pairs(_of_pairs(policy), baseline, difference, agreement)
    issues = found.mean_pairs / policy.pair_share
    return ModePlan(
        mode="shadow", share=policy.pair_share, difference=difference, issues=issues,
        runs=issues + found.mean_pairs, exposed=0.0, roll_back=found.roll_back, graduate=found.graduate,
        undecided=found.undecided, usd=_times(issues + found.mean_pairs, pace.usd_per_run),
        extra_usd=_times(found.mean_pairs, pace.usd_per_run), days=_days(issues, pace),
    )  # fmt: skip


def plan_backtest(policy: TrialPolicy, *, baseline: float, difference: float, pace: Pace) -> ModePlan:
    """What to expect of a backtest."""
    live = policy.model_copy(update={"pair_share": 1.0})
    return _on_past_issues(plan_shadow(live, baseline=baseline, difference=difference, pace=pace), 1.0, pace)


def _of_pairs(policy: TrialPolicy) -> TrialPolicy:
    """Without what says nothing of how many pairs it takes: the mode, the share and guardrails."""
    return policy.model_copy(update={"mode": Mode.SHADOW, "pair_share": 1.0, "guardrails": ()})


@lru_cache(maxsize=64)
def _pairs(policy: TrialPolicy, baseline: float, difference: float, agreement: float) -> PairPlan:
    """A simulation costs a third of a second and is always the same: pages ask for one again and again."""
    return plan_pairs(policy=policy, baseline=baseline, difference=difference, agreement=agreement)


def _on_past_issues(shadow: ModePlan, pair_share: float, pace: Pace) -> ModePlan:
    """The same test on cases: each is a pair, whose runs would not be without it, side by side."""
    pairs = shadow.issues * pair_share
    runs, seconds = 2 * pairs, _times(pairs / pace.pairs_at_once, pace.seconds_per_run)
    usd, days = _times(runs, pace.usd_per_run), None if seconds is None else seconds / 86_400
    return replace(
        shadow, mode="backtest", share=1.0, issues=0.0, runs=runs, usd=usd, extra_usd=usd, days=days
    )


def plan_draw(found: Plan, share: float, pace: Pace) -> ModePlan:
    """What to expect of a draw at that share, by its own plan."""
    issues = found.mean_canary_jobs / share
    return ModePlan(
        mode="draw", share=share, difference=found.difference, issues=issues, runs=issues,
        exposed=found.mean_canary_jobs, roll_back=found.roll_back, graduate=found.graduate,
        undecided=found.undecided, usd=_times(issues, pace.usd_per_run),
        extra_usd=None if pace.usd_per_run is None else 0.0, days=_days(issues, pace),
    )  # fmt: skip


def _times(runs: float, each: float | None) -> float | None:
    return None if each is None else runs * each


def _days(issues: float, pace: Pace) -> float | None:
    return issues / pace.issues_per_day if pace.issues_per_day else None
