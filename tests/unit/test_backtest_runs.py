"""Running backtests: cases are given out, pairs are counted, and the test ends it."""

import random
from collections.abc import Iterator

import pytest
import redis
from structlog.testing import capture_logs

from harvest.backtests.case import Case
from harvest.evidence.policy import TrialPolicy
from routing.errors import ConflictError, InvalidInputError
from routing.events import BACKTEST_ENDED, BACKTEST_STARTED
from routing.jobs.job import Job, JobState
from routing.store.backtests.backtest_store import BacktestAnswer, BacktestState
from routing.templates.trial import Arm
from routing.templates.version import VersionState
from tasks.backtests.opening import BacktestOrder, drawn
from tasks.backtests.running import evidence_of
from tasks.composition.ticks import harvest_tick
from tasks.settings.backtest_settings import BacktestSettings
from tasks.settings.settings import JudgeSettings
from tasks.work.tick import TickRequests
from tests.fleets.backtests import SteppedBacktest, some_cases
from tests.fleets.stepped_fleet import SteppedFleet
from tests.leaks import leaks

QUICK = TrialPolicy(delta=0.4, alpha=0.1, beta=0.1)


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


def champion_alone(job: Job) -> float:
    """Only the champion solves anything."""
    return 1.0 if job.pair_arm is Arm.CHAMPION else 0.0


def both(job: Job) -> float:
    """Both solve everything."""
    del job
    return 1.0


def test_a_worse_version_is_refused_before_any_real_issue(fleet: SteppedFleet) -> None:
    """The backtest stops as soon as the test answers, and rejects the version where that was asked for."""
    made = SteppedBacktest(fleet, refuse=True)
    ended = made.play(champion_alone)
    assert ended.state is BacktestState.WORSE
    assert made.fleet.app.templates.find(made.canary.id).state is VersionState.REJECTED
    assert len(made.pairs()) < 15
    counts = evidence_of(ended).counts
    assert (counts.champion_only, counts.settled) == (counts.settled, len(made.pairs()))
    assert fleet.kinds().count(BACKTEST_STARTED) == fleet.kinds().count(BACKTEST_ENDED) == 1
    assert fleet.broker.queues["champion"] == fleet.broker.queues["canary"] == []


def test_a_version_that_is_as_good_stays_pending(fleet: SteppedFleet) -> None:
    """A backtest makes nobody champion: it says what it saw."""
    made = SteppedBacktest(fleet)
    assert made.play(both).state is BacktestState.NOT_WORSE
    assert made.fleet.app.templates.find(made.canary.id).state is VersionState.PENDING
    assert made.fleet.app.templates.champion("implementer").id == made.champion.id


def test_a_version_that_is_worse_stays_where_nobody_asked_to_refuse_it(fleet: SteppedFleet) -> None:
    """A person decides."""
    made = SteppedBacktest(fleet)
    assert made.play(champion_alone).state is BacktestState.WORSE
    assert made.fleet.app.templates.find(made.canary.id).state is VersionState.PENDING


def test_both_jobs_of_a_pair_are_alike_but_for_their_version(fleet: SteppedFleet) -> None:
    """The same text, limits and queue; nothing of the issue, the change or the tests."""
    made = SteppedBacktest(fleet)
    made.tick()
    champion, canary = sorted(made.jobs(), key=lambda job: job.version)
    assert (champion.version, canary.version) == (1, 2)
    assert (champion.pair_arm, canary.pair_arm) == (Arm.CHAMPION, Arm.CANARY)
    assert champion.request == canary.request
    for job in (champion, canary):
        assert (job.queue, job.shadow, job.trial, job.partner) == ("backtest", True, "", "")
        assert (job.request.issue, job.pinned, job.pair) == ("", True, 0)
    assert champion.case == canary.case == made.pairs()[0].case


def test_results_of_the_champion_are_kept_and_used_again(fleet: SteppedFleet) -> None:
    """For the same version, judge and case; `fresh` has them made anew."""
    cases = some_cases(4)
    SteppedBacktest(fleet, cases=cases).play(both)
    again = SteppedBacktest(fleet, cases=cases)
    again.play(champion_alone)
    assert [pair.kept is None for pair in again.pairs()] == [False] * 4
    assert evidence_of(again.now).counts.champion_only == 4
    assert {job.version for job in fleet.app.jobs.newest(most=99) if job.backtest == again.run.id} == {2}
    fresh = SteppedBacktest(fleet, cases=cases, fresh=True)
    fresh.tick()
    assert [pair.kept for pair in fresh.pairs()] == [None]


@pytest.mark.parametrize(("days", "kept"), [(0.9, 3), (1.1, 0)])
def test_results_are_kept_for_a_day(fleet: SteppedFleet, days: float, kept: int) -> None:
    """After that the champion works anew: its machine, packages or model may be others by now."""
    cases = some_cases(3)
    SteppedBacktest(fleet, cases=cases).play(both)
    fleet.clock.forward(days * 86_400)
    again = SteppedBacktest(fleet, cases=cases)
    again.play(both)
    assert len([pair for pair in again.pairs() if pair.kept]) == kept


def test_a_result_is_another_one_under_another_judge(redis_client: redis.Redis) -> None:
    """What one command said is nothing about what another would say."""
    cases = some_cases(3)
    for command, kept in (("make test", 0), ("make check", 0), ("make test", 3)):
        fleet = SteppedFleet(
            redis_client, policy=QUICK, judge=JudgeSettings(command=command), generator=random.Random(7)
        )
        if not fleet.app.templates.names():
            fleet.add()
            fleet.propose()
        made = SteppedBacktest(fleet, cases=cases)
        made.play(both)
        assert len([pair for pair in made.pairs() if pair.kept]) == kept, command


def test_the_order_is_drawn_and_each_case_comes_once() -> None:
    """By the generator that was passed in."""
    cases = some_cases(20)
    one, other = (drawn(cases, random.Random(seed)) for seed in (1, 2))
    assert one != other
    assert {case.id for case in one} == {case.id for case in other} == {case.id for case in cases}
    assert drawn([*cases, *cases], random.Random(1)) == one


def test_cases_that_do_not_decide_leave_it_undecided(fleet: SteppedFleet) -> None:
    """It says so."""
    ended = SteppedBacktest(fleet, cases=some_cases(2)).play(both)
    assert ended.state is BacktestState.UNDECIDED
    assert "all 2 cases" in ended.reason


def test_at_most_so_many_cases_are_worked_on(fleet: SteppedFleet) -> None:
    """However many there are."""
    made = SteppedBacktest(fleet, most=2)
    assert made.play(both).state is BacktestState.UNDECIDED
    assert len(made.pairs()) == 2


def test_money_that_is_used_up_ends_it(fleet: SteppedFleet) -> None:
    """Visibly, without a verdict."""
    ended = SteppedBacktest(fleet, budget_usd=2.0).play(lambda job: float(job.pair % 2 if job.pair else 0))
    assert ended.state is BacktestState.UNDECIDED
    assert "spent $2.00 of $2.00" in ended.reason


def test_nothing_is_given_out_while_real_work_waits(fleet: SteppedFleet) -> None:
    """A case waits until the queues of real work are empty."""
    made = SteppedBacktest(fleet)
    fleet.enqueue()
    made.tick()
    assert made.pairs() == []
    fleet.broker.queues["champion"].clear()
    made.tick()
    assert len(made.pairs()) == 1


def test_so_many_pairs_are_at_work_as_the_settings_say(redis_client: redis.Redis) -> None:
    """Over all backtests together."""
    fleet = SteppedFleet(
        redis_client, policy=QUICK, judge=JudgeSettings(command="make test"), generator=random.Random(7),
        backtest=BacktestSettings(pairs_at_once=3),
    )  # fmt: skip
    fleet.add()
    fleet.propose()
    one, other = SteppedBacktest(fleet), SteppedBacktest(fleet)
    one.tick()
    assert (len(one.pairs()), len(other.pairs())) == (3, 0)


@pytest.mark.parametrize("arm", list(Arm))
def test_what_no_agent_did_leaves_out_the_whole_pair(fleet: SteppedFleet, arm: Arm) -> None:
    """On whichever side it happened."""
    made = SteppedBacktest(fleet)
    made.tick()
    for job in made.jobs():
        made.judged(fleet.claim(job.id), None if job.pair_arm is arm else 1.0)
    made.tick()
    counts = evidence_of(made.now).counts
    assert (counts.excluded, counts.settled, counts.dispatched) == (1, 0, 1)


def test_a_judge_that_takes_too_long_on_both_leaves_out_the_pair(fleet: SteppedFleet) -> None:
    """On one alone it is that one's failure."""
    made = SteppedBacktest(fleet)
    for late in ({1, 2}, {2}):
        made.tick()
        for job in made.jobs():
            is_late = job.version in late
            made.judged(fleet.claim(job.id), 0.0 if is_late else 1.0, overdue=is_late)
    made.tick()
    counts = evidence_of(made.now).counts
    assert (counts.excluded, counts.champion_only) == (1, 1)


def test_a_job_of_a_backtest_that_has_ended_is_not_begun(fleet: SteppedFleet) -> None:
    """Nobody would look at its work."""
    made = SteppedBacktest(fleet)
    made.tick()
    waiting = made.jobs()
    made.fleet.app.backtest_opening.stop(made.now, by="ada")
    for job in waiting:
        fleet.app.jobs.claim(job.id, worker="w", lease_seconds=30.0)
        assert fleet.app.jobs.find(job.id).state is JobState.CANCELLED


def test_the_end_ends_what_is_at_work(redis_client: redis.Redis) -> None:
    """Open pairs cost nothing more."""
    fleet = SteppedFleet(
        redis_client, policy=QUICK, judge=JudgeSettings(command="make test"), generator=random.Random(7),
        backtest=BacktestSettings(pairs_at_once=20),
    )  # fmt: skip
    fleet.add()
    fleet.propose()
    made = SteppedBacktest(fleet)
    made.tick()
    for job in [job for job in made.jobs() if (job.pair or 0) < 12]:
        made.judged(fleet.claim(job.id), champion_alone(job))
    made.tick()
    assert made.now.state is BacktestState.WORSE
    assert made.jobs() == []


def test_two_ticks_at_once_count_a_pair_once(fleet: SteppedFleet) -> None:
    """The one that was slower writes nothing, and the next goes on from what the other left."""
    made = SteppedBacktest(fleet)
    made.tick()
    made.work(champion_alone)
    stale = made.now
    made.tick()
    answer = fleet.app.backtest_store.advance(stale, lines=["{}"], evidence="x")
    assert answer is BacktestAnswer.STALE
    assert len(fleet.app.backtest_store.settlements(made.run.id)) == 1
    assert evidence_of(made.now).counts.settled == 1


@pytest.mark.parametrize("what", ["the same", "rejected", "no cases", "too long"])
def test_what_cannot_be_compared_is_refused(fleet: SteppedFleet, what: str) -> None:
    """Before anything is written."""
    champion, canary = fleet.app.templates.champion("implementer"), fleet.app.templates.find("implementer@v2")
    cases: list[Case] = [] if what == "no cases" else some_cases(2)
    if what == "the same":
        canary = champion
    if what == "rejected":
        canary = fleet.app.templates.reject(canary.id, by="ada").version
    if what == "too long":
        cases = [cases[0].model_copy(update={"title": "x" * 501})]
    before = fleet.everything()
    with pytest.raises((ConflictError, InvalidInputError)):
        fleet.app.backtest_opening.open(BacktestOrder(canary=canary, champion=champion, cases=cases))
    assert fleet.everything() == before


def test_a_canary_that_is_rejected_meanwhile_stops_it(fleet: SteppedFleet) -> None:
    """A person was faster."""
    made = SteppedBacktest(fleet)
    made.tick()
    fleet.app.templates.reject(made.canary.id, by="ada")
    made.tick()
    assert made.now.state is BacktestState.STOPPED
    assert made.jobs() == []


def test_a_backtest_whose_version_is_gone_stops_no_other(fleet: SteppedFleet) -> None:
    """It is logged, and the next one gives its cases out."""
    SteppedBacktest(fleet, template="implementer")
    fleet.add("reviewer")
    fleet.propose(name="reviewer")
    other = SteppedBacktest(fleet, template="reviewer")
    fleet.redis.delete(fleet.app.keys.versions("implementer"))
    other.tick()
    assert other.pairs()


class NoBroker(TickRequests):
    """A broker that raises what nobody expected."""

    def __init__(self) -> None:
        """It needs no connection."""

    def send(self, task: str, *arguments: str, queue: str = "control") -> None:
        """Take no message."""
        raise RuntimeError(task, arguments, queue)


def test_what_fails_in_a_harvest_keeps_no_backtest_waiting(fleet: SteppedFleet) -> None:
    """A message for a judge that cannot be sent; and a template whose waiting version cannot be read."""
    made = SteppedBacktest(fleet)
    fleet.redis.zadd(fleet.app.keys("judging"), {"some-job": 0.0})
    fleet.redis.hset(fleet.app.keys.template("implementer"), "waiting", "damaged")
    with capture_logs() as logs:
        harvest_tick(fleet.app, NoBroker())
    assert made.pairs()
    failed = {line["event"]: line for line in logs if line["log_level"] == "error"}
    assert failed["tick.failed"]["step"] == "judges"
    fleet.redis.delete(fleet.app.keys("judging"))
