"""What pairs are bet by: the rule of the trial's policy, also of one that was opened before."""

import json
from pathlib import Path
from typing import Any

import pytest

from harvest.evidence.difference import difference_of
from harvest.evidence.explanation import explain
from harvest.evidence.ledger_line import parsed_lines
from harvest.evidence.policy import Guardrail, TrialPolicy
from harvest.evidence.trial_test import advance, parted, replay
from harvest.evidence.wager import WEIGHTS
from harvest.pairs.pair_evidence import PairEvidence
from harvest.pairs.pair_ledger import PairDispatched, PairEntry, PairSettlement
from harvest.pairs.pair_plan import plan_pairs
from harvest.pairs.pair_rule import PairRule
from routing.templates.trial import Arm

RECORDING = Path(__file__).parents[1] / "recordings" / "pairs-4cca4b1.json"
STORED: dict[str, Any] = json.loads(RECORDING.read_text(encoding="utf-8"))
NOW = TrialPolicy(guardrails=(Guardrail(name="cost_usd", cap=10.0),))


def stored_ledger() -> list[PairEntry]:
    """The lines of the trial of before."""
    return [
        *parsed_lines(PairDispatched, STORED["dispatches"], of="dispatches"),
        *parsed_lines(PairSettlement, STORED["settlements"], of="settlements"),
    ]


def evidence(state: PairEvidence) -> dict[str, float]:
    """Of all questions."""
    guardrails = {name: each.value for name, each in state.guardrails.items()}
    return {"worse": state.worse.value, "not_worse": state.not_worse.value, **guardrails}


def test_each_question_has_weights_of_its_own() -> None:
    """Those of the policy's version; each null carries its own, and all of the wealth is bet."""
    state = PairEvidence.begin(NOW)
    assert state.worse.null.weights == state.guardrails["cost_usd"].null.weights == (0.55, 0.3, 0.15)
    assert state.not_worse.null.weights == (0.49, 0.5, 0.01)
    assert state.worse.null.alternatives == pytest.approx((-0.07, -0.2, -0.35))
    assert state.not_worse.null.alternatives == pytest.approx((-0.01, 0.08, 0.2))
    for version in (1, 2, 3):
        rule = PairRule.of(NOW.model_copy(update={"v": version}))
        for bets in (rule.worse, rule.better):
            assert sum(bets.weights) == pytest.approx(1.0)
            assert min(*bets.weights, *bets.times) > 0
        assert rule.at_most(-0.1, delta=0.1).gap == -0.1
    assert PairEvidence.begin(NOW.model_copy(update={"v": 2})).not_worse.null.weights == WEIGHTS


def test_a_guardrail_begins_with_a_belief_of_its_own() -> None:
    """Amounts differ less than scores: what is taken for their discordance weighs less."""
    bet = PairEvidence.begin(NOW).bet
    assert (bet.discordance, bet.guardrail_discordances) == (0.5, {"cost_usd": 0.3})


def test_what_was_stored_under_version_2_is_read_as_it_was() -> None:
    """The state as that code wrote it is the one that its ledger gives now, and it says the same."""
    policy = TrialPolicy.from_json(STORED["policy"])
    assert (policy.v, NOW.v) == (2, 3)
    state = PairEvidence.from_json(STORED["state"])
    assert replay(PairEvidence, policy, stored_ledger()).state == state
    assert evidence(state) == STORED["evidence"]
    assert state.next_bet == STORED["next_bet"]
    assert PairEvidence.from_json(state.to_json()) == state
    assert difference_of(PairEvidence, policy, stored_ledger()).document() == STORED["difference"]
    explained = explain(PairEvidence, policy, stored_ledger())[-1].readings
    assert explained["worse"].ln_evidence == pytest.approx(state.worse.ln_value)
    assert explained["not_worse"].ln_evidence == pytest.approx(state.not_worse.ln_value)


def test_a_trial_of_version_2_goes_on_by_its_own_rule() -> None:
    """Twelve more pairs that the champion alone solves come to what they came to under that code."""
    policy, ledger = TrialPolicy.from_json(STORED["policy"]), stored_ledger()
    state = PairEvidence.from_json(STORED["state"])
    for index in range(state.dispatched, state.dispatched + 12):
        bet = state.bet
        line = PairDispatched(
            index=index, champion_job=f"a{index}", canary_job=f"b{index}", first=Arm.CHAMPION,
            discordance=bet.discordance, guardrail_discordances=dict(bet.guardrail_discordances),
        )  # fmt: skip
        settled = PairSettlement(index=index, kind="settled", champion=1.0, canary=0.0)
        ledger += [line, settled]
        state = advance(state, [line], [settled]).state
    assert state.worse.value == pytest.approx(STORED["worse_after_twelve_losses"], rel=1e-9)
    assert replay(PairEvidence, policy, ledger).state == state
    now = replay(PairEvidence, NOW, ledger).state
    assert now.worse.value < 0.9 * state.worse.value


@pytest.mark.parametrize("version", [2, 3])
def test_the_explanation_and_the_interval_go_by_the_rule_of_the_policy(version: int) -> None:
    """Each computes the evidence anew: the explanation on every line, the interval at the edges."""
    policy = NOW.model_copy(update={"v": version})
    ledger = stored_ledger()
    dispatches, settlements = parted(PairEvidence, ledger)
    state = PairEvidence.begin(policy)
    for line, explained in zip(dispatches, explain(PairEvidence, policy, ledger), strict=True):
        known = [each for each in settlements if each.index <= line.index]
        state = advance(PairEvidence.begin(policy), dispatches[: line.index + 1], known).state
        assert explained.readings["worse"].ln_evidence == pytest.approx(state.worse.ln_value)
        assert explained.readings["not_worse"].ln_evidence == pytest.approx(state.not_worse.ln_value)
    again = [
        line.model_copy(update={"index": line.index + 11 * times}) for times in range(8) for line in ledger
    ]
    state = replay(PairEvidence, policy, again).state
    found = difference_of(PairEvidence, policy, again)
    assert (found.upper <= 0.0) == (state.worse.value >= 20)
    assert (found.lower >= -policy.delta) == (state.not_worse.value >= 20)


def test_a_plan_goes_by_the_rule_of_the_policy() -> None:
    """The present rule graduates more of the versions that are better by little, and takes longer."""
    before, now = (
        plan_pairs(policy=NOW.model_copy(update={"v": version}), baseline=0.7, difference=-0.3, runs=150)
        for version in (2, 3)
    )
    assert before.mean_pairs < now.mean_pairs
    assert before.lower_bound == now.lower_bound
