"""A lease is the right to work on a job for a limited time; only its holder may write.

A worker wins the lease when it claims the job, and renews it while the agent runs. Each lease carries a
fencing token that grows. When a worker dies nobody renews, the lease runs out, and the job goes back to its
queue within seconds. If the worker was only slow, its late result carries the old token and is refused.
"""

import pytest

from routing.jobs.job import JobResult, JobState
from routing.jobs.lifecycle import StaleLeaseError
from routing.store.jobs.job_store import ClaimRefusal
from tests.fleets.stepped_fleet import SteppedFleet


def test_one_worker_wins(fleet: SteppedFleet) -> None:
    """Messages may arrive twice: the second worker finds the job taken."""
    fleet.add()
    job = fleet.enqueue().job
    assert fleet.claim(job).fence == 1
    assert fleet.app.jobs.claim(job, worker="w2", lease_seconds=30) == ClaimRefusal.TAKEN


def test_a_renewed_lease_lasts(fleet: SteppedFleet) -> None:
    """As long as its worker lives, the job is left alone."""
    fleet.add()
    claim = fleet.claim(fleet.enqueue().job, lease_seconds=30)
    for _ in range(5):
        fleet.clock.forward(20)
        fleet.app.job_store.renew([(claim.job.id, claim.fence)], extend_seconds=30)
        assert fleet.app.jobs.reap(at=fleet.clock()) == []


def test_the_job_of_a_lost_worker_is_queued_again(fleet: SteppedFleet) -> None:
    """The sweep finds leases that have run out; another worker gets the next token."""
    fleet.add()
    job = fleet.enqueue().job
    fleet.claim(job, lease_seconds=30)
    fleet.clock.forward(31)
    assert fleet.app.jobs.reap(at=fleet.clock()) == [job]
    assert fleet.app.jobs.find(job).state is JobState.QUEUED
    assert fleet.claim(job).fence == 2


def test_a_late_result_is_refused(fleet: SteppedFleet) -> None:
    """A worker that was thought dead cannot end the job that another one has now."""
    fleet.add()
    job = fleet.enqueue().job
    slow = fleet.claim(job, lease_seconds=30)
    fleet.clock.forward(31)
    fleet.app.jobs.reap(at=fleet.clock())
    fleet.claim(job)
    with pytest.raises(StaleLeaseError):
        fleet.app.jobs.end(slow, JobState.SUCCEEDED, reason="too late", result=JobResult())
    assert fleet.app.jobs.find(job).state is JobState.RUNNING
