"""Ticks: one process at a time runs one, and a request is answered by a run that begins after it."""

from collections.abc import Callable
from unittest.mock import Mock

import pytest
import redis
from celery import Celery
from structlog.testing import capture_logs

from routing.errors import UnavailableError
from routing.store.fleet.tick_store import LOOKED_AFTER, TickEnd, TickStore, TickTurn
from routing.store.redis.keys import Keys
from tasks.composition.ticks import Sweep
from tasks.work.tick import REST_SECONDS, TICK_LEASE_SECONDS, TickRequests, Ticks
from tests.fleets.stepped_fleet import SteppedFleet
from tests.leaks import leaks
from tests.waiting import wait_until


@pytest.fixture
def store(redis_client: redis.Redis) -> TickStore:
    """Where the turns are kept."""
    return TickStore(redis_client, Keys())


def begun(store: TickStore) -> TickTurn:
    """A turn at the sweep."""
    turn = store.begin("sweep", lease_seconds=60)
    assert turn is not None
    return turn


def test_tick_runs_and_answers(store: TickStore) -> None:
    """Once, and again when it is called again."""
    ticks, runs = Ticks(store), iter("ab")
    assert [ticks.run_alone("sweep", lambda: next(runs)) for _ in range(2)] == ["a", "b"]


def test_call_during_a_run_has_it_run_once_more(store: TickStore) -> None:
    """The process at work sees what happened before that call; the caller does not wait for it."""
    mine, other = Ticks(store), Ticks(store)
    runs: list[object] = []

    def tick() -> int:
        if not runs:
            runs.append(other.run_alone("sweep", lambda: runs.append("two at once")))
        else:
            runs.append("again")
        return len(runs)

    assert mine.run_alone("sweep", tick) == 2
    assert runs == [None, "again"]


def test_tick_that_fails_gives_its_turn_back(store: TickStore) -> None:
    """The next call need not wait for the end of a lease."""
    ticks = Ticks(store)
    with pytest.raises(ZeroDivisionError):
        ticks.run_alone("sweep", lambda: 1 // 0)
    assert ticks.run_alone("sweep", lambda: "ran") == "ran"


def test_lease_of_a_tick_is_short_and_renewed(store: TickStore) -> None:
    """Soon after the death of its process the tick goes on elsewhere; while it lives, others keep away."""
    key = store.keys.tick("sweep")

    def tick() -> None:
        assert store.redis.pttl(key) <= TICK_LEASE_SECONDS * 1000
        store.redis.pexpire(key, 100_000)
        wait_until(lambda: store.redis.pttl(key) <= 3000, description="the lease was renewed")

    Ticks(store).run_alone("sweep", tick, lease_seconds=3)
    assert not store.redis.exists(key)


def test_lease_that_is_lost_is_not_renewed(store: TickStore) -> None:
    """A frozen process that goes on takes nothing from the one that has the turn now."""
    late = begun(store)
    store.redis.set(store.keys.tick("sweep"), "another's", ex=5)
    assert not store.renew(late)
    assert store.redis.ttl(store.keys.tick("sweep")) <= 5


def test_turn_that_took_too_long_is_no_longer_given_back(store: TickStore) -> None:
    """Its lease ran out, and another process has the turn, which it keeps."""
    late = begun(store)
    store.redis.delete(store.keys.tick("sweep"))
    other = begun(store)
    assert store.end(late, goes_on=True) is TickEnd.RAN_OUT
    assert store.end(other) is TickEnd.GIVEN_BACK


def test_wish_for_a_turn_that_was_lost_is_fulfilled(store: TickStore) -> None:
    """Its process runs the tick again when nobody else is at it, and once."""
    ticks, runs = Ticks(store), list[str]()

    def tick() -> None:
        runs.append("ran")
        if len(runs) == 1:
            assert store.begin("sweep", lease_seconds=60) is None
            store.redis.delete(store.keys.tick("sweep"))

    with capture_logs() as logs:
        ticks.run_alone("sweep", tick)
    assert (len(runs), [line["event"] for line in logs]) == (2, ["tick.overran"])


def test_tick_that_waited_too_long_is_not_run(redis_client: redis.Redis) -> None:
    """Not after the time at which the next one does its work, by the server's clock; nor is one asked for."""
    store = TickStore(redis_client, Keys(), lambda: 100.0)
    ticks, runs = Ticks(store), list[str]()
    ticks.run_alone("sweep", lambda: runs.append("late"), until=99.9)
    assert store.begin("sweep", lease_seconds=60, only_wished=True) is None
    ticks.run_alone("sweep", lambda: runs.append("in time"), until=100.0)
    assert runs == ["in time"]


def test_first_within_a_time_is_one(store: TickStore) -> None:
    """What is done now and then is done by one of all processes."""
    assert [store.is_first("trimmed", seconds=60) for _ in range(2)] == [True, False]
    assert store.is_first("tidied", seconds=60)


@pytest.mark.parametrize("sees", ["another process", "the one that swept", "one that only looked"])
def test_an_emptied_store_is_noticed_by_a_process_that_knew_it(store: TickStore, sees: str) -> None:
    """The first sweep after the loss may be made by a process that never swept before: one says it."""
    swept, looked, new = Ticks(store), Ticks(store), Ticks(store)
    swept.beat()
    looked.look()
    store.redis.flushall()
    with capture_logs() as logs:
        first = {"the one that swept": swept, "one that only looked": looked}.get(sees, new)
        first.beat()
        for one in (swept, looked, new):
            one.look()
            one.beat()
    assert [line["event"] for line in logs] == ["store.emptied"]


def test_a_store_that_was_never_swept_is_not_an_emptied_one(store: TickStore) -> None:
    """Neither is one of a release that gave stores no mark."""
    early = Ticks(store)
    early.look()
    store.redis.hset(store.keys("pulse"), "at", "1.0")
    early.look()
    with capture_logs() as logs:
        Ticks(store).beat()
        early.look()
        early.beat()
    assert logs == []


def test_message_is_not_asked_for_twice(store: TickStore) -> None:
    """Not before a run has begun since, which sees whatever happened before."""
    assert [store.ask("sweep", seconds=5) for _ in range(2)] == [True, False]
    begun(store)
    assert store.ask("sweep", seconds=5)


def test_keys_of_ticks_expire(store: TickStore) -> None:
    """A process that dies at a tick leaves nothing for ever."""
    begun(store)
    assert store.begin("sweep", lease_seconds=60) is None
    store.ask("sweep", seconds=5)
    store.is_first("trimmed", seconds=60)
    assert leaks(store.redis, store.keys) == []


class Requests(TickRequests):
    """Requests whose clock and messages are the test's."""

    def __init__(self, store: TickStore) -> None:
        self.now, self.sent = 0.0, list[str]()
        self.waits: list[tuple[float, Callable[[], None]]] = []
        super().__init__(
            Celery("none"), Ticks(store), monotonic=lambda: self.now,
            later=lambda seconds, step: self.waits.append((seconds, step)),
        )  # fmt: skip

    def send(self, task: str, *arguments: str, queue: str = "control") -> None:
        """Note it; a worker takes it at once."""
        assert queue == "control"
        self.sent.append(" ".join((task, *arguments)))


def test_requests_of_a_moment_are_one(store: TickStore) -> None:
    """The first is sent at once; all that come in the next 0.1 s at its end, and none is lost."""
    requests, ran = Requests(store), Ticks(store)
    requests.ask("tasks.harvest")
    ran.run_alone("harvest", lambda: None)
    for _ in range(5):
        requests.now += 0.01
        requests.ask("tasks.harvest")
    requests.ask("tasks.sweep")
    assert requests.sent == ["tasks.harvest", "tasks.sweep"]
    ((seconds, ask),) = requests.waits
    assert seconds == pytest.approx(REST_SECONDS - 0.01)
    requests.now = REST_SECONDS
    ask()
    assert requests.sent == ["tasks.harvest", "tasks.sweep", "tasks.harvest"]
    requests.now += REST_SECONDS
    ran.run_alone("harvest", lambda: None)
    requests.ask("tasks.harvest")
    assert len(requests.sent) == 4


def test_request_that_fails_later_is_said(store: TickStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is away ends no thread with a trace; the next request is made as before."""
    requests = Requests(store)
    requests.ask("tasks.harvest")
    requests.ask("tasks.harvest")
    with monkeypatch.context() as away, capture_logs() as said:
        away.setattr(store, "ask", Mock(side_effect=UnavailableError("it is away")))
        requests.waits.pop()[1]()
    assert [line["event"] for line in said] == ["tick.not_asked"]
    requests.now += REST_SECONDS
    Ticks(store).run_alone("harvest", lambda: None)
    requests.ask("tasks.harvest")
    assert requests.sent == ["tasks.harvest"] * 2


@pytest.mark.parametrize(
    ("tick", "kind"), [(tick, kind) for tick, kinds in LOOKED_AFTER.items() for kind in kinds]
)
def test_whatever_a_tick_looks_after_keeps_it_from_resting(store: TickStore, tick: str, kind: str) -> None:
    """One entry in any of its lists; an empty list is none."""
    ticks, key = Ticks(store), Keys()(kind)
    assert ticks.is_idle(tick)
    assert store.beat().is_idle
    add, remove = ("sadd", "srem") if kind in {"bereaved", "effects", "looks"} else ("zadd", "zrem")
    getattr(store.redis, add)(key, "one" if add == "sadd" else {"one": 1})
    assert not ticks.is_idle(tick)
    assert store.beat().is_idle is (kind not in LOOKED_AFTER["sweep"])
    getattr(store.redis, remove)(key, "one")
    assert ticks.is_idle(tick)


def test_a_sweep_says_its_switches_now_and_then(redis_client: redis.Redis) -> None:
    """At once, and again after some seconds: somebody may have emptied the store."""
    fleet, times = SteppedFleet(redis_client), iter([5.0, 5.0, 14.9, 15.0, 15.0])
    sweep = Sweep(fleet.app, Mock(), Mock(), monotonic=lambda: next(times))
    key, said = fleet.app.keys("switches"), list[bool]()
    for _ in range(3):
        sweep.tick()
        said.append(bool(redis_client.delete(key)))
    assert said == [True, False, True]


def test_a_fleet_is_idle_between_jobs(redis_client: redis.Redis) -> None:
    """A job that waits to be published or claimed, or runs, wants the sweep; one that ended does not."""
    fleet = SteppedFleet(redis_client)
    fleet.add()
    assert fleet.app.ticks.is_idle("sweep")
    fleet.broker.down = True
    job = fleet.enqueue().job
    assert not fleet.app.ticks.is_idle("sweep")
    fleet.broker.down = False
    fleet.clock.forward(10)
    fleet.app.relay.relay()
    assert not fleet.app.ticks.is_idle("sweep")
    fleet.end(job)
    assert fleet.app.ticks.is_idle("sweep")
