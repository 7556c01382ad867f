"""Agents whose worker process is gone, or whose job has a new holder, with real processes."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from routing.process.marker import TurnMarker, pid_namespace
from routing.process.table import MARKER, ProcessTable
from tasks.agents.supervision.orphans import end_ownerless_turns, end_turns_of
from tests.programs.agent_book import until_gone
from tests.servers.private_server import process_runs
from tests.waiting import wait_until

#: One at a time: what a test ends by its job's id would be ended in another process of the suite too.
pytestmark = pytest.mark.xdist_group("orphans")

JOB = "0123456789abcdef"


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that a test has started; what is left of them is ended."""
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def agent(started: list[subprocess.Popen[bytes]], marker: str) -> subprocess.Popen[bytes]:
    """A process in a session of its own that carries a marker, as agents do."""
    process = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], env={MARKER: marker}, start_new_session=True
    )
    started.append(process)
    wait_until(
        lambda: ProcessTable().read()[process.pid].marker == marker, description="the agent has its marker"
    )
    return process


def marker(*, owner: int, ticks: int, job: str = JOB, namespace: int | None = None) -> str:
    """The marker of a turn of some worker process."""
    there = pid_namespace() if namespace is None else namespace
    return str(TurnMarker(namespace=there, owner=owner, owner_ticks=ticks, job=job, nonce="ab"))


def test_a_marker_comes_back_as_it_was() -> None:
    """What is written into the environment is read from it; anything else is not a marker."""
    made = TurnMarker.of_new_turn(JOB)
    assert TurnMarker.parse(str(made)) == made
    assert made.owner_lives
    assert made.is_ours
    for text in ("", "mark", "1:2:3", "a:b:c:d:e", "1:2:3:4:5:6"):
        assert TurnMarker.parse(text) is None


def test_the_agents_of_a_dead_process_are_ended(started: list[subprocess.Popen[bytes]]) -> None:
    """Its pid may be in use again: the start time tells the two apart."""
    mine = TurnMarker.of_new_turn(JOB)
    orphan = agent(started, marker(owner=mine.owner, ticks=mine.owner_ticks - 1))
    kept = agent(started, str(mine))
    end_ownerless_turns(ProcessTable())
    until_gone(orphan.pid, timeout=1)
    assert process_runs(kept.pid)


def test_a_containers_process_ids_are_not_taken_for_ours(started: list[subprocess.Popen[bytes]]) -> None:
    """Whether the owner lives cannot be seen from here, so its agents are left alone."""
    foreign = agent(started, marker(owner=1, ticks=1, namespace=pid_namespace() + 1))
    end_ownerless_turns(ProcessTable())
    assert process_runs(foreign.pid)


def test_the_turns_of_one_job_are_ended_with_any_owner(started: list[subprocess.Popen[bytes]]) -> None:
    """The holder of a lease has the work tree to itself; other jobs' agents go on."""
    earlier = agent(started, str(TurnMarker.of_new_turn(JOB)))
    other = agent(started, str(TurnMarker.of_new_turn("fedcba9876543210")))
    assert end_turns_of(JOB, ProcessTable()) == 1
    until_gone(earlier.pid, timeout=1)
    assert process_runs(other.pid)
