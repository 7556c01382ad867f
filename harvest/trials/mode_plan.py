"""The ways to try a version, beside each other: what a verdict takes in issues, runs, money and days.

Each way is simulated with its own test (`draw_plan`, `pair_plan`); here their units are made comparable. An
issue of a draw is one run, and the canary's runs are what users see. An issue of a pair is two runs, of which
users see the champion's; issues that are not paired are one. A backtest needs past issues alone, two runs for
each, and shows users nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from harvest.draws.draw_plan import Plan, plan
from harvest.evidence.policy import TrialPolicy
from harvest.pairs.pair_plan import AGREEMENT, plan_pairs

#: The share at which a draw needs the fewest jobs.
HALF = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """What a template's work was like so far."""

    usd_per_run: float | None = None  # mean of its jobs whose cost is known; None: of none
    issues_per_day: float | None = None  # None: too few to say


@dataclass(frozen=True, kw_only=True, slots=True)
class ModePlan:
    """What to expect of one way, for one difference of the canary."""

    mode: Literal["draw", "shadow", "backtest"]
    share: float  # part of the issues: of the canary, or that both versions work on
    difference: float  # assumed: canary's mean score - champion's mean score
    issues: float  # that come in until it ends, on average, like all below; a backtest waits for none
    runs: float  # jobs of both versions
    exposed: float  # jobs of the canary whose work users see
    roll_back: float  # part of the trials that ends so, like the next two
    graduate: float
    undecided: float
    usd: float | None  # of all runs
    extra_usd: float | None  # of the runs that would not be without the trial
    days: float | None  # None for a backtest too: it takes as long as its runs


def compare(
    policy: TrialPolicy, *, baseline: float, drawn: Plan, pace: Pace, agreement: float = AGREEMENT
) -> Iterator[ModePlan]:
    """The ways for the difference of `drawn`, which is the plan of a draw at the policy's share."""
    yield _of_draw(drawn, policy.share, pace)
    gap = drawn.difference
    if policy.share != HALF:
        yield _of_draw(plan(policy=policy, baseline=baseline, difference=gap, share=HALF), HALF, pace)
    shadow = plan_shadow(policy, baseline=baseline, difference=gap, pace=pace, agreement=agreement)
    yield shadow
    yield _on_past_issues(shadow, policy.pair_share, pace)


def plan_shadow(
    policy: TrialPolicy, *, baseline: float, difference: float, pace: Pace, agreement: float = AGREEMENT
) -> ModePlan:
    """What to expect of a trial of pairs on live issues."""
    found = plan_pairs(policy=policy, baseline=baseline, difference=difference, agreement=agreement)
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


def _on_past_issues(shadow: ModePlan, pair_share: float, pace: Pace) -> ModePlan:
    """The same test on cases: each is a pair, and both of its runs would not be without it."""
    runs = 2 * shadow.issues * pair_share
    usd = _times(runs, pace.usd_per_run)
    return replace(
        shadow, mode="backtest", share=1.0, issues=0.0, runs=runs, usd=usd, extra_usd=usd, days=None
    )


def _of_draw(found: Plan, share: float, pace: Pace) -> ModePlan:
    issues = found.mean_canary_jobs / share
    return ModePlan(
        mode="draw", share=share, difference=found.difference, issues=issues, runs=issues,
        exposed=found.mean_canary_jobs, roll_back=found.roll_back, graduate=found.graduate,
        undecided=found.undecided, usd=_times(issues, pace.usd_per_run),
        extra_usd=None if pace.usd_per_run is None else 0.0, days=_days(issues, pace),
    )  # fmt: skip


def _times(runs: float, usd: float | None) -> float | None:
    return None if usd is None else runs * usd


def _days(issues: float, pace: Pace) -> float | None:
    return issues / pace.issues_per_day if pace.issues_per_day else None
