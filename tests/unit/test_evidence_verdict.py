"""The verdict as a function of the evidence."""

import math

import pytest

from harvest.evidence.policy import Guardrail, TrialPolicy, next_share, progress
from harvest.evidence.verdict import Decision, Readings, Verdict, decide

GUARDED = TrialPolicy(
    guardrails=(Guardrail(name="cost_usd", cap=5), Guardrail(name="duration_seconds", cap=600))
)


def decided(policy: TrialPolicy, **changes: object) -> Decision:
    """The decision on a trial with no evidence but what the test says."""
    quiet = {"ln_worse": 0.0, "ln_not_worse": 0.0, "canary_jobs": 40, "elapsed_days": 2.0}
    guards = {"ln_guardrails": {guardrail.name: 0.0 for guardrail in policy.guardrails}}
    return decide(policy, Readings.model_validate(quiet | guards | changes))


@pytest.mark.parametrize(
    ("worse", "not_worse", "verdict"),
    [
        (19.9, 19.9, Verdict.HOLD),
        (20.1, 1.0, Verdict.ROLL_BACK),
        (1.0, 20.1, Verdict.GRADUATE),
        (20.1, 99.0, Verdict.ROLL_BACK),
    ],
)
def test_verdict_follows_the_thresholds(worse: float, not_worse: float, verdict: Verdict) -> None:
    """Evidence of 1/level decides; when both questions are answered the canary is rolled back."""
    decision = decided(TrialPolicy(), ln_worse=math.log(worse), ln_not_worse=math.log(not_worse))
    assert decision.verdict is verdict
    assert decision.evidence["worse"] == pytest.approx(worse)
    assert decision.thresholds == {"worse": pytest.approx(20), "not_worse": pytest.approx(20)}


def test_thresholds_are_one_over_the_levels() -> None:
    """A smaller error rate asks for more evidence, for its own question only."""
    policy = TrialPolicy(alpha=0.01, beta=0.2)
    assert decided(policy, ln_worse=math.log(99)).verdict is Verdict.HOLD
    assert decided(policy, ln_worse=math.log(101)).verdict is Verdict.ROLL_BACK
    assert decided(policy, ln_not_worse=math.log(5.1)).verdict is Verdict.GRADUATE


def test_guardrails_share_alpha_and_only_roll_back() -> None:
    """With two guardrails each needs twice the evidence; one of them overrules a graduation."""
    spends = {"cost_usd": math.log(39), "duration_seconds": 0.0}
    assert decided(GUARDED, ln_guardrails=spends).verdict is Verdict.HOLD
    spends["cost_usd"] = math.log(41)
    decision = decided(GUARDED, ln_guardrails=spends, ln_not_worse=math.log(50))
    assert decision.verdict is Verdict.ROLL_BACK
    assert "cost_usd" in decision.reasons[0]
    assert "duration_seconds" not in " ".join(decision.reasons)


def test_a_trial_expires_by_jobs_or_by_days() -> None:
    """Without an answer by its limits the trial asks a person; with one, the answer counts."""
    policy = TrialPolicy(max_canary_jobs=40, max_days=3)
    assert decided(policy, canary_jobs=39).verdict is Verdict.HOLD
    assert decided(policy).verdict is Verdict.EXPIRE
    assert decided(policy, canary_jobs=1, elapsed_days=3.0).verdict is Verdict.EXPIRE
    assert decided(policy, ln_not_worse=9.0).verdict is Verdict.GRADUATE
    assert decided(policy, ln_worse=9.0).verdict is Verdict.ROLL_BACK


def test_reasons_are_sentences_and_decisions_can_be_stored() -> None:
    """Every verdict says in words what it rests on, and reads back from JSON the same."""
    for changes in ({}, {"ln_worse": 9.0, "ln_not_worse": 9.0}, {"ln_not_worse": 9.0}, {"elapsed_days": 99}):
        decision = decided(TrialPolicy(), **changes)
        assert decision.reasons
        assert all(reason[0].isupper() or reason[0].isdigit() for reason in decision.reasons)
        assert all(reason.endswith(".") for reason in decision.reasons)
        assert Decision.model_validate_json(decision.model_dump_json()) == decision


def test_overwhelming_evidence_can_be_stored() -> None:
    """Evidence beyond the largest float is shown as a very large number."""
    assert math.isfinite(decided(TrialPolicy(), ln_worse=5_000.0).evidence["worse"])


@pytest.mark.parametrize(
    ("graduation", "rollback", "share"),
    [
        (0.0, 0.0, 0.1),
        (0.09, 0.0, 0.1),
        (0.1, 0.0, 0.3),
        (0.29, 0.3, 0.3),
        (0.3, 0.3, 0.5),
        (0.9, 0.31, 0.1),
    ],
)
def test_the_ramp_follows_the_evidence(graduation: float, rollback: float, share: float) -> None:
    """The share grows in two steps with progress to graduation, and falls back when rollback nears."""
    shares = {"towards_graduation": graduation, "towards_rollback": rollback}
    assert next_share(TrialPolicy(ramp=True), **shares) == share
    assert next_share(TrialPolicy(ramp=False), **shares) == 0.1


def test_the_ramp_never_falls_below_the_policys_share() -> None:
    """A trial that begins with more than a step of the ramp keeps it."""
    policy = TrialPolicy(ramp=True, share=0.4)
    assert next_share(policy, towards_graduation=0.2, towards_rollback=0.0) == 0.4


def test_progress_is_one_at_the_verdict() -> None:
    """On the scale of logarithms, no evidence is 0 and the threshold is 1."""
    assert progress(0.0, 0.05) == 0.0
    assert progress(math.log(20), 0.05) == pytest.approx(1.0)
