"""A version may have to pass several steps, each before the next begins.

Past issues expose nobody and say little of those to come; a draw says all and exposes people. With
`canary.steps = ["backtest", "shadow", "draw"]` a version goes through several of them. Each is a trial or a
backtest with a record of its own, and only the last one makes a champion. As each could roll a good version
back by accident, they share the chance of that.
"""

from pathlib import Path

import pytest
import redis

from harvest.evidence.policy import TrialPolicy
from routing.store.backtests.backtest_store import BacktestState
from routing.templates.step import StepKind
from routing.templates.trial import TrialState
from routing.templates.version import VersionState
from tests.fleets.walks import Walk, all_good, worse_at

STEPS = (StepKind.BACKTEST, StepKind.SHADOW)


@pytest.fixture
def walk(fake_redis: redis.Redis, tmp_path: Path) -> Walk:
    """A proposed version, cases for its backtest, and jobs that a test works by hand."""
    return Walk(fake_redis, tmp_path / "cases", steps=STEPS)


def test_the_next_step_begins_when_one_is_passed(walk: Walk) -> None:
    """Nobody opens it; and what is passed but not last makes nobody champion."""
    app = walk.fleet.app
    walk.until(lambda: walk.way == "2 shadow implementer-t1", all_good)
    assert app.backtest_opening.find("implementer-b1").state is BacktestState.NOT_WORSE
    assert app.templates.champion("implementer").number == 1
    walk.until(lambda: walk.state is VersionState.CHAMPION, all_good)
    assert app.trials.find("implementer-t1").state is TrialState.GRADUATED


def test_a_version_that_fails_at_a_step_gets_no_other(walk: Walk) -> None:
    """It is rejected by past issues, before it had a single real one."""
    walk.until(lambda: walk.state is VersionState.REJECTED, worse_at("backtest"))
    walk.tick()
    assert walk.way == ""
    assert walk.fleet.app.trials.history("implementer") == []


def test_the_steps_share_the_chance_of_rolling_back_wrongly(walk: Walk) -> None:
    """Two steps have a half of alpha each; a version that is worse would have to pass both, so beta stays."""
    walk.tick()
    step = TrialPolicy.from_json(walk.fleet.app.backtest_opening.find("implementer-b1").policy)
    assert step.alpha == pytest.approx(0.3 / 2)
    assert step.beta == 0.1
