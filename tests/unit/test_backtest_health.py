"""The health of a backtest: what cannot be believed holds its verdict, and gives out nothing more."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import redis

from console.details.backtest_detail import report_of
from console.output.trials.backtest_views import remarks, report_document
from harvest.evidence.health import HealthCheck
from harvest.evidence.policy import TrialPolicy
from harvest.pairs.pair_ledger import PairSettlement
from harvest.settling.score import ScoreRules
from routing.errors import ConflictError
from routing.jobs.job import Job
from routing.store.backtests.backtest_store import BacktestState
from routing.templates.trial import Arm
from routing.templates.version import VersionState
from tasks.backtests.pair_look import look_at
from tasks.backtests.running import evidence_of
from tasks.settings.settings import JudgeSettings
from tests.fleets.backtests import SteppedBacktest, some_cases
from tests.fleets.stepped_fleet import SteppedFleet
from tests.leaks import leaks

QUICK = TrialPolicy(delta=0.4, alpha=0.1, beta=0.1)

RULES = ScoreRules(settle_deadline_seconds=QUICK.settle_deadline_seconds)

#: Exclusions in a row, of one side alone, that make its check fire.
ENOUGH = 15


@pytest.fixture
def fleet(redis_client: redis.Redis) -> Iterator[SteppedFleet]:
    """A fleet with a champion, a version that waits, and a judge."""
    made = SteppedFleet(
        redis_client, policy=QUICK, judge=JudgeSettings(command="make test"), generator=random.Random(7)
    )
    made.add()
    made.propose()
    yield made
    assert leaks(redis_client, made.app.keys) == []


def left_out_first(arm: Arm, canary: float) -> Callable[[Job], float | None]:
    """One side's first jobs have no score; then the champion solves all, and the canary what is said."""

    def score(job: Job) -> float | None:
        if job.pair_arm is arm and (job.pair or 0) < ENOUGH:
            return None
        return canary if job.pair_arm is Arm.CANARY else 1.0

    return score


def lines(made: SteppedBacktest) -> list[PairSettlement]:
    """What became of its pairs, as it is stored."""
    stored = made.fleet.app.backtest_store.settlements(made.run.id)
    return [PairSettlement.model_validate_json(line) for line in stored]


@pytest.mark.parametrize(
    ("arm", "canary", "end", "after"),
    [
        (Arm.CANARY, 1.0, BacktestState.NOT_WORSE, VersionState.PENDING),
        (Arm.CHAMPION, 0.0, BacktestState.WORSE, VersionState.REJECTED),
    ],
)
def test_a_side_whose_jobs_are_left_out_holds_the_verdict(
    fleet: SteppedFleet, arm: Arm, canary: float, end: BacktestState, after: VersionState
) -> None:
    """Either verdict, on whichever side it is: reported once, nothing more is given out, a person decides."""
    made = SteppedBacktest(fleet, refuse=True)
    made.play(left_out_first(arm, canary))
    held = made.now
    assert (held.state, held.alarms) == (BacktestState.RUNNING, ("exclusions",)), held.reason
    assert ENOUGH < len(made.pairs()) < 40
    assert (made.jobs(), fleet.app.templates.find(made.canary.id).state) == ([], VersionState.PENDING)
    (event,) = fleet.events("backtest.held")
    assert f"{ENOUGH if arm is Arm.CANARY else 0} of {ENOUGH} are the canary's" in event.data["reasons"][0]
    report = report_of(fleet.app, held.id)
    assert report_document(report)["backtest"]["held_by"] == ["exclusions"]
    assert f"coalmine backtest resume {held.id}" in " ".join(remarks(report))
    resumed, changed = fleet.app.backtest_opening.resume(held, by="ada", reason="the judge's host was full")
    assert (changed, resumed.alarms, resumed.released) == (True, (), ("exclusions",))
    assert fleet.events("backtest.resumed")[0].data["by"] == "ada"
    assert not fleet.app.backtest_opening.resume(resumed, by="ada")[1]
    made.tick()
    assert (made.now.state, fleet.app.templates.find(made.canary.id).state) == (end, after)
    with pytest.raises(ConflictError, match="has ended"):
        fleet.app.backtest_opening.resume(held, by="ada")
    assert len(fleet.events("backtest.held")) == 1


def test_a_person_releases_only_the_checks_that_they_saw(fleet: SteppedFleet) -> None:
    """Another check that fires meanwhile is not let go with them."""
    made = SteppedBacktest(fleet)
    made.hold()
    with pytest.raises(ConflictError, match="another check"):
        fleet.app.backtest_opening.resume(replace(made.now, alarms=("draws",)), by="ada")
    assert made.now.released == ()


def test_cases_that_are_used_up_name_what_was_found(fleet: SteppedFleet) -> None:
    """It is undecided, and its reason says why nothing of it can be believed."""
    made = SteppedBacktest(fleet, cases=some_cases(ENOUGH))
    ended = made.play(left_out_first(Arm.CANARY, 1.0))
    assert ended.state is BacktestState.UNDECIDED
    assert "excluded jobs are not spread" in ended.reason


@pytest.mark.parametrize("arms", [(), (Arm.CANARY,), (Arm.CHAMPION,), tuple(Arm)])
def test_the_side_that_alone_left_out_its_pair_is_noted(fleet: SteppedFleet, arms: tuple[Arm, ...]) -> None:
    """Where both did, or neither, none is."""
    made = SteppedBacktest(fleet)
    made.tick()
    made.work(lambda job: None if job.pair_arm in arms else 1.0)
    made.tick()
    assert [line.excluded_by for line in lines(made)] == [arms[0] if len(arms) == 1 else None]


def test_a_cancel_names_no_side(fleet: SteppedFleet) -> None:
    """It is a person's."""
    made = SteppedBacktest(fleet)
    made.tick()
    for job in made.jobs():
        if job.pair_arm is Arm.CANARY:
            fleet.app.jobs.cancel(job.id, by="ada", at=fleet.clock())
        else:
            made.judged(fleet.claim(job.id), 1.0)
    made.tick()
    assert [(line.kind, line.excluded_by) for line in lines(made)] == [("excluded", None)]


def test_a_side_that_alone_is_late_is_noted(fleet: SteppedFleet) -> None:
    """By the time since its first claim; so is one that waited for its account."""
    made = SteppedBacktest(fleet)
    made.tick()
    fleet.clock.forward(2 * QUICK.settle_deadline_seconds)  # no worker has taken them
    won = {job.pair_arm: fleet.claim(job.id, lease_seconds=10**7) for job in made.jobs()}
    made.judged(won[Arm.CHAMPION], 1.0)
    fleet.clock.forward(0.6 * QUICK.settle_deadline_seconds)
    made.judged(won[Arm.CANARY], 1.0)
    facts = {name: (job, said) for name, job, said in fleet.app.signals.read_due(list(_ids(made)))}
    canary, said = facts[won[Arm.CANARY].job.id]
    assert canary is not None
    facts[canary.id] = (replace(canary, held_seconds=30.0), said)
    (pair,) = made.pairs()
    line = look_at(pair, facts, now=fleet.clock(), rules=RULES).line
    assert line is not None
    assert line.waited == (Arm.CANARY,)
    made.tick()
    (stored,) = lines(made)
    assert stored.champion_age_seconds == pytest.approx(0.0, abs=60.0)
    assert stored.canary_age_seconds == pytest.approx(0.6 * QUICK.settle_deadline_seconds)
    assert evidence_of(made.now).health.balances["ages"].canary == 1  # type: ignore[index]


def _ids(made: SteppedBacktest) -> Iterator[str]:
    for pair in made.pairs():
        yield from (pair.dispatched.champion_job, pair.dispatched.canary_job)


def test_a_kept_result_is_not_compared_in_time(fleet: SteppedFleet) -> None:
    """Its job is not at work now; but what leaves out the pair is noted, and said where that holds it."""
    cases = some_cases(1)
    SteppedBacktest(fleet, cases=cases).play(lambda _: 1.0)
    again = SteppedBacktest(fleet, cases=cases)
    again.tick()
    (job,) = again.jobs()
    won = fleet.claim(job.id, lease_seconds=10**7)
    fleet.clock.forward(0.6 * QUICK.settle_deadline_seconds)
    again.judged(won, None)
    again.tick()
    (line,) = lines(again)
    assert (line.excluded_by, line.champion_age_seconds, line.canary_age_seconds) == (Arm.CANARY, None, None)
    assert line.waited == ()
    report = report_of(fleet.app, again.run.id)
    health = report.evidence.health
    for _ in range(ENOUGH):
        health = health.add(HealthCheck.EXCLUSIONS, Arm.CANARY, 0.5)
    held = replace(report, evidence=replace(report.evidence, health=health))
    assert "left out 1 had a kept result of the champion's" in " ".join(remarks(held))
