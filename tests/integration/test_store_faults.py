"""The store is killed, restarted or frozen in the middle of a job; workers find it again by themselves."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from routing.embedded.private_server import PrivateServer
from routing.events import JOB_FINISHED
from routing.jobs.ending import Ending
from routing.jobs.job import JobRequest, JobState
from routing.jobs.lifecycle import Claim
from routing.store.jobs.log_store import LogStore
from tasks.agents.turn.stop_signal import StopSignal
from tasks.composition.composition import Coalmine
from tasks.composition.worker import Worker
from tasks.work.outcome import Ran
from tests.fleets.worker_fleet import WorkerFleet, events_of, fleet, until_state
from tests.programs.agent_book import Book
from tests.servers.faulty_proxy import FaultyProxy, faulty_proxy
from tests.servers.private_server import plain_client, private_server
from tests.waiting import wait_until


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PrivateServer]:
    """A server of the test's own, to be killed."""
    with private_server(tmp_path) as own:
        yield own


@pytest.fixture
def made(tmp_path: Path, server: PrivateServer) -> Iterator[WorkerFleet]:
    """A worker and beat."""
    settings = {"COALMINE_TIMES__LEASE_SECONDS": "15", "COALMINE_JOB__MAX_ATTEMPTS": "3"}
    with fleet(tmp_path, server.url, **settings) as processes:
        yield processes


def kill(server: PrivateServer) -> None:
    """Kill the server as a machine without power does."""
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: not server.alive, description="the server is dead")
    server.stop()


def ask(parts: Coalmine, command: str) -> None:
    """Have the server do something that a test alone wants."""
    server: Any = parts.redis
    server.execute_command(*command.split())


def until_logged(made: WorkerFleet, words: str, times: int, name: str = "w1") -> None:
    """Wait until a process has logged some words so many times."""
    wait_until(
        lambda: made.log(name).count(words) >= times, description=f"{name} logs {words!r}, {times} times"
    )


@pytest.mark.parametrize("pool", [pytest.param("threads", marks=pytest.mark.long), "prefork"])
def test_a_killed_server_costs_no_work(
    made: WorkerFleet, server: PrivateServer, tmp_path: Path, pool: str
) -> None:
    """The agent that ended while the server was away has its result taken; the next job finds the worker."""
    book, gate = Book(tmp_path / "book"), tmp_path / "gate"
    parts = made.coalmine()
    parts.templates.add(
        "implementer", book.snapshot(f"echo ready; while [ ! -e {gate} ]; do sleep 0.05; done")
    )
    made.worker(pool=pool)
    made.beat()
    job = parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job
    said = LogStore(parts.redis, parts.keys)
    wait_until(lambda: list(said.read(job)), description="the turn is under way")
    kill(server)
    gate.touch()
    wait_until(lambda: "cleanup_failed" in made.log("w1"), description="the turn's end cannot be written")
    server.start()
    done = until_state(parts, job, JobState.SUCCEEDED)
    assert done.attempts == 1
    assert (len(book.pids("start", job)), len(book.pids("end", job))) == (1, 1)
    assert len(events_of(parts, job, JOB_FINISHED)) == 1
    following = parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job
    until_state(parts, following, JobState.SUCCEEDED)


@pytest.mark.parametrize("pool", [pytest.param("threads", marks=pytest.mark.long), "prefork"])
def test_a_worker_whose_places_are_taken_outlives_its_server(
    made: WorkerFleet, server: PrivateServer, tmp_path: Path, pool: str
) -> None:
    """Its places are taken, and one more message waits: it works on."""
    book, gate = Book(tmp_path / "book"), tmp_path / "gate"
    parts = made.coalmine()
    parts.templates.add("implementer", book.snapshot(f"while [ ! -e {gate} ]; do sleep 0.05; done"))
    worker = made.worker(pool=pool, concurrency=2, queues="champion,canary")
    made.worker("control", queues="control")
    made.beat()
    jobs = [parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job for _ in range(3)]
    wait_until(lambda: len(book.pids("start")) == 2, description="both places are taken")
    wait_until(lambda: parts.publisher.depth("champion") == 1, description="the third message waits")
    for _ in range(8):
        kill(server)
        server.start()
        wait_until(parts.redis.ping, description="the server answers again")
    until_logged(made, "broker.back", 1)
    gate.touch()
    for job in jobs:
        assert until_state(parts, job, JobState.SUCCEEDED).attempts == 1
    assert worker.poll() is None
    assert len(book.pids("start")) == len(jobs), "each was paid once"


def log_everybody_out(parts: Coalmine) -> None:
    """Have the server ask for a password that nobody has, and forget who had logged in."""
    server: Any = parts.redis
    server.config_set("requirepass", "changed")
    server.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def let_everybody_in(parts: Coalmine) -> None:
    """Take the password away."""
    parts.redis.config_set("requirepass", "")


class Troubled:
    """A server behind a proxy, and what a test can have both do."""

    def __init__(self, parts: Coalmine, proxy: FaultyProxy) -> None:
        self.parts, self.proxy = parts, proxy

    def full(self) -> None:
        """Refuse writes."""
        self.proxy.refuse("MISCONF it cannot save", only_writes=True)

    def loading(self) -> None:
        """Refuse everything, as after a start."""
        self.proxy.refuse("LOADING Redis is loading the dataset in memory")

    def locked(self) -> None:
        """Ask for a password that nobody has."""
        log_everybody_out(self.parts)

    def demoted(self) -> None:
        """Be a replica."""
        ask(self.parts, "REPLICAOF 127.0.0.1 1")

    def cutting(self) -> None:
        """Send half of each answer."""
        self.proxy.cut()

    def heal(self) -> None:
        """Serve everybody."""
        self.proxy.heal()
        let_everybody_in(self.parts)
        ask(self.parts, "REPLICAOF NO ONE")


@pytest.mark.long
@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_server_that_refuses_for_a_while_costs_no_work(
    made: WorkerFleet, server: PrivateServer, tmp_path: Path, pool: str
) -> None:
    """One refusal after the other: the agent that runs is paid once, and each return is followed by work.

    The worker says each loss in one line and each return in another, and so does beat; nobody writes a trace.
    """
    book, gate = Book(tmp_path / "book"), tmp_path / "gate"
    parts = made.coalmine()
    parts.templates.add("implementer", book.snapshot(f"while [ ! -e {gate} ]; do sleep 0.05; done"))
    parts.templates.add("quick", Book(tmp_path / "others").snapshot())
    with faulty_proxy(server.url) as proxy:
        made.variables["COALMINE_REDIS_URL"] = proxy.url
        made.worker(
            pool=pool, concurrency=4
        )  # one whose places are all busy asks for nothing, and hears no refusal
        made.beat()
        job = parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job
        wait_until(
            lambda: parts.sessions.read(f"builder-{job[:8]}").get("state") == "in_turn",
            description="its turn is noted",
        )
        troubled = Troubled(parts, proxy)
        kinds = (troubled.full, troubled.loading, troubled.locked, troubled.demoted, troubled.cutting)
        for times, begin in enumerate(kinds, start=1):
            begin()
            for name in ("w1", "beat"):
                until_logged(made, "broker.away", times, name)
            troubled.heal()
            quick = parts.mailbox.enqueue(JobRequest(template="quick", task="work")).job
            assert until_state(parts, quick, JobState.SUCCEEDED, timeout=5).attempts == 1
            for name in ("w1", "beat"):
                until_logged(made, "broker.back", times, name)
                assert made.log(name).count("broker.away") == times
        gate.touch()
        assert until_state(parts, job, JobState.SUCCEEDED).attempts == 1
        assert len(book.pids("start")) == 1
        assert all(process.poll() is None for process in made.processes.values())
        assert not [name for name in made.processes if "Traceback" in made.log(name)]
        made.stop()  # while the proxy is there


def freeze(server: PrivateServer) -> None:
    """Stop the server for six seconds: it accepts, and answers nobody."""
    os.kill(server.pid, signal.SIGSTOP)
    pass_six_seconds()
    os.kill(server.pid, signal.SIGCONT)


def pause(server: PrivateServer) -> None:
    """Have the server itself hold back all answers for as long."""
    with plain_client(server.url) as client:
        client.client_pause(6000, all=True)
    pass_six_seconds()


def pass_six_seconds() -> None:
    """Longer than a lease of the test's, and than the pause between two sweeps that is nothing special."""
    ends = time.monotonic() + 6
    wait_until(lambda: time.monotonic() > ends, description="six seconds have passed")


@pytest.mark.parametrize("begin", [freeze, pytest.param(pause, marks=pytest.mark.long)])
def test_a_server_that_hangs_longer_than_a_lease_costs_no_work(
    made: WorkerFleet, server: PrivateServer, tmp_path: Path, begin: Callable[[PrivateServer], None]
) -> None:
    """The agent goes on, is paid once, and its job ends once; all is at work at once after it."""
    made.variables["COALMINE_TIMES__LEASE_SECONDS"] = "2"
    book, gate = Book(tmp_path / "book"), tmp_path / "gate"
    parts = made.coalmine()
    parts.templates.add("implementer", book.snapshot(f"while [ ! -e {gate} ]; do sleep 0.05; done"))
    parts.templates.add("quick", Book(tmp_path / "others").snapshot())
    made.worker()
    made.beat()
    job = parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job
    book.until_started(job)
    begin(server)
    quick = parts.mailbox.enqueue(JobRequest(template="quick", task="work")).job
    assert until_state(parts, quick, JobState.SUCCEEDED, timeout=5).attempts == 1
    gate.touch()
    assert until_state(parts, job, JobState.SUCCEEDED).attempts == 1
    assert (len(book.pids("start", job)), len(book.pids("end", job))) == (1, 1)
    assert len(events_of(parts, job, JOB_FINISHED)) == 1


class Unplugged:
    """A runner whose store is killed in the moment in which its agent ends."""

    def __init__(self, server: PrivateServer) -> None:
        self._server = server

    def run(self, claim: Claim, stop: StopSignal) -> Ran:
        """Run one attempt."""
        del claim, stop
        kill(self._server)
        return Ran(ended_by=Ending.RESULT, clean=True)

    def keep(self, claim: Claim) -> str:
        """It did nothing."""
        del claim
        return ""


def test_a_result_waits_for_the_store(made: WorkerFleet, server: PrivateServer, tmp_path: Path) -> None:
    """It is offered again when the server is back, although the patience of one call was over before."""
    parts = made.coalmine()
    parts.templates.add("implementer", Book(tmp_path / "book").snapshot())
    job = parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job
    said: list[str] = []
    work = Worker(coalmine=parts, runner=Unplugged(server)).work
    thread = threading.Thread(target=lambda: said.append(work.work(job, worker="w1")))
    thread.start()
    wait_until(lambda: not server.alive, description="the server is dead")
    back_at = time.monotonic() + 6
    wait_until(lambda: time.monotonic() > back_at, description="one call's patience is over")
    assert thread.is_alive()
    server.start()
    wait_until(lambda: not thread.is_alive(), description="the worker has reported", timeout=20)
    assert said == ["finished"]
    assert parts.jobs.find(job).state is JobState.SUCCEEDED
