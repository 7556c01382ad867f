"""The paired test: what is staked on a pair, what a trial of pairs counts, and when it decides."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from harvest.evidence.evidence import Evidence
from harvest.evidence.health import HealthCheck
from harvest.evidence.policy import Amount, Guardrail, TrialPolicy
from harvest.evidence.trial_test import advance, replay
from harvest.evidence.verdict import Verdict
from harvest.evidence.wager import Null
from harvest.pairs.pair_counts import Discordance
from harvest.pairs.pair_evidence import PairEvidence
from harvest.pairs.pair_ledger import PairDispatched, PairEntry, PairSettlement
from harvest.pairs.pair_plan import PairLaw, plan_pairs
from harvest.pairs.pair_rule import Belief, PairRule
from harvest.pairs.pair_wager import OpenPair, pair_wager
from routing.errors import ConflictError, CorruptRecordError, InvalidInputError
from routing.templates.trial import Arm, PairBet

POLICY = TrialPolicy()
COSTS = TrialPolicy(guardrails=(Guardrail(name="cost_usd", cap=10.0),))
RULE = PairRule.of(POLICY)
NULLS = st.sampled_from(
    [
        RULE.not_worse(margin=0.0, delta=0.1),
        RULE.not_worse(margin=0.05, delta=0.2),
        RULE.at_most(-0.1, delta=0.1),
        Null.not_worse(margin=0.0, delta=0.1),
    ]
)
DISCORDANCES = st.integers(1, 100).map(lambda hundredths: hundredths / 100)
DIFFERENCES = st.floats(-1, 1)


def dispatched(state: PairEvidence) -> PairDispatched:
    """The next pair with the bet of now."""
    bet = state.bet
    return PairDispatched(
        index=state.dispatched,
        champion_job=f"a{state.dispatched}",
        canary_job=f"b{state.dispatched}",
        first=Arm.CANARY if state.dispatched % 2 else Arm.CHAMPION,
        discordance=bet.discordance,
        guardrail_discordances=dict(bet.guardrail_discordances),
    )


def settled(index: int, champion: float, canary: float, **spent: dict[str, Amount]) -> PairSettlement:
    """A pair with both scores."""
    return PairSettlement(index=index, kind="settled", champion=champion, canary=canary, **spent)


def grown(state: PairEvidence, *outcomes: tuple[float, float]) -> PairEvidence:
    """The state after pairs with these scores of champion and canary, one after the other."""
    for champion, canary in outcomes:
        index = state.dispatched
        state = advance(state, [dispatched(state)], [settled(index, champion, canary)]).state
    return state


def naive(null: Null, bets: list[PairBet], outcomes: dict[int, float | None]) -> float:
    """The evidence by its definition: the largest mixture of wealths after any prefix."""
    wealth, best = [1.0, 1.0, 1.0], 1.0
    for index, bet in enumerate(bets):
        stakes = pair_wager(null, bet.discordance).stakes
        for place, stake in enumerate(stakes):
            if index not in outcomes:
                wealth[place] *= min(stake.factor(-1.0), stake.factor(1.0))
            elif (outcome := outcomes[index]) is not None:
                wealth[place] *= stake.factor(outcome)
        best = max(best, sum(weight * each for weight, each in zip(null.weights, wealth, strict=True)))
    return best


@given(null=NULLS, discordance=DISCORDANCES)
def test_no_law_at_the_edge_of_the_null_is_expected_to_win(null: Null, discordance: float) -> None:
    """Factors are positive, linear in the outcome and 1 at the edge: 1 on average there, less beyond."""
    for stake in pair_wager(null, discordance).stakes:
        assert stake.centre == null.gap
        assert min(stake.factor(-1.0), stake.factor(1.0)) >= 0.05 - 1e-9
        beyond = math.copysign(1.0, null.gap - null.alternatives[2])
        assert stake.slope * beyond < 0


@given(null=NULLS, discordances=st.lists(DISCORDANCES, max_size=20), data=st.data())
def test_evidence_of_pairs_is_what_the_definition_says(
    null: Null, discordances: list[float], data: st.DataObject
) -> None:
    """In any order of settlement, with open and excluded pairs."""
    bets = [PairBet(discordance=each) for each in discordances]
    evidence: Evidence[OpenPair] = Evidence.against(null)
    form = TypeAdapter(Evidence[OpenPair])
    for index, bet in enumerate(bets):
        evidence = evidence.dispatch(OpenPair(index=index, discordance=bet.discordance))
    outcomes: dict[int, float | None] = {}
    for index in data.draw(st.permutations(range(len(bets)))):
        outcome = data.draw(st.none() | DIFFERENCES)
        outcomes[index] = outcome
        evidence = evidence.exclude(index) if outcome is None else evidence.settle(index, outcome)
        assert evidence.value == pytest.approx(naive(null, bets, outcomes), rel=1e-9)
        assert form.validate_json(form.dump_json(evidence)) == evidence


def test_a_pair_that_both_solve_says_little_and_one_that_only_the_champion_solves_much() -> None:
    """Agreement leaves the evidence against "not worse" as it is."""
    agreed = grown(PairEvidence.begin(POLICY), *[(1.0, 1.0), (0.0, 0.0)] * 20)
    assert agreed.worse.value == pytest.approx(1.0)
    assert agreed.not_worse.value > 2.0
    lost = grown(PairEvidence.begin(POLICY), *[(1.0, 0.0)] * 5)
    assert lost.worse.value > 4.0
    assert lost.not_worse.value == pytest.approx(1.0)


def test_a_worse_canary_is_rolled_back_and_a_good_one_graduates() -> None:
    """Twelve pairs that only the champion solves; a row of pairs without a difference."""
    worse = grown(PairEvidence.begin(POLICY), *[(1.0, 0.0)] * 12)
    assert worse.decide(elapsed_days=1.0).verdict is Verdict.ROLL_BACK
    alike = grown(PairEvidence.begin(POLICY), *[(1.0, 1.0)] * 60)
    assert alike.decide(elapsed_days=1.0).verdict is Verdict.GRADUATE


def test_a_bet_is_frozen_at_dispatch() -> None:
    """What settles later changes the next stake, not one that was placed."""
    state = PairEvidence.begin(POLICY)
    state = advance(state, [dispatched(state)], []).state
    first = state.bet.discordance
    state = advance(state, [dispatched(state)], [settled(0, 1.0, 0.0)]).state
    assert state.worse.open[0].wager(state.worse.null) == pair_wager(state.worse.null, first)
    assert state.bet.discordance > first


def test_open_and_settled_pairs_count_by_frozen_stakes() -> None:
    """Two pairs that only the champion solves, the second one first: all by the discordance at dispatch."""
    state = PairEvidence.begin(POLICY)
    for _ in range(2):
        state = advance(state, [dispatched(state)], []).state
    bets, outcomes = [PairBet(discordance=0.5)] * 2, dict[int, float | None]()
    for index in (1, 0):
        outcomes[index] = -1.0
        state = advance(state, [], [settled(index, 1.0, 0.0)]).state
        assert state.worse.value == pytest.approx(naive(state.worse.null, bets, outcomes), rel=1e-9)
    assert state.worse.value > 1.5


def test_an_excluded_pair_leaves_the_test_as_it_was() -> None:
    """It hits neither arm alone, whichever of its jobs it was."""
    state = PairEvidence.begin(POLICY)
    excluded = PairSettlement(index=0, kind="excluded", reason="forge unreachable")
    state = advance(state, [dispatched(state)], [excluded]).state
    assert (state.worse.ln_value, state.not_worse.ln_value) == (0.0, 0.0)
    assert (state.counts.excluded, state.counts.settled, state.counts.open) == (1, 0, 0)


def test_pairs_are_counted_by_who_solved_them() -> None:
    """Both, only one, none; and the mean difference."""
    state = grown(PairEvidence.begin(POLICY), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.25))
    counts = state.counts
    assert (counts.both, counts.champion_only, counts.canary_only, counts.neither) == (1, 1, 1, 1)
    assert counts.difference == pytest.approx(0.0625)


def test_guardrails_compare_what_both_spent_on_the_same_issue() -> None:
    """Twice the money on each issue rolls back although all scores agree; an unknown amount says nothing."""
    state = PairEvidence.begin(COSTS)
    for index in range(40):
        spent = settled(index, 1.0, 1.0, champion_spent={"cost_usd": 3.0}, canary_spent={"cost_usd": 6.0})
        state = advance(state, [dispatched(state)], [spent]).state
        if state.decide(elapsed_days=1.0).verdict is not Verdict.HOLD:
            break
    decision = state.decide(elapsed_days=1.0)
    assert decision.verdict is Verdict.ROLL_BACK
    assert "cost_usd" in decision.reasons[0]
    unknown = PairEvidence.begin(COSTS)
    half = settled(0, 1.0, 1.0, canary_spent={"cost_usd": 9.0})
    unknown = advance(unknown, [dispatched(unknown)], [half]).state
    assert unknown.guardrails["cost_usd"].ln_value == 0.0


def test_replay_gives_the_same_bits_and_late_settlements_come_back() -> None:
    """The stored state is checked against its ledger; what comes twice is not counted twice."""
    state, ledger = PairEvidence.begin(COSTS), list[PairEntry]()
    for index in range(12):
        entry = dispatched(state)
        outcome = settled(index, float(index % 3 > 0), float(index % 2), canary_spent={"cost_usd": 1.0})
        ledger += [entry, outcome]
        state = advance(state, [entry], [outcome]).state
    assert replay(PairEvidence, COSTS, ledger).state == state
    assert PairEvidence.from_json(state.to_json()) == state
    again = advance(state, [], [settled(3, 1.0, 1.0)])
    assert (again.state, len(again.late)) == (state, 1)


def test_wrong_entries_are_refused() -> None:
    """A gap, a settlement without its dispatch, half of two scores, a difference out of range."""
    state = PairEvidence.begin(POLICY)
    entry = dispatched(state)
    with pytest.raises(CorruptRecordError, match="where pair 0 was due"):
        advance(state, [entry.model_copy(update={"index": 1})], [])
    with pytest.raises(CorruptRecordError, match="settles pair 0"):
        advance(state, [], [settled(0, 1.0, 1.0)])
    with pytest.raises(ValueError, match="has no scores"):
        PairSettlement(index=0, kind="settled", champion=1.0)
    open_one = state.worse.dispatch(OpenPair(index=0, discordance=0.3))
    with pytest.raises(InvalidInputError, match="between -1 and 1"):
        open_one.settle(0, -1.5)
    with pytest.raises(ConflictError, match="where 1 is due"):
        open_one.dispatch(OpenPair(index=0, discordance=0.3))
    broken = json.loads(advance(state, [entry], []).state.to_json())
    broken["counts"]["dispatched"] = 2
    with pytest.raises(CorruptRecordError, match="contradicts itself"):
        PairEvidence.from_json(json.dumps(broken))


def test_the_discordance_moves_from_the_prior_to_what_was_seen() -> None:
    """From the belief with its weight; never 0."""
    belief = Belief(discordance=0.3, pairs=4.0)
    assert Discordance().value(belief) == 0.3
    assert Discordance().add(1.0).value(belief) == 0.44  # (1.2 + 1) / 5
    seen = Discordance()
    for _ in range(996):
        seen = seen.add(0.0)
    assert seen.value(belief) == 0.01


def test_a_plan_of_pairs_stands_beside_its_bound() -> None:
    """Champion 0.7, outcomes agree by 0.5: the least is 137 pairs at -0.1 and 133 at 0."""
    law = PairLaw.of(champion=0.7, canary=0.6, agreement=0.5)
    assert law.least_pairs(gap=0.0, level=0.05) == pytest.approx(136.7, abs=0.1)
    same = plan_pairs(policy=POLICY, baseline=0.7, difference=0.0, runs=200)
    assert same.lower_bound == pytest.approx(132.9, abs=0.1)
    assert same.lower_bound * 0.9 < same.mean_pairs < same.lower_bound * 1.4
    assert same.graduate > 0.85
    worse = plan_pairs(policy=POLICY, baseline=0.7, difference=-0.3, runs=100)
    assert worse.roll_back == 1.0
    assert worse.mean_pairs < 30
    assert plan_pairs(policy=POLICY, baseline=0.7, difference=0.0, runs=200) == same
    with pytest.raises(InvalidInputError, match="agreement"):
        plan_pairs(policy=POLICY, baseline=0.7, difference=0.0, agreement=2.0)


@pytest.mark.parametrize(("canary", "verdict"), [(0.0, Verdict.ROLL_BACK), (1.0, Verdict.HOLD)])
def test_halves_that_are_late_hold_a_graduation_alone(canary: float, verdict: Verdict) -> None:
    """A canary that hangs on each pair is rolled back without a person; one that looks good waits for one."""
    state = PairEvidence.begin(POLICY)
    for index in range(60):
        line = settled(index, 1.0, canary).model_copy(
            update={"champion_age_seconds": 60.0, "canary_age_seconds": POLICY.settle_deadline_seconds}
        )
        state = advance(state, [dispatched(state)], [line]).state
    assert [alarm.check for alarm in state.health.alarms()] == [HealthCheck.AGES]
    assert state.decide(elapsed_days=0.0).verdict is verdict
    freely = state.decide(elapsed_days=0.0, released=[HealthCheck.AGES]).verdict
    assert freely is (Verdict.GRADUATE if canary else Verdict.ROLL_BACK)
