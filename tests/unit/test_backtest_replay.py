"""`coalmine backtest replay`: the stored evidence of a backtest must be what its ledger gives."""

import json
import random

import pytest
import redis

from console.output.trials.trial_replay import Replay, replayed_backtest
from harvest.evidence.policy import TrialPolicy
from routing.errors import CorruptRecordError
from tasks.settings.settings import JudgeSettings
from tests.fleets.backtests import SteppedBacktest, every_kind_of_pair
from tests.fleets.stepped_fleet import SteppedFleet


@pytest.fixture
def made(fake_redis: redis.Redis) -> SteppedBacktest:
    """A backtest that runs, with pairs of every kind, one of them open."""
    fleet = SteppedFleet(
        fake_redis, policy=TrialPolicy(), judge=JudgeSettings(command="make test"),
        generator=random.Random(7),
    )  # fmt: skip
    fleet.add()
    fleet.propose()
    return every_kind_of_pair(fleet)


def replayed(made: SteppedBacktest) -> Replay:
    """As it is stored now."""
    return replayed_backtest(made.fleet.app, made.now)


def test_the_ledger_gives_the_stored_state(made: SteppedBacktest) -> None:
    """To the last digit, at work and after its end; a pair that was given out since is left out."""
    assert (replayed(made).same, replayed(made).document()["backtest"]) == (True, made.run.id)
    assert "pairs gives the stored state" in "".join(map(str, replayed(made).view()))
    stale = made.now
    made.work(lambda _: 1.0)
    made.tick()
    assert replayed_backtest(made.fleet.app, stale).same, "what was settled since it was read"
    made.fleet.app.backtest_opening.stop(made.now, by="ada")
    assert replayed(made).same


@pytest.mark.parametrize("end", [False, True])
def test_a_line_that_was_changed_is_found(made: SteppedBacktest, end: bool) -> None:  # noqa: FBT001 - a case
    """Of the settlements, while it runs and after its end."""
    if end:
        made.fleet.app.backtest_opening.stop(made.now, by="ada")
    client, key = made.fleet.redis, made.fleet.app.keys.backtest_settlements(made.run.id)
    line = json.loads(client.lindex(key, 1))
    client.lset(key, 1, json.dumps(line | {"champion": line["canary"], "canary": line["champion"]}))
    assert not replayed(made).same


def test_a_side_that_left_out_its_pair_is_part_of_it(made: SteppedBacktest) -> None:
    """The health of the test is recomputed, too."""
    client, key = made.fleet.redis, made.fleet.app.keys.backtest_settlements(made.run.id)
    line = json.loads(client.lindex(key, -1))
    assert (line["kind"], line["excluded_by"]) == ("excluded", "canary")
    client.lset(key, -1, json.dumps(line | {"excluded_by": "champion"}))
    assert not replayed(made).same


def test_a_state_that_cannot_be_read_differs(made: SteppedBacktest) -> None:
    """What all of the ledger gives is shown; a ledger that cannot be read is an error."""
    record = made.fleet.app.keys.backtest(made.run.id)
    made.fleet.redis.hset(record, "evidence", "{}")
    found = replayed(made)
    assert (found.same, found.stored, found.recomputed.dispatched) == (False, None, len(made.pairs()))
    assert found.problem
    made.fleet.redis.rpush(made.fleet.app.keys.backtest_settlements(made.run.id), "{}")
    with pytest.raises(CorruptRecordError, match="settlements of backtest"):
        replayed(made)
