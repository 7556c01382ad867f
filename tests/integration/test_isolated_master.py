"""A master that was cut off and replaced: its workers still reach it, and it refuses them, or says nothing.

Another worker may have the job by then, on the new master. The first one's agent goes on, as its worker
cannot know; what it made is pushed only when the record says whose the job is.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from routing.git.git import Git
from routing.jobs.ending import Ending
from routing.jobs.job import JobRequest
from routing.jobs.lifecycle import Claim
from routing.store.redis.connection import connect
from routing.templates.version import Snapshot
from tasks.agents.turn.stop_signal import StopSignal
from tasks.composition.composition import Coalmine, compose
from tasks.composition.worker import Worker
from tasks.work.outcome import Ran
from tests.fleets.worker_fleet import settings_from
from tests.repositories import new_repository
from tests.servers.faulty_proxy import FaultyProxy, faulty_proxy
from tests.servers.private_server import plain_client, private_server
from tests.waiting import wait_until

#: Seconds of a lease; work goes on for long after it.
LEASE = 1.5


@dataclass(frozen=True)
class Split:
    """A worker at a master that is cut off, and the master that takes its place."""

    proxy: FaultyProxy  # before the first master
    first: redis.Redis
    second: redis.Redis
    parts: Coalmine  # of the worker, through the proxy
    others: Coalmine  # of everybody else, at the second master
    git: Git
    gate: Path  # the agent goes on when it is there

    def cut_off(self, how: str) -> None:
        """The first master is demoted, lacks its replicas, or says nothing; the second one serves others."""
        match how:
            case "READONLY":
                self.first.replicaof("127.0.0.1", "1")
            case "NOREPLICAS":
                self.first.config_set("min-replicas-to-write", 1)
            case "MASTERDOWN":
                self.first.config_set("replica-serve-stale-data", "no")
                self.first.replicaof("127.0.0.1", "1")
            case _:
                self.proxy.hang()
        self.second.replicaof("NO", "ONE")

    def heal(self, second_url: str) -> None:
        """The worker's address leads to the second master."""
        self.proxy.lead_to(second_url)
        self.proxy.heal()
        self.proxy.drop()

    def until_copied(self, job: str) -> None:
        """Wait until the replica knows that the job runs."""
        key = self.parts.keys.job(job)
        wait_until(lambda: self.second.hget(key, "state") == "running", description="the replica knows it")

    def found(self, job: str) -> tuple[str, str, int]:
        """State, worker and attempts of a job at the second master."""
        found = self.others.jobs.find(job)
        return found.state.value, found.worker, found.attempts

    def pushed(self, job: str) -> bool:
        """Whether the job's branch is in the repository."""
        found = self.git.attempt("rev-parse", "--verify", "--quiet", f"refs/heads/coalmine/{job}")
        return found.returncode == 0


@contextmanager
def split(folder: Path) -> Iterator[tuple[Split, str]]:
    """Both servers, the second a replica of the first; and the second's address."""
    repository = new_repository(folder)
    (folder / "issues").mkdir()
    with (
        private_server(folder) as first,
        private_server(folder) as second,
        plain_client(first.url) as of_first,
        plain_client(second.url) as of_second,
        faulty_proxy(first.url) as for_replica,
        faulty_proxy(first.url) as proxy,
    ):
        host, port = for_replica.url.removeprefix("redis://").partition("/")[0].split(":")
        of_first.config_set("repl-diskless-sync-delay", 0)
        of_second.replicaof(host, port)
        for server in (of_first, of_second):
            server.config_set("shutdown-timeout", 0)  # else it waits for its replica
        settings = settings_from({
            "COALMINE_REDIS_URL": proxy.url,
            "COALMINE_TIMES__LEASE_SECONDS": str(LEASE),
            "COALMINE_FORGE__LOCAL__REPOSITORY": str(repository.path),
            "COALMINE_FORGE__LOCAL__ISSUES": str(folder / "issues"),
            "COALMINE_FORGE__LOCAL__STATE": str(folder / "forge"),
            "COALMINE_AGENT__WORK_DIR": str(folder / "work"),
        })  # fmt: skip
        with (
            connect(proxy.url, patience_seconds=0.2, socket_timeout_seconds=1.0) as mine,
            connect(second.url) as theirs,
        ):
            parts = compose(settings, redis=mine)
            others = compose(settings, redis=theirs)
            made = Split(proxy, of_first, of_second, parts, others, repository.git, folder / "gate")
            yield made, second.url


class Pusher:
    """A runner whose turn ends when the gate is there, and which pushes if the lease is still its own."""

    def __init__(self, gate: Path) -> None:
        self.gate = gate
        self.begun = threading.Event()
        self.holds: Callable[[Claim], bool] = bool
        self.pushed: list[bool] = []  # what it learned before its push

    def run(self, claim: Claim, stop: StopSignal) -> Ran:
        """Run one attempt."""
        self.begun.set()
        wait_until(lambda: self.gate.exists() or stop.reason is not None, description="the turn may end")
        self.pushed.append(self.holds(claim))
        return Ran(ended_by=Ending.RESULT if self.pushed[-1] else Ending.LEASE_LOST, clean=True)

    def keep(self, claim: Claim) -> str:
        """It did nothing."""
        del claim
        return ""


def work(worker: Worker, job: str, said: list[str]) -> threading.Thread:
    """Have a worker work on a job, in a thread; what it says in the end is added to the list."""
    thread = threading.Thread(target=lambda: said.append(worker.work.work(job, worker="w1")), daemon=True)
    thread.start()
    return thread


def until_taken(made: Split, job: str, *, is_taken: bool) -> None:
    """Wait until the lease has run out, and another worker has the job if it is to."""
    ended_at = time.monotonic() + 2 * LEASE

    def taken() -> bool:
        return isinstance(made.others.jobs.claim(job, worker="w2", lease_seconds=60), Claim)

    if is_taken:
        wait_until(taken, description="the lease has run out, and another worker has the job")
    wait_until(lambda: time.monotonic() > ended_at, description="the lease has run out for long")


@pytest.mark.parametrize(
    ("how", "is_taken"),
    [
        ("READONLY", True),
        ("silence", True),
        *(
            pytest.param(*each, marks=pytest.mark.long)
            for each in (("NOREPLICAS", True), ("MASTERDOWN", True), ("READONLY", False))
        ),
    ],
)
def test_a_push_waits_for_the_record(tmp_path: Path, how: str, *, is_taken: bool) -> None:
    """The turn goes on after its lease, and is paid once; its push is held back while nobody can say."""
    with split(tmp_path) as (made, second_url):
        made.parts.templates.add("implementer", Snapshot(prompt="work", command="true"))
        job = made.parts.mailbox.enqueue(JobRequest(template="implementer", task="work", max_attempts=3)).job
        said: list[str] = []
        pusher = Pusher(made.gate)
        worker = Worker(coalmine=made.parts, runner=pusher)
        pusher.holds = lambda claim: worker.keeper.look(worker.job_leases, claim).held
        thread = work(worker, job, said)
        wait_until(pusher.begun.is_set, description="the turn runs")
        made.until_copied(job)
        made.cut_off(how)
        until_taken(made, job, is_taken=is_taken)
        made.gate.touch()
        asked_until = time.monotonic() + LEASE
        wait_until(lambda: time.monotonic() > asked_until, description="the server was asked")
        assert (pusher.pushed, said) == ([], [])
        made.heal(second_url)
        thread.join(timeout=20)
        assert (pusher.pushed, said) == (([False], ["drop"]) if is_taken else ([True], ["finished"]))
        assert made.found(job) == (("running", "w2", 2) if is_taken else ("succeeded", "w1", 1))


@pytest.mark.parametrize("is_taken", [True, False])
@pytest.mark.long
def test_an_agent_of_a_replaced_master_is_pushed_once(tmp_path: Path, *, is_taken: bool) -> None:
    """It ends well long after its lease; its work goes by what the record says when it can be read."""
    with split(tmp_path) as (made, second_url):
        wait = f"while [ ! -e {made.gate} ]; do sleep 0.05; done"
        line = f"touch {tmp_path}/begun; {wait}; echo done > done.txt"
        made.parts.templates.add("implementer", Snapshot(prompt="work", command=line))
        request = JobRequest(template="implementer", task="work", repository="local:shop", max_attempts=3)
        job = made.parts.mailbox.enqueue(request).job
        said: list[str] = []
        thread = work(Worker(coalmine=made.parts), job, said)
        wait_until((tmp_path / "begun").exists, description="the agent runs")
        made.until_copied(job)
        made.cut_off("READONLY")
        until_taken(made, job, is_taken=is_taken)
        made.gate.touch()
        wait_until(
            lambda: any((tmp_path / "work").rglob("done.txt")), description="the agent has done its work"
        )
        assert not made.pushed(job)
        made.heal(second_url)
        thread.join(timeout=20)
        assert (said, made.pushed(job)) == ((["drop"], False) if is_taken else (["pushed"], True))
        assert made.found(job) == (("running", "w2", 2) if is_taken else ("waiting", "w1", 1))
