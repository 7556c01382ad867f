"""What is staked on a job."""

import itertools
import math

import pytest

from harvest.draws.draw_plan import kl, lower_bound
from harvest.draws.draw_wager import stake_pairs, wager
from harvest.evidence.wager import Null
from routing.templates.trial import Arm

WORSE = Null.not_worse(margin=0.0, delta=0.1)
BETTER = Null.at_most(-0.1, delta=0.1)
GRID = list(
    itertools.product(
        [WORSE, BETTER, Null.not_worse(margin=0.05, delta=0.1), Null.at_most(-0.005, delta=0.005)],
        [0.01, 0.1, 0.5, 0.9],
        [0.0, 0.01, 0.3, 0.6, 0.97, 1.0],
    )
)


def test_alternatives_are_those_of_the_specification() -> None:
    """H_R bets on a loss of one, two and three deltas beyond the margin; H_G on none and on gains."""
    null = Null.not_worse(margin=0.02, delta=0.1)
    assert null.gap == -0.02
    assert null.alternatives == pytest.approx((-0.12, -0.22, -0.32))
    assert BETTER.alternatives == (0.0, 0.1, 0.2)  # exactly, as it is stored
    assert BETTER.gap == -0.1


def test_worked_example() -> None:
    """Share one half, champion 0.6, canary 0.4 against no gap: by symmetry both centres are 0.5."""
    _, pair, _ = stake_pairs(0.6, 0.5, 0.0, (-0.1, -0.2, -0.4))
    canary, champion = pair[Arm.CANARY], pair[Arm.CHAMPION]
    assert canary.centre == pytest.approx(0.5)
    assert champion.centre == pytest.approx(0.5)
    assert canary.slope == pytest.approx(-0.1 / 0.25)  # (0.4 - 0.5) / (0.5 * 0.5)
    assert champion.slope == pytest.approx(0.1 / 0.25)
    assert canary.factor(0.0) == pytest.approx(1.2)  # a failed canary job: 0.6 / 0.5
    assert canary.factor(1.0) == pytest.approx(0.8)  # 0.4 / 0.5


@pytest.mark.parametrize(("null", "share", "baseline"), GRID)
def test_arms_cancel(null: Null, share: float, baseline: float) -> None:
    """The slopes of both arms, weighted by the share, add up to nothing."""
    for pair in stake_pairs(baseline, share, null.gap, null.alternatives):
        balance = share * pair[Arm.CANARY].slope + (1 - share) * pair[Arm.CHAMPION].slope
        assert balance == pytest.approx(0.0, abs=1e-12)
        assert pair[Arm.CANARY].centre - pair[Arm.CHAMPION].centre == pytest.approx(null.gap)


@pytest.mark.parametrize(("null", "share", "baseline"), GRID)
def test_expectation_is_at_most_one_under_the_null(null: Null, share: float, baseline: float) -> None:
    """For every pair of means that the null allows, the bet does not win on average."""
    below = null.alternatives[0] < null.gap
    means = [step / 20 for step in range(21)]
    for champion, canary in itertools.product(means, means):
        gap = canary - champion
        if gap >= null.gap - 1e-12 if below else gap <= null.gap + 1e-12:
            for pair in stake_pairs(baseline, share, null.gap, null.alternatives):
                mean = share * pair[Arm.CANARY].factor(canary) + (1 - share) * pair[Arm.CHAMPION].factor(
                    champion
                )
                assert mean <= 1 + 1e-9


@pytest.mark.parametrize(("null", "share", "baseline"), GRID)
def test_no_factor_is_below_a_twentieth(null: Null, share: float, baseline: float) -> None:
    """A single outcome takes at most 95 % of the wealth, and the worst is what an open job counts at."""
    for arm in Arm:
        staked = wager(null, arm, share, baseline)
        for stake, lowest in zip(staked.stakes, staked.lowest, strict=True):
            worst = min(stake.factor(0.0), stake.factor(1.0))
            assert 0.05 - 1e-9 <= worst <= 1.0
            assert math.exp(lowest) == pytest.approx(worst)


def test_the_bet_wins_where_the_alternative_is_true() -> None:
    """With a right baseline a canary that is 0.2 worse makes the second bet grow."""
    pair = stake_pairs(0.7, 0.1, WORSE.gap, WORSE.alternatives)[1]
    growth = sum(
        part * (mean * math.log(pair[arm].factor(1.0)) + (1 - mean) * math.log(pair[arm].factor(0.0)))
        for arm, part, mean in ((Arm.CANARY, 0.1, 0.5), (Arm.CHAMPION, 0.9, 0.7))
    )
    bound = lower_bound(baseline=0.7, difference=-0.2, gap=0.0, share=0.1, level=0.05)
    assert growth == pytest.approx(0.1 * kl(0.95, 0.05) / bound)  # nothing grows faster


def test_nothing_is_staked_where_the_bound_on_means_turns_the_alternative_round() -> None:
    """With a champion near 0 the canary's mean cannot be lower by more than the margin: no bet."""
    pairs = stake_pairs(0.0, 0.1, -0.05, (-0.15, -0.25, -0.45))
    assert [pair[Arm.CANARY].slope for pair in pairs] == [0.0, 0.0, 0.0]


def test_mixture_does_not_overflow() -> None:
    """The weighted sum of wealths is right where the wealths themselves have no float."""
    assert WORSE.ln_mixture((0.0, 0.0, 0.0)) == pytest.approx(0.0)
    assert WORSE.ln_mixture((9_000.0, -9_000.0, -9_000.0)) == pytest.approx(9_000.0 + math.log(0.5))
    assert WORSE.ln_mixture((math.log(2), math.log(4), math.log(8))) == pytest.approx(math.log(1 + 1 + 2))


def test_a_mixture_has_the_weights_of_its_null() -> None:
    """Wealth of an alternative counts by the part that was given to it at first."""
    null = Null.at_most(-0.1, delta=0.1, weights=(0.1, 0.2, 0.7))
    assert null.ln_mixture((math.log(2), math.log(4), math.log(8))) == pytest.approx(
        math.log(0.2 + 0.8 + 5.6)
    )


def test_lower_bound_grows_towards_the_null() -> None:
    """A smaller difference needs more jobs, and at the null itself no number is enough."""
    bounds = [
        lower_bound(baseline=0.7, difference=difference, gap=0.0, share=0.1, level=0.05)
        for difference in (-0.3, -0.2, -0.1)
    ]
    assert bounds == sorted(bounds)
    assert bounds[0] == pytest.approx(15.497, abs=0.001)
    assert lower_bound(baseline=0.7, difference=0.0, gap=0.0, share=0.1, level=0.05) == math.inf
