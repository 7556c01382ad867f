"""One record that cannot be read costs its own part of what people read, and no other."""

import html

import pytest
import redis

from console.metrics.readings import read_metrics
from console.web.app import web_of
from harvest.evidence.policy import TrialPolicy
from routing.errors import CorruptRecordError
from routing.jobs.signal import SignalKind
from routing.store.backtests.backtest_store import BacktestAnswer
from tests.fleets.stepped_fleet import SteppedFleet
from tests.servers.web_client import WebClient


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """Two trials, each with two jobs that are settled and paid for."""
    made = SteppedFleet(redis_client, draws=[0.1, 0.9] * 2)
    for name in ("implementer", "reviewer"):
        made.on_trial(name)
        for _ in range(2):
            job = made.enqueue(name).job
            made.end(job, SignalKind.MERGED)
    made.clock.forward(10 * 86_400)
    made.app.harvester.harvest()
    return made


@pytest.mark.parametrize("kind", ["dispatches", "settlements"])
def test_a_damaged_line_of_a_ledger_costs_its_own_trial_alone(fleet: SteppedFleet, kind: str) -> None:
    """Pages, lists, status and metrics have all other trials, and say which one is damaged."""
    app = fleet.app
    key = getattr(app.keys, kind)("implementer-t1")
    fleet.redis.lset(key, 0, '{"v":9}')
    with pytest.raises(CorruptRecordError, match=f"line 0 of the {kind} of trial implementer-t1"):
        app.harvester.ledger("implementer-t1")
    client = WebClient(web_of(app))
    for address in ("/", "/trials"):
        page = client.get(address, Accept="text/html")
        assert (page.status_code, "reviewer@v2" in page.text) == (200, True), address
    assert "implementer-t1 is damaged" in html.unescape(client.get("/", Accept="text/html").text)
    listed = {each["id"]: each for each in client.get("/api/v1/trials").json()["trials"]}
    assert (listed["implementer-t1"]["difference"], listed["reviewer-t1"]["state"]) == (None, "open")
    status = client.get("/api/v1/status").json()
    assert [each["id"] for each in status["trials"]] == ["reviewer-t1"]
    assert [each["id"] for each in status["damaged_trials"]] == ["implementer-t1"]
    found = {(each.metric.name, each.labels): each.value for each in read_metrics(app)}
    assert found["coalmine_unread", ("trials",)] == 1
    assert found["coalmine_trial_difference", ("reviewer", "value")] == 0


def test_a_harvest_goes_on_past_a_damaged_line(fleet: SteppedFleet) -> None:
    """A line that comes after the stored state stops its own trial; the other one is advanced."""
    app = fleet.app
    before = app.trials.find("reviewer").revision
    fleet.redis.rpush(app.keys.settlements("implementer-t1"), "{")
    fleet.redis.sadd(app.keys("trials", "moved"), "implementer-t1")
    fleet.generator.numbers.append(0.1)
    fleet.end(fleet.enqueue("reviewer").job, SignalKind.MERGED)
    fleet.clock.forward(10 * 86_400)
    app.harvester.harvest()
    assert app.trials.find("reviewer").revision > before


def test_a_damaged_signal_ends_no_price(fleet: SteppedFleet) -> None:
    """Its job counts like an open one, whatever became of it; the others have their price."""
    app = fleet.app
    before = app.outcome_prices.of_versions("implementer")
    assert before["implementer@v2"].settled == 1
    job = next(each for each in app.jobs.newest(most=9) if each.version_id == "implementer@v2")
    fleet.redis.hset(app.keys.signals(job.id), "x", '{"v":9}')
    after = app.outcome_prices.of_versions("implementer")
    assert after["implementer@v1"] == before["implementer@v1"]
    assert (after["implementer@v2"].settled, after["implementer@v2"].document()["open"]) == (0, 1)


def test_a_damaged_backtest_hides_no_other(fleet: SteppedFleet) -> None:
    """The list has the others."""
    store, opening = fleet.app.backtest_store, fleet.app.backtest_opening
    fields = {
        "champion": "1", "canary": "2", "policy": TrialPolicy().to_json(), "cases": "[]",
        "opened_at": repr(fleet.clock()),
    }  # fmt: skip
    for before in range(2):
        _, answer = store.open(template="implementer", before=before, fields=fields, data={})
        assert answer is BacktestAnswer.OK
    assert [each.id for each in opening.of_template("implementer")] == ["implementer-b1", "implementer-b2"]
    fleet.redis.hset(fleet.app.keys.backtest("implementer-b1"), "cases", "{")
    assert [each.id for each in opening.of_template("implementer")] == ["implementer-b2"]
    with pytest.raises(CorruptRecordError, match="implementer-b1"):
        opening.find("implementer-b1")
