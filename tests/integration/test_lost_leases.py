"""Leases kept by one process, on a store that may not answer."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from routing.embedded.private_server import PrivateServer
from routing.jobs.job import JobRequest
from routing.jobs.lifecycle import Claim
from routing.store.redis.connection import connect
from routing.templates.version import Snapshot
from tasks.agents.turn.stop_signal import StopReason, StopSignal
from tasks.composition.composition import Coalmine, compose
from tasks.settings.settings import Settings
from tasks.work.lease_keeper import LeaseKeeper, LeaseTimes
from tasks.work.work import job_leases
from tests.servers.private_server import private_server
from tests.waiting import wait_until

#: Seconds of a lease in these tests.
LEASE = 1.5


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PrivateServer]:
    """A server of the test's own, to be frozen."""
    with private_server(tmp_path) as own:
        yield own
        os.kill(own.pid, signal.SIGCONT)


@pytest.fixture
def parts(server: PrivateServer) -> Iterator[Coalmine]:
    """The parts on that server."""
    with connect(server.url) as client:
        yield compose(Settings(), redis=client)


def claim(parts: Coalmine) -> Claim:
    """A job with its lease."""
    parts.templates.add("implementer", Snapshot(prompt="work", command="true"))
    job = parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job
    won = parts.jobs.claim(job, worker="w1", lease_seconds=LEASE)
    assert isinstance(won, Claim)
    return won


class Kept:
    """A keeper of the leases of jobs."""

    def __init__(self, parts: Coalmine, *, draining: bool = False, outage_seconds: float = 0.0) -> None:
        self.kind = job_leases(parts.job_store, LEASE)
        self.keeper = LeaseKeeper(
            LeaseTimes(lease_seconds=LEASE, outage_seconds=outage_seconds),
            monotonic=time.monotonic,
            draining=lambda: draining,
        )

    def holding(self, mine: Claim, stop: StopSignal) -> AbstractContextManager[object]:
        """Keep the lease of a job."""
        return self.keeper.holding(self.kind, mine, stop)

    def holds(self, mine: Claim) -> bool:
        """Whether the lease of a job is still ours."""
        return self.keeper.look(self.kind, mine).held


def test_a_lease_is_kept_while_the_store_answers(parts: Coalmine) -> None:
    """It outlives itself several times."""
    mine, stop = claim(parts), StopSignal()
    kept = Kept(parts)
    ends = parts.jobs.find(mine.job.id).lease_until or 0.0
    with kept.holding(mine, stop):
        wait_until(
            lambda: (parts.jobs.find(mine.job.id).lease_until or 0.0) > ends + LEASE,
            description="the lease was renewed",
        )
        assert kept.holds(mine)
    assert stop.reason is None


def test_a_store_that_is_silent_longer_than_a_lease_ends_the_turn_in_time(
    parts: Coalmine, server: PrivateServer
) -> None:
    """The renewal that hangs does not keep the keeper from looking at its clock."""
    mine, stop = claim(parts), StopSignal()
    with Kept(parts).holding(mine, stop):
        os.kill(server.pid, signal.SIGSTOP)
        wait_until(lambda: stop.reason is not None, description="the turn learns of it", timeout=LEASE + 1.5)
        os.kill(server.pid, signal.SIGCONT)
    assert stop.reason is StopReason.LEASE_LOST


def test_a_lease_that_another_holds_is_not_ours(parts: Coalmine) -> None:
    """It ran out and was won by somebody else."""
    mine, stop = claim(parts), StopSignal()
    kept = Kept(parts)
    assert kept.holds(mine)
    wait_until(
        lambda: isinstance(parts.jobs.claim(mine.job.id, worker="w2", lease_seconds=60), Claim),
        description="another worker wins the lease",
    )
    assert not kept.holds(mine)
    with kept.holding(mine, stop):
        wait_until(
            lambda: stop.reason is StopReason.LEASE_LOST, description="the turn learns of it", timeout=3
        )


def test_draining_ends_turns(parts: Coalmine) -> None:
    """The worker shuts down."""
    mine, stop = claim(parts), StopSignal()
    with Kept(parts, draining=True).holding(mine, stop):
        wait_until(lambda: stop.reason is StopReason.DRAIN, description="the turn learns of it", timeout=3)
