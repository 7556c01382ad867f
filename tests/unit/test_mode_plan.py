"""The ways to try a version, beside each other: each by its own test, in the same units."""

import pytest
import redis

from console.details.trial_plan import LEAST_JOBS, pace_of, said_of_pairs
from harvest.draws.draw_plan import plan
from harvest.evidence.policy import TrialPolicy
from harvest.pairs.pair_plan import plan_pairs
from harvest.trials.mode_plan import Pace, compare, plan_backtest, plan_shadow
from harvest.trials.way_plan import plan_way
from routing.jobs.signal import SignalKind
from routing.templates.step import StepKind
from routing.templates.trial import Mode
from tests.fleets.stepped_fleet import SteppedFleet
from tests.source import ROOT

POLICY = TrialPolicy(delta=0.3, share=0.2)


def test_each_way_has_the_numbers_of_its_own_plan() -> None:
    """A draw's issues are its jobs; a pair's are two runs each, of which nobody sees the canary's."""
    drawn = plan(policy=POLICY, baseline=0.7, difference=-0.3)
    pairs = plan_pairs(policy=POLICY, baseline=0.7, difference=-0.3)
    pace = Pace(usd_per_run=2.0, issues_per_day=10.0, seconds_per_run=864.0, pairs_at_once=2)
    usual, half, shadow, past = compare(POLICY, baseline=0.7, drawn=drawn, pace=pace)
    assert (usual.mode, usual.share, half.share, shadow.mode) == ("draw", 0.2, 0.5, "shadow")
    assert usual.issues == usual.runs == drawn.mean_canary_jobs / 0.2
    assert (usual.exposed, usual.extra_usd) == (drawn.mean_canary_jobs, 0.0)
    assert (shadow.issues, shadow.runs) == (pairs.mean_pairs, 2 * pairs.mean_pairs)
    assert (shadow.exposed, shadow.extra_usd) == (0.0, 2.0 * pairs.mean_pairs)
    assert (shadow.usd, shadow.days) == (4.0 * pairs.mean_pairs, pairs.mean_pairs / 10.0)
    assert shadow.issues < half.issues < usual.issues
    assert (past.mode, past.issues, past.runs, past.exposed) == ("backtest", 0.0, shadow.runs, 0.0)
    assert past.extra_usd == 4.0 * pairs.mean_pairs
    assert past.days == pytest.approx(pairs.mean_pairs / 2 * 0.01), "two at a time, a hundredth of a day each"


def test_issues_that_are_not_paired_are_one_run() -> None:
    """With half of the issues paired it takes twice as many, and three runs for each pair."""
    policy = POLICY.model_copy(update={"mode": Mode.SHADOW, "pair_share": 0.5})
    whole, half = (plan_shadow(each, baseline=0.7, difference=0.0, pace=Pace()) for each in (POLICY, policy))
    assert half.issues == 2 * whole.issues
    assert half.runs == pytest.approx(1.5 * whole.runs)
    assert (half.usd, half.days) == (None, None)


def test_the_pace_is_that_of_the_newest_jobs(redis_client: redis.Redis) -> None:
    """The mean cost of jobs whose cost is known, and how many came in a day; too few say nothing."""
    fleet = SteppedFleet(redis_client)
    fleet.add()
    assert pace_of(fleet.app, "implementer") == Pace(), "nothing is known"
    for usd in (1.0, 2.0, None, 3.0, 4.0):
        job = fleet.enqueue().job
        fleet.spend(fleet.claim(job), usd=usd, seconds=30.0)
        fleet.clock.forward(31)
        fleet.end(job, SignalKind.FINISHED)
        fleet.clock.forward(86_400 / 4 - 31)
    assert LEAST_JOBS == 5
    assert pace_of(fleet.app, "implementer") == Pace(
        usd_per_run=2.5, issues_per_day=4.0, seconds_per_run=30.0
    )  # fmt: skip


def test_the_one_who_opens_a_trial_of_pairs_hears_what_it_takes() -> None:
    """Issues, runs and money; the budget where there is one."""
    policy = POLICY.model_copy(update={"mode": Mode.SHADOW, "budget_usd": 50.0})
    way = plan_shadow(policy, baseline=policy.prior_mean, difference=0.0, pace=Pace(usd_per_run=2.0))
    said = said_of_pairs(policy, Pace(usd_per_run=2.0))
    assert f"about {way.issues:.0f} issues and {way.runs:.0f} runs" in said
    assert f"about {way.extra_usd:.2f} USD more" in said
    assert "expires at 50 USD" in said
    assert "USD more" not in said_of_pairs(policy, Pace())


#: Few jobs decide, as planning needs them all.
WIDE = TrialPolicy(delta=0.5, share=0.5)

ALL = (StepKind.BACKTEST, StepKind.SHADOW, StepKind.DRAW)


def test_a_way_takes_what_its_steps_take_as_far_as_they_are_reached() -> None:
    """Each step at a third of alpha, with the chance that those before were passed."""
    pace = Pace(usd_per_run=2.0, issues_per_day=10.0, seconds_per_run=864.0)
    found = plan_way(WIDE, ALL, baseline=0.7, difference=-0.1, pace=pace)
    past, shadow, drawn = (each.plan for each in found.steps)
    assert [each.reached for each in found.steps] == [
        1.0, past.graduate, pytest.approx(past.graduate * shadow.graduate),
    ]  # fmt: skip
    third = WIDE.model_copy(update={"alpha": WIDE.alpha / 3})
    assert past == plan_backtest(third, baseline=0.7, difference=-0.1, pace=pace)
    assert drawn.exposed == plan(policy=third, baseline=0.7, difference=-0.1).mean_canary_jobs
    reached, whole = [each.reached for each in found.steps], found.whole
    plans = (past, shadow, drawn)
    assert whole.runs == pytest.approx(sum(a * b.runs for a, b in zip(reached, plans, strict=True)))
    assert whole.exposed == pytest.approx(reached[2] * drawn.exposed)
    assert whole.extra_usd == pytest.approx(2.0 * (past.runs + reached[1] * shadow.runs / 2))
    assert whole.graduate == pytest.approx(reached[2] * drawn.graduate)
    assert whole.graduate + whole.roll_back + whole.undecided == pytest.approx(1.0)
    live = reached[1] * shadow.issues + reached[2] * drawn.issues
    assert whole.days == pytest.approx(past.runs / 2 * 0.01 + live / 10)


def test_what_is_unknown_of_one_step_is_unknown_of_the_way() -> None:
    """Dollars that nobody said are no 0."""
    pace = Pace(issues_per_day=10.0)
    whole = plan_way(WIDE, ALL, baseline=0.7, difference=-0.5, pace=pace).whole
    assert (whole.usd, whole.extra_usd, whole.days) == (None, None, None)


def test_a_worse_version_exposes_nobody_on_a_way() -> None:
    """It is rolled back by past issues, so that it seldom comes to the draw."""
    drawn = plan(policy=WIDE, baseline=0.7, difference=-0.5)
    whole = plan_way(WIDE, ALL, baseline=0.7, difference=-0.5, pace=Pace()).whole
    assert whole.roll_back > 0.9
    assert whole.exposed < drawn.mean_canary_jobs / 20


def test_the_worked_example_of_the_documentation() -> None:
    """docs/evidence.md: what a way takes for versions that are worse, as good, and better."""
    page = (ROOT / "docs/evidence.md").read_text(encoding="utf-8")
    policy = TrialPolicy(delta=0.3, share=0.5)
    for canary in (4, 7, 8):
        gap = (canary - 7) / 10
        found = plan_way(policy, ALL, baseline=0.7, difference=gap, pace=Pace())
        whole, (_, shadow, drawn) = found.whole, found.steps
        cells = (
            f"{canary} of 10", f"{shadow.reached:.0%}", f"{drawn.reached:.0%}", f"{whole.issues:.0f}",
            f"{whole.runs:.0f}", f"{whole.exposed:.0f}", f"{whole.roll_back:.0%}", f"{whole.graduate:.0%}",
        )  # fmt: skip
        assert f"| {' | '.join(cells)} |".replace("%", " %") in page
        if canary == 7:
            past, live, real = (step.plan for step in found.steps)
            assert f"{past.runs:.0f} runs on past issues, then {live.issues:.0f} live issues" in page
            assert f"then {real.issues:.0f} of which it works on the half" in page
