"""The ways to try a version, beside each other: each by its own test, in the same units."""

import pytest
import redis

from console.commands.plan import LEAST_JOBS, pace_of, said_of_pairs
from harvest.draws.draw_plan import plan
from harvest.evidence.policy import TrialPolicy
from harvest.pairs.pair_plan import plan_pairs
from harvest.trials.mode_plan import Pace, compare, plan_shadow
from routing.jobs.signal import SignalKind
from routing.templates.trial import Mode
from tests.fleets.stepped_fleet import SteppedFleet

POLICY = TrialPolicy(delta=0.3, share=0.2)


def test_each_way_has_the_numbers_of_its_own_plan() -> None:
    """A draw's issues are its jobs; a pair's are two runs each, of which nobody sees the canary's."""
    drawn = plan(policy=POLICY, baseline=0.7, difference=-0.3)
    pairs = plan_pairs(policy=POLICY, baseline=0.7, difference=-0.3)
    pace = Pace(usd_per_run=2.0, issues_per_day=10.0)
    usual, half, shadow, past = compare(POLICY, baseline=0.7, drawn=drawn, pace=pace)
    assert (usual.mode, usual.share, half.share, shadow.mode) == ("draw", 0.2, 0.5, "shadow")
    assert usual.issues == usual.runs == drawn.mean_canary_jobs / 0.2
    assert (usual.exposed, usual.extra_usd) == (drawn.mean_canary_jobs, 0.0)
    assert (shadow.issues, shadow.runs) == (pairs.mean_pairs, 2 * pairs.mean_pairs)
    assert (shadow.exposed, shadow.extra_usd) == (0.0, 2.0 * pairs.mean_pairs)
    assert (shadow.usd, shadow.days) == (4.0 * pairs.mean_pairs, pairs.mean_pairs / 10.0)
    assert shadow.issues < half.issues < usual.issues
    assert (past.mode, past.issues, past.runs, past.exposed) == ("backtest", 0.0, shadow.runs, 0.0)
    assert (past.extra_usd, past.days) == (4.0 * pairs.mean_pairs, None)


def test_issues_that_are_not_paired_are_one_run() -> None:
    """With half of the issues paired it takes twice as many, and three runs for each pair."""
    policy = POLICY.model_copy(update={"mode": Mode.SHADOW, "pair_share": 0.5})
    whole, half = (plan_shadow(each, baseline=0.7, difference=0.0, pace=Pace()) for each in (POLICY, policy))
    assert half.issues == 2 * whole.issues
    assert half.runs == pytest.approx(1.5 * whole.runs)
    assert (half.usd, half.days) == (None, None)


def test_the_pace_is_that_of_the_newest_jobs(fake_redis: redis.Redis) -> None:
    """The mean cost of jobs whose cost is known, and how many came in a day; too few say nothing."""
    fleet = SteppedFleet(fake_redis)
    fleet.add()
    assert pace_of(fleet.app, "implementer") == Pace()
    for usd in (1.0, 2.0, None, 3.0, 4.0):
        job = fleet.enqueue().job
        fleet.spend(fleet.claim(job), usd=usd)
        fleet.clock.forward(31)
        fleet.end(job, SignalKind.FINISHED)
        fleet.clock.forward(86_400 / 4 - 31)
    assert LEAST_JOBS == 5
    assert pace_of(fleet.app, "implementer") == Pace(usd_per_run=2.5, issues_per_day=4.0)


def test_the_one_who_opens_a_trial_of_pairs_hears_what_it_takes() -> None:
    """Issues, runs and money; the budget where there is one."""
    policy = POLICY.model_copy(update={"mode": Mode.SHADOW, "budget_usd": 50.0})
    way = plan_shadow(policy, baseline=policy.prior_mean, difference=0.0, pace=Pace(usd_per_run=2.0))
    said = said_of_pairs(policy, Pace(usd_per_run=2.0))
    assert f"about {way.issues:.0f} issues and {way.runs:.0f} runs" in said
    assert f"about {way.extra_usd:.2f} USD more" in said
    assert "expires at 50 USD" in said
    assert "USD more" not in said_of_pairs(policy, Pace())
