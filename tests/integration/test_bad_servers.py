"""Servers that are down, full or read-only: a clear error by name, and nothing half written."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from routing.embedded.private_server import PrivateServer
from routing.errors import UnavailableError
from routing.jobs.job import JobResult, JobState
from routing.jobs.signal import SignalKind
from routing.store.redis.connection import connect
from tests.fleets.stepped_fleet import SteppedFleet, contents
from tests.servers.private_server import plain_client, private_server
from tests.waiting import wait_until

#: One process of the suite makes what all of these share.
pytestmark = pytest.mark.xdist_group("bad-servers")

Step = Callable[[SteppedFleet], object]


def _open(fleet: SteppedFleet) -> object:
    return fleet.open(fleet.app.templates.find("implementer@v2"))


def _claim(fleet: SteppedFleet) -> object:
    return fleet.claim(fleet.app.jobs.newest(most=1)[0].id)


STEPS: dict[str, Step] = {
    "enqueue": lambda fleet: fleet.enqueue(),
    "propose": lambda fleet: fleet.propose("three"),
    "open": _open,
    "promote": lambda fleet: fleet.app.templates.promote("implementer@v2", by="ada"),
    "reject": lambda fleet: fleet.app.templates.reject("implementer@v2", by="ada"),
    "claim": _claim,
    "pause": lambda fleet: fleet.app.switch.pause("maintenance"),
}
steps = pytest.mark.parametrize("step", STEPS.values(), ids=list(STEPS))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateServer]:
    """A server that the tests of this file may spoil."""
    with private_server(tmp_path_factory.mktemp("bad")) as running:
        yield running


@pytest.fixture
def spoilt(server: PrivateServer) -> Iterator[redis.Redis]:
    """A client that may spoil the server; it is as good as new before and after each test."""
    with plain_client(server.url) as client:
        _repair(client)
        yield client
        _repair(client)


def _repair(client: redis.Redis) -> None:
    client.config_set("maxmemory", "0")
    client.execute_command("REPLICAOF", "NO", "ONE")  # type: ignore[no-untyped-call] # the driver's has no types
    client.flushall()


@pytest.fixture
def fleet(server: PrivateServer, spoilt: redis.Redis) -> Iterator[SteppedFleet]:
    """A fleet with a champion, a pending version and a queued job, connected as in production."""
    del spoilt
    with connect(server.url, patience_seconds=0.2) as client:
        made = SteppedFleet(client)
        made.add()
        made.propose("two")
        made.enqueue()
        yield made


@steps
def test_full_server_refuses_the_whole_step(fleet: SteppedFleet, spoilt: redis.Redis, step: Step) -> None:
    """No step writes a part of what it should; the message says that the server is full."""
    before = fleet.everything()
    spoilt.config_set("maxmemory", "1mb")
    with pytest.raises(UnavailableError, match="is full"):
        step(fleet)
    assert fleet.everything() == before
    spoilt.config_set("maxmemory", "0")
    step(fleet)
    assert fleet.everything() != before


@steps
def test_read_only_replica_refuses_the_whole_step(
    fleet: SteppedFleet, spoilt: redis.Redis, step: Step
) -> None:
    """A replica changes nothing, and the message says which server should have been asked."""
    before = fleet.everything()
    spoilt.execute_command("REPLICAOF", "127.0.0.1", "1")  # type: ignore[no-untyped-call] # as above
    with pytest.raises(UnavailableError, match="read-only replica"):
        step(fleet)
    assert contents(spoilt) == before, "the fleet's own client has left the replica, and reads no more there"


@steps
def test_server_that_is_down_is_named(tmp_path: Path, step: Step) -> None:
    """Nothing answers: the error says so, where, and what to look at."""
    with (
        connect(f"unix://{tmp_path}/nobody.sock", patience_seconds=0.1) as client,
        pytest.raises(UnavailableError, match=r"does not answer.*coalmine doctor"),
    ):
        step(SteppedFleet(client))


def test_server_that_comes_back_serves_the_same_fleet(tmp_path: Path) -> None:
    """A restart loses nothing that was accepted, and the same objects go on."""
    with private_server(tmp_path) as server, connect(server.url, patience_seconds=5.0) as client:
        fleet = SteppedFleet(client)
        fleet.add()
        job = fleet.enqueue().job
        server.stop()
        server.start()
        wait_until(lambda: fleet.app.jobs.find(job), description="the job is there again")
        assert fleet.claim(job).job.id == job


def test_full_server_keeps_the_draw_out_of_the_ledger(fleet: SteppedFleet, spoilt: redis.Redis) -> None:
    """A refused enqueue leaves no dispatch that nobody works on."""
    trial = fleet.open(fleet.app.templates.find("implementer@v2"))
    fleet.generator.numbers.extend([0.1, 0.2])
    spoilt.config_set("maxmemory", "1mb")
    with pytest.raises(UnavailableError):
        fleet.enqueue()
    spoilt.config_set("maxmemory", "0")
    assert fleet.app.trial_store.dispatches(trial.id) == []
    fleet.enqueue()
    assert len(fleet.app.trial_store.dispatches(trial.id)) == 1


def test_trial_on_a_full_server_goes_on_when_there_is_room(fleet: SteppedFleet, spoilt: redis.Redis) -> None:
    """Evidence that could not be written is written by a later tick, and nothing is counted twice."""
    trial = fleet.open(fleet.app.templates.find("implementer@v2"))
    fleet.generator.numbers.append(0.1)
    fleet.end(fleet.enqueue().job, SignalKind.FINISHED)
    spoilt.config_set("maxmemory", "1mb")
    for _ in range(2):
        with pytest.raises(UnavailableError, match="is full"):
            fleet.app.harvester.harvest()
    assert fleet.app.trials.find(trial.id).evidence == ""
    spoilt.config_set("maxmemory", "0")
    fleet.app.harvester.harvest()
    counts = fleet.app.harvester.evidence(fleet.app.trials.find(trial.id)).canary
    assert (counts.dispatched, counts.settled) == (1, 1)
    assert len(fleet.events("job.settled")) == 1


def test_worker_ends_its_job_on_a_full_server(fleet: SteppedFleet, spoilt: redis.Redis) -> None:
    """Work that is done is not lost for want of room: its end frees more than it takes."""
    job = fleet.app.jobs.newest(most=1)[0].id
    claim = fleet.claim(job)
    spoilt.config_set("maxmemory", "1mb")
    fact = fleet.fact(SignalKind.FINISHED)
    fleet.app.jobs.end(claim, JobState.SUCCEEDED, reason="done", result=JobResult(), signals=[fact])
    assert fleet.app.jobs.find(job).state is JobState.SUCCEEDED
    assert fleet.app.signals.read(job) == [fact]
