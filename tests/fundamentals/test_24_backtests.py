"""A backtest has both versions work on past issues whose answer is known, and nobody is exposed.

Such an issue is a case: its text, the commit before its change, and the tests of the change, which no
agent sees. Both versions get it at the same commit; the judge lays the tests over what each of them left. Who
solved what is counted by the paired test, and as soon as that answers, no further case is given out.
"""

import random

import pytest
import redis

from harvest.evidence.policy import TrialPolicy
from routing.store.backtests.backtest_store import BacktestState
from routing.templates.trial import Arm
from routing.templates.version import VersionState
from tasks.settings.settings import JudgeSettings
from tests.fleets.backtests import SteppedBacktest
from tests.fleets.stepped_fleet import SteppedFleet


@pytest.fixture
def fleet(fake_redis: redis.Redis) -> SteppedFleet:
    """A champion and a version that waits; the judge's words are said by hand here."""
    made = SteppedFleet(
        fake_redis,
        policy=TrialPolicy(delta=0.4),
        judge=JudgeSettings(command="make test"),
        generator=random.Random(1),
    )
    made.add()
    made.propose()
    return made


def test_a_case_is_given_to_both_versions_and_to_nobody_else(fleet: SteppedFleet) -> None:
    """Their jobs are shadows on a queue of their own."""
    backtest = SteppedBacktest(fleet)
    backtest.tick()
    assert {job.pair_arm for job in backtest.jobs()} == {Arm.CHAMPION, Arm.CANARY}
    assert {(job.queue, job.shadow) for job in backtest.jobs()} == {("backtest", True)}


def test_a_version_that_loses_each_case_is_refused_before_any_real_issue(fleet: SteppedFleet) -> None:
    """As soon as the test answers; most of the cases are never worked on."""
    backtest = SteppedBacktest(fleet, refuse=True)
    ended = backtest.play(lambda job: 1.0 if job.pair_arm is Arm.CHAMPION else 0.0)
    assert ended.state is BacktestState.WORSE
    assert len(backtest.pairs()) < len(ended.cases) / 2
    assert fleet.app.templates.find(backtest.canary.id).state is VersionState.REJECTED


def test_a_version_that_passes_is_champion_of_nothing_yet(fleet: SteppedFleet) -> None:
    """It waits for its trial on real work, or for a person."""
    backtest = SteppedBacktest(fleet)
    assert backtest.play(lambda _job: 1.0).state is BacktestState.NOT_WORSE
    assert fleet.app.templates.find(backtest.canary.id).state is VersionState.PENDING
