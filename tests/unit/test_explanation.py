"""The table that explains a verdict, against the test that decides."""

import math

import pytest

from harvest.draws.draw_evidence import DrawEvidence
from harvest.draws.draw_ledger import Settlement
from harvest.evidence.difference import difference_of
from harvest.evidence.explanation import ExplainedUnit, explain
from harvest.evidence.policy import Guardrail, TrialPolicy
from harvest.evidence.trial_test import replay
from harvest.trials.explanations import Explanations
from routing.templates.trial import Arm, Trial, TrialState
from tests.unit.evidence_trials import dispatched, random_ledger, settled

POLICIES = [
    TrialPolicy(share=0.3),
    TrialPolicy(share=0.3, strict=False, margin=0.02),
    TrialPolicy(share=0.3, strict=False, guardrails=(Guardrail(name="cost_usd", cap=2.0),)),
    TrialPolicy(share=0.3, strata="repository"),
]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("seed", range(5))
def test_last_line_has_the_evidence_that_decides(policy: TrialPolicy, seed: int) -> None:
    """One pass in dispatch order comes to the evidence that was advanced outcome by outcome."""
    state, ledger = random_ledger(policy, seed, 120)
    lines = explain(DrawEvidence, policy, ledger)
    shown = {name: reading.ln_evidence for name, reading in lines[-1].readings.items()}
    expected = {"worse": state.worse.ln_value, "not_worse": state.not_worse.ln_value}
    expected |= {f"guardrail:{name}": found.ln_value for name, found in state.guardrails.items()}
    assert shown == pytest.approx(expected, abs=1e-9)


def test_factor_is_what_a_job_multiplies_the_wealth_by() -> None:
    """The factors of one settled job, mixed with the weights, are its factor and the evidence."""
    policy = TrialPolicy(share=0.1)
    job = dispatched(DrawEvidence.begin(policy), Arm.CANARY)
    (line,) = explain(DrawEvidence, policy, [job, settled(0, 0.0)])
    reading = line.readings["worse"]
    assert reading.factor == pytest.approx(
        sum(w * f for w, f in zip((0.5, 0.25, 0.25), reading.factors, strict=True))
    )
    assert reading.factor > 1
    assert math.exp(reading.ln_evidence) == pytest.approx(reading.factor)


def test_open_and_excluded_jobs_are_counted_apart() -> None:
    """An open job counts at its worst, an excluded one with the factor 1; the first final score stands."""
    policy = TrialPolicy(share=0.1)
    state = DrawEvidence.begin(policy)
    jobs = []
    for _ in range(3):
        jobs.append(dispatched(state, Arm.CHAMPION))
        state = replay(DrawEvidence, policy, jobs).state
    lost = Settlement(index=1, kind="excluded", reason="quota")
    lines = explain(DrawEvidence, policy, [*jobs, lost, settled(2, 1.0), settled(2, 0.0)])
    assert [line.status for line in lines] == ["open", "excluded", "settled"]
    assert lines[0].readings["worse"].factor < 1
    assert lines[1].readings["worse"].factors == (1.0, 1.0, 1.0)
    assert lines[2].score == 1.0


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("seed", range(3))
def test_an_explanation_goes_on_from_what_is_known(policy: TrialPolicy, seed: int) -> None:
    """Whatever came since: new units, settlements of old ones, final ones in place of provisional ones."""
    _, ledger = random_ledger(policy, seed, 60)
    known: list[ExplainedUnit] = []
    for end in range(0, len(ledger) + 1, 7):
        dispatched_by_then = sum(isinstance(line, DrawEvidence.dispatch_line) for line in ledger[:end])
        shorter = ledger[:end]
        known = explain(DrawEvidence, policy, shorter, known=known)
        assert len(known) == dispatched_by_then
        assert known == explain(DrawEvidence, policy, shorter)


def test_those_that_were_asked_for_last_are_kept() -> None:
    """A page that people look at stays cheap, however many others are looked at once."""
    read: list[str] = []

    def ledger(trial: Trial) -> list[object]:
        read.append(trial.id)
        return []

    nothing = difference_of(DrawEvidence, TrialPolicy(), [])
    explanations = Explanations(ledger, lambda ids: [None for _ in ids], lambda _: nothing)
    looked_at, *others = [
        Trial(
            id=f"t{number}", template="implementer", champion=1, canary=2, policy=TrialPolicy().to_json(),
            state=TrialState.OPEN, opened_at=1.0, revision=1, share=0.1, strata="none",
            settle_deadline_seconds=1.0,
        )
        for number in range(9)
    ]  # fmt: skip
    for other in others:
        explanations.of(looked_at)
        explanations.of(other)
    assert read.count(looked_at.id) == 1
    explanations.of(others[0])
    assert read.count(others[0].id) == 2
