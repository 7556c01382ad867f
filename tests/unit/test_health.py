"""Trial health: a trial that cannot be believed holds itself."""

import json
import random

import pytest

from harvest.draws.draw_evidence import DrawEvidence
from harvest.draws.draw_ledger import Dispatched, Settlement
from harvest.evidence.health import Balance, HealthCheck, TrialHealth
from harvest.evidence.policy import TrialPolicy
from harvest.evidence.trial_test import advance
from harvest.evidence.verdict import Verdict
from routing.templates.trial import Arm

POLICY = TrialPolicy(max_canary_jobs=100_000)


def drawn(state: DrawEvidence, draw: float, *, share: float = 0.1) -> Dispatched:
    """The next job by its draw, with the bet of now."""
    arm = Arm.CANARY if draw < share else Arm.CHAMPION
    bet = state.bet(arm, share=share)
    return Dispatched.of(bet, index=state.dispatched, job_id=f"j{state.dispatched}", draw=draw)


def step(state: DrawEvidence, draw: float, score: float | None, *, age: float = 60.0) -> DrawEvidence:
    """One job, dispatched and ended; without a score it is excluded."""
    entry = drawn(state, draw)
    end = Settlement(
        index=entry.index, kind="settled" if score is not None else "excluded", score=score, age_seconds=age
    )
    return advance(state, [entry], [end]).state


@pytest.mark.long
def test_a_canary_whose_jobs_are_all_excluded_decides_nothing() -> None:
    """The champion's scores alone would reach either verdict; the exclusions hold both."""
    without = 0
    for seed in range(20):
        draws, state = random.Random(seed), DrawEvidence.begin(POLICY)
        for number in range(1_500):
            draw = draws.random()
            champion = float(draws.random() < 0.7)
            state = step(state, draw, None if draw < 0.1 else champion)
            if number % 10:
                continue
            decision = state.decide(elapsed_days=0.0)
            assert decision.verdict is Verdict.HOLD
            freely = state.decide(elapsed_days=0.0, released=tuple(HealthCheck))
            if freely.verdict is not Verdict.HOLD:
                without += 1
                assert "excluded jobs are not spread" in decision.reasons[0]
                break
    assert without > 5, "the evidence alone has ended trials"


def test_sound_trials_are_left_alone() -> None:
    """Both arms excluded and late alike, in 300 trials of 200 jobs: hardly one is held."""
    held = 0
    for seed in range(300):
        numbers, health = random.Random(seed), TrialHealth()
        for _ in range(200):
            arm = Arm.CANARY if numbers.random() < 0.1 else Arm.CHAMPION
            health = health.add(HealthCheck.DRAWS, arm, 0.1)
            for check in (HealthCheck.EXCLUSIONS, HealthCheck.AGES):
                if numbers.random() < 0.3:
                    health = health.add(check, arm, 0.1)
        held += bool(health.alarms())
    assert held <= 4  # three checks, 0.001 each, and what chance allows


def test_draws_that_are_not_what_the_share_says_hold_the_trial() -> None:
    """A generator that gives every third job to the canary where the share is a tenth."""
    state = DrawEvidence.begin(POLICY)
    for number in range(60):
        state = step(state, 0.05 if number % 3 == 0 else 0.5, 1.0)
    (alarm,) = state.health.alarms()
    assert alarm.check is HealthCheck.DRAWS
    assert "20 of 60 are the canary's, about 6 were to be expected" in alarm.sentence


@pytest.mark.parametrize(
    ("fields", "check"),
    [({"age_seconds": 4 * 86_400.0}, HealthCheck.AGES), ({"waited": True}, HealthCheck.LIMITS)],
)
def test_what_hits_the_canary_alone_holds_the_trial(fields: dict[str, float], check: HealthCheck) -> None:
    """Jobs that are late, and jobs that waited for a limit of their account."""
    draws, state = random.Random(4), DrawEvidence.begin(POLICY)
    for _ in range(100):
        entry = drawn(state, draws.random())
        hit = fields if entry.arm is Arm.CANARY else {}
        end = Settlement.model_validate({"index": entry.index, "kind": "settled", "score": 1.0, **hit})
        state = advance(state, [entry], [end]).state
    assert [alarm.check for alarm in state.health.alarms()] == [check]
    assert state.health.alarms(released=[check]) == ()


@pytest.mark.parametrize(("score", "verdict"), [(0.0, Verdict.ROLL_BACK), (1.0, Verdict.HOLD)])
def test_late_scores_hold_a_graduation_alone(score: float, verdict: Verdict) -> None:
    """A canary that settles by its deadline alone is worse, and goes; one that looks good waits."""
    draws, state = random.Random(4), DrawEvidence.begin(POLICY)
    for _ in range(4_000):
        entry = drawn(state, draws.random())
        is_canary = entry.arm is Arm.CANARY
        end = Settlement(
            index=entry.index, kind="settled", score=score if is_canary else float(draws.random() < 0.9),
            age_seconds=7 * 86_400.0 if is_canary else 60.0,
        )  # fmt: skip
        state = advance(state, [entry], [end]).state
        freely = state.decide(elapsed_days=0.0, released=tuple(HealthCheck)).verdict
        if freely is not Verdict.HOLD:
            break
    assert freely is not Verdict.HOLD
    assert state.decide(elapsed_days=0.0).verdict is verdict


def test_a_check_that_has_fired_stays_so() -> None:
    """Later events that even it out do not make the earlier ones believable."""
    balance = Balance()
    for _ in range(6):
        balance = balance.add(Arm.CANARY, 0.1)
    assert balance.has_fired
    for _ in range(100):
        balance = balance.add(Arm.CHAMPION, 0.1)
    assert balance.has_fired
    assert (balance.canary, balance.champion) == (6, 100)


def test_five_events_in_a_row_raise_no_alarm_yet() -> None:
    """With a share of a tenth it takes six."""
    balance = Balance()
    for _ in range(5):
        balance = balance.add(Arm.CANARY, 0.1)
    assert not balance.has_fired


def test_a_held_trial_still_ends_at_its_limits() -> None:
    """The champion stays, and people are asked, with what the checks found."""
    state = DrawEvidence.begin(TrialPolicy(max_canary_jobs=20))
    for number in range(60):
        state = step(state, 0.05 if number % 3 == 0 else 0.5, 0.0 if number % 3 == 0 else 1.0)
    decision = state.decide(elapsed_days=0.0)
    assert decision.verdict is Verdict.EXPIRE
    assert "not drawn with the recorded share" in decision.reasons[0]


def test_states_without_health_are_read() -> None:
    """A trial that was opened before there was any goes on."""
    stored = json.loads(step(DrawEvidence.begin(POLICY), 0.5, 1.0).to_json())
    del stored["health"]
    assert DrawEvidence.from_json(json.dumps(stored)).health == TrialHealth()
