"""When a backtest ends, and what it counts until then: time, money, and the step that rejects a version."""

import random
from collections.abc import Iterator

import pytest
import redis

from harvest.evidence.policy import Guardrail, TrialPolicy
from routing.jobs.job import Job, JobState
from routing.jobs.retry import Again
from routing.store.backtests.backtest_store import BacktestAnswer, BacktestState
from routing.templates.templates import Templates
from routing.templates.trial import Arm
from routing.templates.version import VersionState
from tasks.agents.runtimes.agent_event import Usage
from tasks.backtests.running import evidence_of
from tasks.settings.settings import JudgeSettings
from tests.fleets.backtests import SteppedBacktest, some_cases
from tests.fleets.stepped_fleet import SteppedFleet
from tests.leaks import leaks

QUICK = TrialPolicy(delta=0.4, alpha=0.1, beta=0.1)

#: Seconds after which a job that was begun has failed.
DEADLINE = QUICK.settle_deadline_seconds


def made_fleet(client: redis.Redis, policy: TrialPolicy = QUICK) -> SteppedFleet:
    """A fleet with a champion, a version that waits, and a judge."""
    made = SteppedFleet(
        client, policy=policy, judge=JudgeSettings(command="make test"), generator=random.Random(7)
    )
    made.add()
    made.propose()
    return made


@pytest.fixture
def fleet(redis_client: redis.Redis) -> Iterator[SteppedFleet]:
    """Such a fleet, which leaves no keys."""
    made = made_fleet(redis_client)
    yield made
    assert leaks(redis_client, made.app.keys) == []


def champion_alone(job: Job) -> float:
    """Only the champion solves anything."""
    return 1.0 if job.pair_arm is Arm.CHAMPION else 0.0


def in_turn(job: Job) -> float:
    """Both solve every second case."""
    return float((job.pair or 0) % 2)


def test_nobody_at_work_says_nothing_about_a_version(fleet: SteppedFleet) -> None:
    """However long its jobs wait, with the champion's results kept: nothing is counted and it goes on."""
    cases = some_cases(4)
    SteppedBacktest(fleet, cases=cases, fresh=True).play(lambda _: 1.0)
    made = SteppedBacktest(fleet, cases=cases, refuse=True)
    for _ in range(15):
        made.tick()
        fleet.clock.forward(DEADLINE + 10)
        fleet.app.harvester.harvest()
    assert made.now.is_running
    assert evidence_of(made.now).counts.settled == 0
    assert fleet.app.templates.find(made.canary.id).state is VersionState.PENDING
    (waiting,) = made.jobs()
    assert (waiting.settled_at, waiting.score) == (None, None), waiting.score_reason


def test_the_time_of_a_job_runs_from_its_first_claim(fleet: SteppedFleet) -> None:
    """What was begun and came to nothing has failed at its deadline; what was done late counts."""
    made = SteppedBacktest(fleet)
    made.tick()
    fleet.clock.forward(2 * DEADLINE)
    won = {job.pair_arm: fleet.claim(job.id, lease_seconds=9 * DEADLINE) for job in made.jobs()}
    made.tick()
    assert (made.now.evidence, len(made.pairs())) == ("", 1)
    made.judged(won[Arm.CHAMPION], 1.0)
    fleet.clock.forward(DEADLINE - 10)
    made.tick()
    assert evidence_of(made.now).counts.settled == 0
    fleet.clock.forward(20)
    made.tick()
    counts = evidence_of(made.now).counts
    assert (counts.settled, counts.champion_only) == (1, 1)


def test_a_job_that_waits_again_at_its_deadline_is_left_out(fleet: SteppedFleet) -> None:
    """Its worker was lost, and there is no other."""
    made = SteppedBacktest(fleet)
    made.tick()
    first, other = (fleet.claim(job.id) for job in made.jobs())
    made.judged(other, 1.0)
    fleet.app.jobs.put_off(first, Again(counts=False), reason="its worker stops")
    fleet.clock.forward(DEADLINE + 10)
    made.tick()
    counts = evidence_of(made.now).counts
    assert (counts.excluded, counts.settled) == (1, 0)


def test_jobs_at_work_end_with_their_backtest(fleet: SteppedFleet) -> None:
    """Their workers learn it when they look at their leases, also of jobs given out in the same moment."""
    made = SteppedBacktest(fleet)
    made.tick()
    held = [(won.job.id, won.fence) for won in (fleet.claim(job.id) for job in made.jobs())]
    store = fleet.app.job_store
    assert [status.stop for status in store.renew(held, extend_seconds=0)] == ["", ""]
    fleet.app.backtest_opening.stop(made.now, by="ada")
    for seconds in (0, 30):
        answers = store.renew(held, extend_seconds=seconds)
        assert [(one.held, one.stop) for one in answers] == [(True, "its backtest has ended")] * 2


def test_money_that_was_not_spent_is_not_counted(fleet: SteppedFleet) -> None:
    """A kept result was paid for by the backtest that made it."""
    cases = some_cases(6)
    SteppedBacktest(fleet, cases=cases).play(in_turn)
    made = SteppedBacktest(fleet, cases=cases, budget_usd=2.0)
    ended = made.play(in_turn)
    assert len([pair for pair in made.pairs() if pair.kept]) == len(made.pairs()) == 4
    jobs = [job for job in fleet.app.jobs.newest(most=300) if job.backtest == made.run.id]
    assert "spent $2.00 of $2.00" in ended.reason
    assert sum(job.cost.usd for job in jobs) == pytest.approx(2.0)


def test_money_that_nobody_said_is_not_nothing(fleet: SteppedFleet) -> None:
    """A turn without dollars makes of what was spent a floor."""
    made = SteppedBacktest(fleet, budget_usd=2.0)
    made.tick()
    for job, usd in zip(made.jobs(), (2.5, None), strict=True):
        fleet.spend(fleet.claim(job.id), usd=usd)
    made.tick()
    assert made.now.reason == "it has spent at least $2.50 of $2.00"


def test_money_of_jobs_at_work_is_counted(fleet: SteppedFleet) -> None:
    """Turns that have ended are paid for, whatever becomes of the job; its work ends then."""
    made = SteppedBacktest(fleet, budget_usd=2.0)
    made.tick()
    won = [fleet.claim(job.id) for job in made.jobs()]
    fleet.spend(won[0], usd=2.5)
    made.tick()
    assert made.now.state is BacktestState.UNDECIDED
    assert "spent $2.50 of $2.00" in made.now.reason
    assert all(fleet.app.jobs.find(one.job.id).cancel for one in won)


def test_a_guardrail_of_tokens_guards(redis_client: redis.Redis) -> None:
    """A version that solves as much and reads far more is stopped by it."""
    rails = (Guardrail(name="tokens", cap=1_000_000),)
    fleet = made_fleet(redis_client, QUICK.model_copy(update={"guardrails": rails}))
    made = SteppedBacktest(fleet)
    ended = made.play(
        lambda _: 1.0,
        usage=lambda job: Usage(cost_usd=0.1, input_tokens=900_000 if job.version > 1 else 1000),
    )
    assert ended.state is BacktestState.WORSE
    assert "tokens" in ended.reason


def test_a_version_is_rejected_after_the_end_is_written(
    fleet: SteppedFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that dies in between leaves the rejection to the next tick, which makes it once."""
    made = SteppedBacktest(fleet, refuse=True)
    with monkeypatch.context() as dying:
        dying.setattr(Templates, "reject", _dies)
        with pytest.raises(SystemExit):
            made.play(champion_alone)
    assert made.now.state is BacktestState.WORSE
    assert fleet.app.templates.find(made.canary.id).state is VersionState.PENDING
    made.tick()
    assert fleet.app.templates.find(made.canary.id).state is VersionState.REJECTED
    assert fleet.app.backtest_store.refusing() == []
    before = fleet.everything()
    made.tick()
    assert fleet.everything() == before


def _dies(*_: object, **__: object) -> None:
    raise SystemExit


def test_a_backtest_that_is_stopped_meanwhile_rejects_nothing(
    fleet: SteppedFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end that is written first holds."""
    made = SteppedBacktest(fleet, refuse=True)
    store = fleet.app.backtest_store
    advance = store.advance

    def slow(run: object, **step: object) -> BacktestAnswer:
        if step.get("state") is BacktestState.WORSE:
            fleet.app.backtest_opening.stop(made.now, by="ada")
        return advance(run, **step)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "advance", slow)
    ended = made.play(champion_alone)
    assert (ended.state, ended.reason) == (BacktestState.STOPPED, "stopped by ada")
    assert fleet.app.templates.find(made.canary.id).state is VersionState.PENDING


def test_a_champion_by_now_is_not_rejected(fleet: SteppedFleet) -> None:
    """A person made it champion while its backtest ran; the backtest says what it saw, and no tick fails."""
    made = SteppedBacktest(fleet, refuse=True)
    made.tick()
    fleet.app.templates.promote(made.canary.id, by="ada")
    assert made.play(champion_alone).state is BacktestState.WORSE
    assert fleet.app.templates.find(made.canary.id).state is VersionState.CHAMPION
    assert fleet.app.backtest_store.refusing() == []
    assert JobState.QUEUED not in {job.state for job in made.jobs()}
