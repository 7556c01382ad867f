"""The whole of a trial's test."""

import json
import random

import pytest
from pydantic import ValidationError

from harvest.draws.draw_evidence import DrawEvidence
from harvest.draws.draw_ledger import Dispatched, Settlement
from harvest.evidence.difference import difference_of
from harvest.evidence.policy import Guardrail, TrialPolicy
from harvest.evidence.trial_test import advance, replay, still_supported
from harvest.evidence.verdict import Verdict
from routing.errors import CorruptRecordError
from routing.templates.trial import Arm, Bet
from tests.unit.evidence_trials import dispatched, grow, random_ledger, settled

POLICY = TrialPolicy()
GUARDED = TrialPolicy(guardrails=(Guardrail(name="cost_usd", cap=2.0),), strict=False, strata="repository")


def begun(policy: TrialPolicy, *arms: Arm) -> DrawEvidence:
    """A trial with these jobs dispatched and open."""
    state = DrawEvidence.begin(policy)
    for arm in arms:
        state = advance(state, [dispatched(state, arm)], []).state
    return state


def test_a_canary_that_fails_is_rolled_back() -> None:
    """Beside a champion that succeeds, failures of the canary decide."""
    state = grow(DrawEvidence.begin(POLICY), Arm.CHAMPION, 1.0, jobs=40)
    failures = 0
    while state.decide(elapsed_days=0).verdict is Verdict.HOLD:
        state = grow(state, Arm.CANARY, 0.0)
        failures += 1
    assert state.decide(elapsed_days=0).verdict is Verdict.ROLL_BACK
    assert 1 < failures <= 5


def test_a_canary_that_is_as_good_graduates() -> None:
    """The same successes on both sides end in graduation."""
    state = DrawEvidence.begin(POLICY)
    for _ in range(40):
        state = grow(grow(state, Arm.CHAMPION, 1.0, jobs=9), Arm.CANARY, 1.0)
    decision = state.decide(elapsed_days=0)
    assert decision.verdict is Verdict.GRADUATE
    assert decision.inputs["canary_jobs"] == 40


def test_the_champion_alone_decides_nothing_soon() -> None:
    """A run of champion jobs such as the draw does give leaves both questions open."""
    for score in (0.0, 0.6, 1.0):
        state = grow(DrawEvidence.begin(POLICY), Arm.CHAMPION, score, jobs=30)
        assert state.decide(elapsed_days=0).verdict is Verdict.HOLD


def test_counts_per_arm() -> None:
    """Dispatched, settled, open, excluded and rerouted jobs and the mean are counted by arm."""
    state = begun(POLICY, Arm.CANARY, Arm.CANARY, Arm.CANARY, Arm.CHAMPION, Arm.CANARY)
    state = advance(
        state,
        [],
        [
            settled(0, 1.0),
            settled(3, 0.5),
            settled(4, 0.0),
            Settlement(index=1, kind="excluded", reason="the forge did not answer"),
            Settlement(index=2, kind="rerouted"),
        ],
    ).state
    canary, champion = state.canary, state.champion
    assert (canary.dispatched, canary.settled, canary.excluded, canary.rerouted, canary.open) == (
        4,
        2,
        1,
        1,
        0,
    )
    assert (champion.dispatched, champion.settled, champion.open) == (1, 1, 0)
    assert (canary.mean, champion.mean) == (0.5, 0.5)
    assert begun(POLICY, Arm.CANARY).canary.mean is None


def test_baseline_is_the_champions_settled_mean_with_its_prior() -> None:
    """0.6 with the weight of four jobs, then what the champion scored; the canary's scores do not enter."""
    state = DrawEvidence.begin(POLICY)
    assert state.bet(Arm.CANARY, share=0.1).baseline == 0.6
    state = grow(grow(state, Arm.CHAMPION, 1.0, jobs=8), Arm.CANARY, 0.0, jobs=5)
    assert state.bet(Arm.CANARY, share=0.1).baseline == 0.87  # (2.4 + 8) / 12
    waiting = advance(state, [dispatched(state, Arm.CHAMPION)], []).state
    assert waiting.bet(Arm.CANARY, share=0.1).baseline == 0.87


def test_a_bet_stays_as_it_was_frozen() -> None:
    """What settles after the dispatch of a job does not change what was staked on it."""
    early = begun(POLICY, Arm.CANARY, Arm.CHAMPION)
    bet_then_champion = advance(early, [], [settled(1, 0.0)]).state
    assert bet_then_champion.worse.open[0].baseline == 0.6
    assert bet_then_champion.bet(Arm.CANARY, share=0.1).baseline == 0.48  # 2.4 / 5


def test_a_trial_goes_on_with_the_alternatives_that_it_was_opened_with() -> None:
    """What was stored under version 1 of its policy is bet, read and replayed by that; its numbers stay."""
    stored = '{"v": 1, "prior_mean": 0.6, "prior_weight": 2.0, "share": 0.1}'
    earlier, now = TrialPolicy.from_json(stored), TrialPolicy()
    assert (earlier.v, now.v) == (1, 3)
    state = DrawEvidence.begin(earlier)
    assert state.worse.null.alternatives == (-0.1, -0.2, -0.4)
    ledger: list[Dispatched | Settlement] = []
    for index in range(6):
        bet = Bet(arm=Arm.CANARY, share=0.1, baseline=0.7)
        line = Dispatched.of(bet, index=index, job_id=f"{index:016x}", draw=0.0)
        ledger += [line, settled(index, 0.0)]
        state = advance(state, [line], [settled(index, 0.0)]).state
    assert state.worse.value == pytest.approx(24.99, abs=0.005)
    assert DrawEvidence.from_json(state.to_json()) == state
    assert replay(DrawEvidence, TrialPolicy.from_json(earlier.to_json()), ledger).state == state
    assert difference_of(DrawEvidence, earlier, ledger).upper <= 0.0
    assert difference_of(DrawEvidence, now, ledger).upper > 0.0
    assert replay(DrawEvidence, now, ledger).state.worse.value == pytest.approx(14.98, abs=0.005)


def test_strata_are_shrunk_to_the_overall_mean() -> None:
    """A stratum's baseline moves from the overall mean towards its own with the jobs in it."""
    state = DrawEvidence.begin(TrialPolicy(strata="repository"))
    for stratum, score in (("shop", 1.0), ("bank", 0.0)):
        for _ in range(6):
            entry = dispatched(state, Arm.CHAMPION, stratum=stratum)
            state = advance(state, [entry], [settled(entry.index, score)]).state
    overall = (2.4 + 6) / 16
    assert state.bet(Arm.CANARY, share=0.1).baseline == round(overall, 2)
    assert state.bet(Arm.CANARY, share=0.1, stratum="shop").baseline == round((overall * 4 + 6) / 10, 2)
    assert state.bet(Arm.CANARY, share=0.1, stratum="bank").baseline == round(overall * 4 / 10, 2)
    assert state.bet(Arm.CANARY, share=0.1, stratum="new").baseline == round(overall, 2)


def test_strata_that_are_off_are_not_looked_at() -> None:
    """By default a bet has no stratum."""
    assert DrawEvidence.begin(POLICY).bet(Arm.CANARY, share=0.1, stratum="shop").stratum == ""


def test_a_guardrail_rolls_back_a_canary_that_scores_well_and_costs_too_much() -> None:
    """Both arms succeed; the canary spends the cap, the champion nothing."""
    state = DrawEvidence.begin(GUARDED)
    while state.decide(elapsed_days=0).verdict is Verdict.HOLD:
        state = grow(state, Arm.CHAMPION, 1.0, jobs=3, cost_usd=0.0)
        state = grow(state, Arm.CANARY, 1.0, cost_usd=2.0)
    decision = state.decide(elapsed_days=0)
    assert decision.verdict is Verdict.ROLL_BACK
    assert "cost_usd" in decision.reasons[0]


def test_a_job_without_an_amount_is_left_out_of_that_guardrail() -> None:
    """Unknown cost moves no guardrail, and the score counts all the same."""
    state = grow(DrawEvidence.begin(GUARDED), Arm.CANARY, 0.0)
    assert state.guardrails["cost_usd"].ln_value == 0.0
    assert state.guardrails["cost_usd"].open == ()
    assert state.worse.ln_value > 0.0


def test_provisional_scores_count_only_in_provisional_mode() -> None:
    """Strict: a merge stays open until it cannot be reverted. Provisional: it counts, and is swapped."""
    merged = Settlement(index=0, kind="provisional", score=1.0)
    strict = begun(POLICY, Arm.CANARY)
    assert advance(strict, [], [merged]).state == strict
    loose = advance(begun(GUARDED, Arm.CANARY), [], [merged]).state
    assert loose.not_worse.ln_value > 0.0
    assert (loose.canary.open, loose.canary_jobs) == (1, 1)
    reverted = advance(loose, [], [settled(0, 0.0)]).state
    assert reverted.not_worse.ln_value == 0.0
    assert (reverted.canary.open, reverted.canary.mean) == (0, 0.0)


def test_the_share_follows_the_evidence_when_it_ramps() -> None:
    """Good outcomes raise the next share; a fixed share stays."""
    for ramp, share in ((True, 0.5), (False, 0.1)):
        state = DrawEvidence.begin(TrialPolicy(ramp=ramp))
        assert state.next_share == 0.1
        for _ in range(12):
            state = grow(grow(state, Arm.CHAMPION, 1.0, jobs=3), Arm.CANARY, 1.0)
        assert state.next_share == share


@pytest.mark.parametrize("policy", [POLICY, GUARDED])
@pytest.mark.parametrize("seed", range(5))
def test_replaying_the_ledger_gives_the_very_same_state(policy: TrialPolicy, seed: int) -> None:
    """Step by step with late outcomes of every kind, or at once from the ledger: not one bit differs."""
    state, ledger = random_ledger(policy, seed, 150)
    replayed = replay(DrawEvidence, policy, ledger)
    assert replayed.late == ()
    assert replayed.state == state
    assert replayed.state.to_json() == state.to_json()
    assert state.canary.open + state.champion.open > 0


@pytest.mark.parametrize("seed", range(3))
def test_json_round_trip_is_exact(seed: int) -> None:
    """A state that was stored between two outcomes goes on as if it had not been."""
    state, _ = random_ledger(GUARDED, seed, 100)
    again = DrawEvidence.from_json(state.to_json())
    assert again == state
    assert grow(again, Arm.CANARY, 0.6).to_json() == grow(state, Arm.CANARY, 0.6).to_json()


@pytest.mark.parametrize("tamper", ["v", "open", "counts", "guardrails", "text", "list"])
def test_refuses_malformed_states(tamper: str) -> None:
    """A stored state that contradicts itself is a corrupt record that points to the ledger."""
    state, _ = random_ledger(GUARDED, 1, 60)
    stored = json.loads(state.to_json())
    if tamper == "v":
        stored["v"] = 2
    elif tamper == "open":
        stored["worse"]["open"].pop()
    elif tamper == "counts":
        stored["canary"]["settled"] += 1
    elif tamper == "guardrails":
        stored["guardrails"] = {}
    text = {"text": "no json", "list": "[]"}.get(tamper, json.dumps(stored))
    with pytest.raises(CorruptRecordError, match="ledger"):
        DrawEvidence.from_json(text)


def test_a_repeated_dispatch_changes_nothing_and_a_gap_is_refused() -> None:
    """A crash may feed what is counted already; a hole in the ledger must not pass."""
    state = begun(POLICY, Arm.CANARY)
    entry = dispatched(DrawEvidence.begin(POLICY), Arm.CANARY)
    assert advance(state, [entry], []).state == state
    gap = entry.model_copy(update={"index": 5})
    with pytest.raises(CorruptRecordError, match="job 5 where job 1 was due"):
        advance(state, [gap], [])
    with pytest.raises(CorruptRecordError, match="settles job 7"):
        advance(state, [], [settled(7, 1.0)])


def test_late_settlements_are_reported_and_change_nothing() -> None:
    """What comes after the final score of a job is late."""
    state = grow(DrawEvidence.begin(POLICY), Arm.CANARY, 1.0)
    late = settled(0, 0.0)
    result = advance(state, [], [late])
    assert result.state == state
    assert result.late == (late,)


def _graduated_ledger() -> list[Dispatched | Settlement]:
    state, ledger = DrawEvidence.begin(POLICY), list[Dispatched | Settlement]()
    while state.decide(elapsed_days=0).verdict is Verdict.HOLD:
        for arm in (Arm.CHAMPION, Arm.CHAMPION, Arm.CANARY):
            entries = (dispatched(state, arm, share=1 / 3), settled(state.dispatched, 1.0))
            state = advance(state, [entries[0]], [entries[1]]).state
            ledger += entries
    assert state.decide(elapsed_days=0).verdict is Verdict.GRADUATE
    return ledger


def test_a_verdict_is_contradicted_when_late_settlements_undo_its_evidence() -> None:
    """Reverts after the graduation, had they counted, would not have let it pass."""
    ledger = _graduated_ledger()
    canaries = [entry.index for entry in ledger if isinstance(entry, Dispatched) and entry.arm is Arm.CANARY]
    assert still_supported(Verdict.GRADUATE, DrawEvidence, POLICY, ledger)
    reverts = [settled(index, 0.0) for index in canaries[::2]]
    assert not still_supported(Verdict.GRADUATE, DrawEvidence, POLICY, [*ledger, *reverts])
    assert still_supported(Verdict.EXPIRE, DrawEvidence, POLICY, [*ledger, *reverts])


def test_a_late_provisional_signal_does_not_undo_a_final_score() -> None:
    """Only a final settlement stands against a final settlement."""
    ledger = _graduated_ledger()
    late = [Settlement(index=index, kind="provisional", score=0.0) for index in range(30)]
    assert still_supported(Verdict.GRADUATE, DrawEvidence, POLICY, [*ledger, *late])


def test_ledger_records_refuse_what_cannot_be() -> None:
    """A draw that gives the other arm, a score where none belongs, a share of 1."""
    entry = dispatched(DrawEvidence.begin(POLICY), Arm.CANARY)
    assert Dispatched.model_validate_json(entry.model_dump_json()) == entry
    assert entry.bet.arm is Arm.CANARY
    for changes in ({"draw": 0.1}, {"share": 1.0}, {"baseline": 1.2}, {"v": 2}, {"index": -1}):
        with pytest.raises(ValidationError):
            Dispatched.model_validate(entry.model_dump() | changes)
    for kind, score in (("settled", None), ("excluded", 0.0), ("settled", 1.1), ("lost", None)):
        with pytest.raises(ValidationError):
            Settlement.model_validate({"index": 0, "kind": kind, "score": score})


@pytest.mark.long
def test_equally_good_canaries_are_seldom_rolled_back() -> None:
    """100 seeded trials with champion and canary at 0.7, outcomes late by arm and outcome."""
    rolled_back = sum(_late_trial(seed) is Verdict.ROLL_BACK for seed in range(100))
    assert rolled_back <= 5  # 5 %


def _late_trial(seed: int) -> Verdict:
    """Up to 120 jobs with share 0.3; successes of the canary take eight times as long."""
    chance = random.Random(seed)
    state = DrawEvidence.begin(TrialPolicy(share=0.3))
    due: dict[int, list[Settlement]] = {}
    for index in range(120):
        arm = Arm.CANARY if chance.random() < 0.3 else Arm.CHAMPION
        score = float(chance.random() < 0.7)
        delay = int(chance.expovariate(1 / (80 if arm is Arm.CANARY and score else 10)))
        due.setdefault(index + delay, []).append(settled(index, score))
        state = advance(state, [dispatched(state, arm, share=0.3)], due.pop(index, [])).state
        verdict = state.decide(elapsed_days=0).verdict
        if verdict is not Verdict.HOLD:
            return verdict
    return Verdict.HOLD
