"""The running evidence against one null."""

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from harvest.draws.draw_evidence import DrawEvidence
from harvest.draws.draw_ledger import Dispatched
from harvest.draws.draw_wager import OpenJob, wager
from harvest.evidence.evidence import Evidence
from harvest.evidence.policy import TrialPolicy
from harvest.evidence.trial_test import advance
from harvest.evidence.wager import Null
from routing.errors import ConflictError, CorruptRecordError, InvalidInputError
from routing.templates.trial import Arm, Bet
from tests.unit.evidence_trials import BETS, NULLS, SCORES, naive_value

FORM = TypeAdapter(Evidence[OpenJob])
WORSE = Null.not_worse(margin=0.0, delta=0.1)
CANARY = Bet(arm=Arm.CANARY, share=0.5, baseline=0.6)
CHAMPION = Bet(arm=Arm.CHAMPION, share=0.5, baseline=0.6)


def none_yet(null: Null) -> Evidence[OpenJob]:
    """Wealth 1."""
    return Evidence.against(null)


def opened(evidence: Evidence[OpenJob], bet: Bet) -> Evidence[OpenJob]:
    """Evidence with one more job."""
    return evidence.dispatch(OpenJob.of(evidence.dispatched, bet))


def written(evidence: Evidence[OpenJob]) -> str:
    """It as a trial stores it."""
    return json.dumps(FORM.dump_python(evidence, mode="json"))


def begun(null: Null, bets: list[Bet]) -> Evidence[OpenJob]:
    """Evidence with these jobs dispatched and open."""
    evidence = none_yet(null)
    for bet in bets:
        evidence = opened(evidence, bet)
    return evidence


@given(null=NULLS, bets=st.lists(BETS, max_size=25), data=st.data())
def test_equals_the_naive_recomputation(null: Null, bets: list[Bet], data: st.DataObject) -> None:
    """After every step, in any order of settlement, the value is what the definition says."""
    evidence = begun(null, bets)
    scores: dict[int, float | None] = {}
    for index in data.draw(st.permutations(range(len(bets)))):
        score = data.draw(st.none() | SCORES)
        scores[index] = score
        evidence = evidence.exclude(index) if score is None else evidence.settle(index, score)
        assert evidence.value == pytest.approx(naive_value(null, bets, scores), rel=1e-9)


@given(null=NULLS, bets=st.lists(BETS, min_size=1, max_size=25), data=st.data())
def test_settling_never_lowers_the_value(null: Null, bets: list[Bet], data: st.DataObject) -> None:
    """An open job counts at its worst, so whatever becomes of it the evidence does not fall."""
    evidence = begun(null, bets)
    for index in data.draw(st.permutations(range(len(bets)))):
        before = evidence.ln_value
        score = data.draw(st.none() | st.floats(0, 1))
        evidence = evidence.exclude(index) if score is None else evidence.settle(index, score)
        assert evidence.ln_value >= before - 1e-9


@given(null=NULLS, bets=st.lists(BETS, min_size=1, max_size=20), data=st.data())
def test_never_exceeds_what_the_final_scores_will_show(
    null: Null, bets: list[Bet], data: st.DataObject
) -> None:
    """The evidence at any moment is at most the largest wealth of the final scores: Ville's bound holds."""
    finals = data.draw(st.lists(SCORES, min_size=len(bets), max_size=len(bets)))
    bound = naive_value(null, bets, dict(enumerate(finals)))
    evidence = begun(null, bets)
    for index in data.draw(st.permutations(range(len(bets)))):
        assert evidence.value <= bound * (1 + 1e-9)
        evidence = evidence.settle(index, finals[index])


def test_counts_in_the_order_of_dispatch() -> None:
    """Failures that arrive before the successes dispatched earlier do not count as if they came first."""
    evidence = begun(WORSE, [CANARY] * 20)
    for index in range(10, 20):
        evidence = evidence.settle(index, 0.0)
    assert evidence.value == 1.0  # in order of arrival these ten failures alone would be worth 7
    for index in range(10):
        evidence = evidence.settle(index, 1.0)
    assert evidence.value == pytest.approx(
        naive_value(WORSE, [CANARY] * 20, dict.fromkeys(range(10), 1.0) | dict.fromkeys(range(10, 20), 0.0))
    )


def test_arrival_order_of_the_same_scores_changes_nothing_at_the_end() -> None:
    """Two orders of arrival, one ledger of scores, one value."""
    bets = [CANARY, CHAMPION] * 10
    scores = [0.0, 1.0, 0.0, 1.0, 1.0] * 4
    forward, backward = begun(WORSE, bets), begun(WORSE, bets)
    for index in range(20):
        forward = forward.settle(index, scores[index])
        backward = backward.settle(19 - index, scores[19 - index])
    assert forward.ln_value == pytest.approx(backward.ln_value)
    assert forward.value > 1.5


def test_an_open_job_counts_at_its_worst_for_each_alternative() -> None:
    """One open canary job in front of failures costs the factor of its success, not nothing."""
    settled = begun(WORSE, [CANARY] * 9)
    for index in range(1, 9):
        settled = settled.settle(index, 0.0)
    assert settled.value == pytest.approx(settled.settle(0, 1.0).value)
    assert settled.value < settled.exclude(0).value < settled.settle(0, 0.0).value


def test_the_value_remembers_its_maximum() -> None:
    """Evidence that was there once does not go away with later outcomes."""
    evidence = begun(WORSE, [CANARY] * 10)
    for index in range(5):
        evidence = evidence.settle(index, 0.0)
    high = evidence.value
    for index in range(5, 10):
        evidence = evidence.settle(index, 1.0)
    assert evidence.value == high > 2


def test_excluded_jobs_have_factor_one() -> None:
    """A trial with an excluded job is worth what it is worth without that job."""
    with_excluded = begun(WORSE, [CANARY] * 3).exclude(1).settle(0, 0.0).settle(2, 0.0)
    without = begun(WORSE, [CANARY] * 2).settle(0, 0.0).settle(1, 0.0)
    assert with_excluded.ln_value == pytest.approx(without.ln_value)


def test_a_provisional_score_counts_and_is_swapped() -> None:
    """A merge that counts at once loses its effect when it is reverted."""
    better = Null.at_most(-0.1, delta=0.1)
    evidence = begun(better, [CANARY] * 4)
    for index in range(4):
        evidence = evidence.provisional(index, 1.0)
    assert evidence.value == pytest.approx(naive_value(better, [CANARY] * 4, dict.fromkeys(range(4), 1.0)))
    reverted = evidence.settle(0, 0.0)
    assert reverted.value < evidence.value
    assert evidence.provisional(0, 0.0).value == pytest.approx(reverted.value)
    assert evidence.settle(0, 1.0).value == pytest.approx(evidence.value)


@pytest.mark.parametrize("score", [math.nan, -0.1, 1.1, math.inf])
def test_refuses_what_is_not_a_score(score: float) -> None:
    """Only numbers from 0 to 1 are scores."""
    evidence = begun(WORSE, [CANARY])
    with pytest.raises(InvalidInputError, match="between 0 and 1"):
        evidence.settle(0, score)
    with pytest.raises(InvalidInputError, match="between 0 and 1"):
        evidence.provisional(0, score)


def test_refuses_jobs_that_are_not_open() -> None:
    """A job settles once, and not before it is dispatched."""
    evidence = begun(WORSE, [CANARY, CANARY]).settle(0, 1.0)
    with pytest.raises(ConflictError, match="already settled"):
        evidence.settle(0, 0.0)
    with pytest.raises(ConflictError, match="not dispatched"):
        evidence.exclude(2)


def test_json_round_trip_is_exact() -> None:
    """A state that was written and read goes on exactly as if it had not been."""
    chance = random.Random(4)
    evidence = begun(WORSE, [CANARY, CHAMPION] * 40)
    for index in chance.sample(range(1, 80), 60):
        evidence = evidence.settle(index, chance.random())
    evidence = evidence.provisional(evidence.open[1].index, 0.3)
    again = FORM.validate_python(json.loads(written(evidence)))
    assert again == evidence
    assert written(again.settle(0, 0.1)) == written(evidence.settle(0, 0.1))


def _tampered(**changes: object) -> str:
    """A trial's state whose evidence on one question was changed by hand."""
    state = DrawEvidence.begin(TrialPolicy())
    lines = [
        Dispatched.of(state.bet(Arm.CANARY, share=0.5), index=index, job_id=f"{index}", draw=0.1)
        for index in range(2)
    ]
    found = json.loads(advance(state, lines, []).state.to_json())
    return json.dumps(found | {"worse": found["worse"] | changes})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        _tampered(v=2),
        _tampered(extra=1),
        _tampered(ln_best=math.nan),
        _tampered(ln_best=-1.0),
        _tampered(ln_wealth=[0.0, 0.0]),
        _tampered(dispatched=1),
        _tampered(open=None),
    ],
)
def test_refuses_malformed_states(text: str) -> None:
    """What `to_json` cannot have written is a corrupt record, not evidence."""
    DrawEvidence.from_json(_tampered())
    with pytest.raises(CorruptRecordError, match="ledger"):
        DrawEvidence.from_json(text)


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_thousands_of_equal_outcomes_neither_overflow_nor_vanish(score: float) -> None:
    """Products over 5,000 jobs exceed a float by far; the state stays finite and can be written."""
    evidence = none_yet(WORSE)
    for index in range(5_000):
        evidence = opened(evidence, CANARY).settle(index, score)
    assert (evidence.ln_value > 700) is (score == 0.0)
    assert evidence.value >= 1.0
    assert FORM.validate_python(json.loads(written(evidence))) == evidence


def test_state_stays_small_after_an_old_open_job() -> None:
    """Jobs settled after the oldest open one are compressed: the state does not grow with them."""
    chance = random.Random(5)
    evidence = opened(none_yet(WORSE), CANARY)
    sizes = []
    for index in range(1, 2_001):
        bet = CANARY if chance.random() < 0.5 else CHAMPION
        evidence = opened(evidence, bet).settle(index, float(chance.random() < 0.6))
        sizes.append(len(evidence.open[0].after.peaks))
    assert len(evidence.open) == 1
    assert max(sizes) < 60


def test_first_factor_is_the_wager() -> None:
    """A single settled failure of the canary is worth the mixture of its three factors."""
    stakes = wager(WORSE, Arm.CANARY, 0.5, 0.6).stakes
    expected = sum(w * stake.factor(0.0) for w, stake in zip((0.5, 0.25, 0.25), stakes, strict=True))
    assert begun(WORSE, [CANARY]).settle(0, 0.0).value == pytest.approx(expected)


def test_the_worked_example_of_the_documentation() -> None:
    """docs/evidence.md: a failure, a champion's success, an open job, a failure after it, and both ends."""
    canary, champion = (Bet(arm=arm, share=0.1, baseline=0.7) for arm in (Arm.CANARY, Arm.CHAMPION))
    first = begun(WORSE, [canary]).settle(0, 0.0)
    second = opened(first, champion).settle(1, 1.0)
    third = opened(second, canary)
    fourth = opened(third, canary).settle(3, 0.0)
    steps = [first, second, third, fourth, fourth.settle(2, 1.0), fourth.settle(2, 0.0)]
    assert [round(step.value, 2) for step in steps] == [1.49, 1.53, 1.53, 1.71, 1.71, 3.64]
    failures, values = none_yet(WORSE), []
    for index in range(7):
        failures = opened(failures, canary).settle(index, 0.0)
        values.append(round(failures.value, 2))
    assert values == [1.49, 2.27, 3.53, 5.61, 9.08, 14.98, 25.08]
