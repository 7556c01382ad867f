"""Clocks of processes, compared with the server's: who is off by how much is said and listed."""

from functools import partial

import pytest
import redis
from structlog.testing import capture_logs

from console.doctor.doctor import clocks
from routing.errors import UnavailableError
from routing.store.fleet.clock_store import LISTED_SECONDS, ClockReport, ClockStore
from routing.store.redis.health import Status
from routing.store.redis.keys import Keys
from tasks.work.clock_watch import ClockWatch
from tests.fleets.stepped_fleet import SteppedFleet
from tests.leaks import leaks


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A fleet whose server's clock a test moves."""
    return SteppedFleet(redis_client)


def look(watch: ClockWatch) -> list[str]:
    """What is logged of one look."""
    with capture_logs() as logged:
        watch.look()
    return [f"{line['event']} {line.get('ahead_of_redis_seconds', '')}".strip() for line in logged]


@pytest.mark.parametrize("ahead", [60.0, -60.0, 7200.0, -7200.0])
def test_wrong_clock_is_said_once_and_again_when_it_moves(fleet: SteppedFleet, ahead: float) -> None:
    """Not with every look; its being right again is said as well."""
    off = [ahead]
    watch = ClockWatch(fleet.app.clocks, process="jobs@here", wall=lambda: fleet.clock() + off[0])
    assert look(watch) == [f"clock.wrong {ahead}"]
    assert look(watch) == []
    off[0] = ahead + 5
    assert look(watch) == [f"clock.wrong {ahead + 5}"]
    off[0] = 0.5
    assert look(watch) == ["clock.right"]
    assert look(watch) == []


def test_doctor_says_who_is_off_by_how_much(fleet: SteppedFleet) -> None:
    """From whatever machine it is asked, of every process that reported."""
    assert clocks(fleet.app).status is Status.OK
    for process, ahead in (("jobs@a", 0.1), ("control@b", 61.0), ("beat@c", -3.0)):
        ClockWatch(fleet.app.clocks, process=process, wall=partial(sum, (fleet.clock(), ahead))).look()
    found = clocks(fleet.app)
    assert found.status is Status.PROBLEM
    assert "beat@c is 3.0 s slow; control@b is 61.0 s fast" in found.message
    assert "jobs@a" not in found.message


def test_report_counts_for_a_while_and_the_last_one_counts(fleet: SteppedFleet) -> None:
    """A process that has gone is not listed for long, and the list does not grow."""
    store = fleet.app.clocks
    store.report("jobs@a", 60.0)
    store.report("with a blank", -2.5)
    fleet.clock.forward(LISTED_SECONDS - 1)
    store.report("jobs@a", 0.0)
    assert store.reports() == [
        ClockReport(process="jobs@a", ahead_seconds=0.0),
        ClockReport(process="with a blank", ahead_seconds=-2.5),
    ]
    fleet.clock.forward(2)
    assert [report.process for report in store.reports()] == ["jobs@a"]
    store.report("jobs@a", 0.0)
    assert fleet.redis.zcard(fleet.app.keys("clocks")) == 1
    assert leaks(fleet.redis, Keys()) == []


def test_server_that_is_away_is_the_affair_of_others(redis_client: redis.Redis) -> None:
    """Nothing is logged and nothing raised: there is nothing to compare with."""

    def away() -> float:
        raise UnavailableError("away")

    with capture_logs() as logged:
        ClockWatch(ClockStore(redis_client, Keys(), away), process="jobs@a").look()
    assert logged == []
