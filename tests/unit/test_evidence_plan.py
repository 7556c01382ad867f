"""Planning a trial."""

import math

import pytest

from harvest.draws.draw_plan import plan
from harvest.evidence.policy import TrialPolicy
from routing.errors import InvalidInputError

POLICY = TrialPolicy()


def test_a_much_worse_canary_is_found_within_a_few_jobs() -> None:
    """D = -0.3 at champion 0.7 and share 0.1: about 22 canary jobs, 42 for nine in ten."""
    found = plan(policy=POLICY, baseline=0.7, difference=-0.3, runs=200)
    assert found.roll_back > 0.98
    assert 18 < found.mean_canary_jobs < 27
    assert found.mean_canary_jobs < found.p90_canary_jobs < 55
    assert found.lower_bound == pytest.approx(15.5, abs=0.1)


def test_a_better_canary_graduates() -> None:
    """D = 0.1: graduation, and the parts add up."""
    found = plan(policy=POLICY, baseline=0.7, difference=0.1, runs=100)
    assert found.graduate > 0.97
    assert found.graduate + found.roll_back + found.undecided == pytest.approx(1.0)


def test_more_is_asked_by_a_smaller_delta_and_less_is_allowed_by_a_limit() -> None:
    """Delta, share and the limit of the policy are what the plan follows."""
    coarse = plan(policy=POLICY, baseline=0.7, difference=0.0, delta=0.2, share=0.5, runs=50)
    fine = plan(policy=POLICY, baseline=0.7, difference=0.0, delta=0.1, share=0.5, runs=50)
    assert fine.mean_canary_jobs > 2 * coarse.mean_canary_jobs
    short = plan(policy=TrialPolicy(max_canary_jobs=10), baseline=0.7, difference=0.0, runs=50)
    assert short.p90_canary_jobs == 10
    assert short.undecided > 0.8


def test_the_same_question_has_the_same_answer() -> None:
    """The simulation is seeded."""
    first, second = (plan(policy=POLICY, baseline=0.7, difference=-0.3, runs=20) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("baseline", "difference"), [(1.2, 0.0), (math.nan, 0.0), (0.5, math.nan), (0.5, -2)]
)
def test_refuses_what_is_not_a_mean(baseline: float, difference: float) -> None:
    """Means lie between 0 and 1, and so do the sizes of their differences."""
    with pytest.raises(InvalidInputError, match="plan"):
        plan(policy=POLICY, baseline=baseline, difference=difference)
