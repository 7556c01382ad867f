"""What a trial's policy may be."""

import math

import pytest

from harvest.evidence.policy import Guardrail, TrialPolicy
from routing.errors import CorruptRecordError, InvalidInputError

NUMBERS = [
    "margin",
    "delta",
    "alpha",
    "beta",
    "max_days",
    "budget_usd",
    "share",
    "revert_window_seconds",
    "settle_deadline_seconds",
    "prior_mean",
    "prior_weight",
    "stratum_weight",
]


def test_defaults_are_those_of_the_specification() -> None:
    """Margin 0, delta 0.1, both error rates 0.05, share 0.1, 500 jobs, 30 days, strict."""
    policy = TrialPolicy()
    assert (policy.margin, policy.delta, policy.alpha, policy.beta) == (0.0, 0.1, 0.05, 0.05)
    assert (policy.share, policy.max_canary_jobs, policy.max_days) == (0.1, 500, 30)
    assert policy.scoring == "strict"
    assert TrialPolicy(strict=False).scoring == "provisional"


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -0.01])
def test_refuses_numbers_that_are_none(name: str, value: float) -> None:
    """NaN, infinity and negative numbers are refused everywhere, and the message names the field."""
    with pytest.raises(InvalidInputError, match=name):
        TrialPolicy.checked(**{name: value})


@pytest.mark.parametrize("share", [0.0, 1.0, 1.5])
def test_share_lies_strictly_between_0_and_1(share: float) -> None:
    """With share 1 there is no concurrent champion and nothing can be decided."""
    with pytest.raises(InvalidInputError, match="share"):
        TrialPolicy.checked(share=share)


@pytest.mark.parametrize(("margin", "delta"), [(0.1, 0.1), (0.2, 0.1)])
def test_delta_is_larger_than_margin(margin: float, delta: float) -> None:
    """Otherwise both verdicts could be wrong about the same canary."""
    with pytest.raises(InvalidInputError, match=r"delta .* must be larger than margin"):
        TrialPolicy.checked(margin=margin, delta=delta)


def test_refuses_unknown_fields_and_guardrails() -> None:
    """A misspelt setting is an error, not a default."""
    with pytest.raises(InvalidInputError, match="shares"):
        TrialPolicy.checked(shares=0.1)
    with pytest.raises(InvalidInputError, match="guardrails"):
        TrialPolicy.checked(guardrails=[{"name": "patience", "cap": 3}])
    with pytest.raises(InvalidInputError, match="named once"):
        TrialPolicy.checked(guardrails=[{"name": "cost_usd", "cap": 3}, {"name": "cost_usd", "cap": 4}])


def test_guardrail_maps_amounts_to_scores() -> None:
    """Nothing spent is worth 1, the cap or more is worth 0."""
    guardrail = Guardrail(name="cost_usd", cap=4.0)
    assert [guardrail.score(spent) for spent in (0.0, 1.0, 4.0, 9.0)] == [1.0, 0.75, 0.0, 0.0]


def test_policy_survives_storage() -> None:
    """A stored policy reads back the same; anything else is a corrupt record."""
    policy = TrialPolicy(margin=0.01, guardrails=(Guardrail(name="fix_forwards", cap=3),), strict=False)
    assert TrialPolicy.from_json(policy.to_json()) == policy
    with pytest.raises(CorruptRecordError, match="policy"):
        TrialPolicy.from_json('{"delta": 2}')
