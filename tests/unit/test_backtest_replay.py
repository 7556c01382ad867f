"""`coalmine backtest replay` and `explain`: the stored evidence of a backtest is what its ledger gives."""

import io
import json
import random

import pytest
import redis
from rich.console import Console

from console.details.backtest_detail import report_of
from console.output.trials.backtest_views import explained_document, explained_view
from console.output.trials.trial_replay import Replay, replayed_backtest
from harvest.evidence.policy import TrialPolicy
from routing.errors import CorruptRecordError
from tasks.backtests.report import explained
from tasks.settings.settings import JudgeSettings
from tests.fleets.backtests import SteppedBacktest, every_kind_of_pair
from tests.fleets.stepped_fleet import SteppedFleet


@pytest.fixture
def made(redis_client: redis.Redis) -> SteppedBacktest:
    """A backtest that runs, with pairs of every kind, one of them open."""
    fleet = SteppedFleet(
        redis_client, policy=TrialPolicy(), judge=JudgeSettings(command="make test"),
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


def test_the_explanation_ends_with_the_evidence(made: SteppedBacktest) -> None:
    """Each pair by its case, an open one at its worst; the last line has the stored evidence."""
    report = report_of(made.fleet.app, made.run.id)
    lines = explained(report)
    assert [line.status for line in lines] == [*["settled"] * 4, "excluded", "open"]
    found = explained_document(report, lines)["pairs"]
    assert [each["case"] for each in found] == [pair.name for pair in made.pairs()]
    stored = report.evidence.decide(elapsed_days=0.0).evidence
    last = {name: reading["evidence"] for name, reading in found[-1]["readings"].items()}
    assert last == {name: pytest.approx(value, rel=1e-9) for name, value in stored.items()}
    left_out, open_pair = (found[place]["readings"]["worse"]["factor"] for place in (4, 5))
    assert left_out == 1.0 > open_pair
    console = Console(width=140, file=io.StringIO(), color_system=None)
    for part in explained_view(report, lines, every=False):
        console.print(part)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert [pair.name for pair in made.pairs() if pair.name not in shown] == []


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
