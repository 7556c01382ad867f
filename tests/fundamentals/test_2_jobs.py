"""2. A request becomes a job; a worker wins its lease, and only the holder of the lease may end it."""

import pytest

from routing.jobs.job import JobResult, JobState
from routing.jobs.lifecycle import StaleLeaseError
from tests.fleets.stepped_fleet import SteppedFleet


def test_a_job_is_queued_claimed_and_ended(fleet: SteppedFleet) -> None:
    """The three steps of a job that goes well."""
    fleet.add()
    job = fleet.enqueue(task="Mend the roof.").job
    assert fleet.app.jobs.find(job).state is JobState.QUEUED
    claim = fleet.claim(job)
    assert fleet.app.jobs.find(job).state is JobState.RUNNING
    fleet.app.jobs.end(claim, JobState.SUCCEEDED, reason="mended", result=JobResult(exit_code=0))
    assert fleet.app.jobs.find(job).state is JobState.SUCCEEDED


def test_a_worker_that_was_thought_dead_cannot_end_the_job(fleet: SteppedFleet) -> None:
    """Its lease ran out and another worker has the job: the late result is refused."""
    fleet.add()
    job = fleet.enqueue().job
    slow = fleet.claim(job, lease_seconds=30)
    fleet.clock.forward(31)
    assert fleet.app.jobs.reap(at=fleet.clock()) == [job]
    fleet.claim(job)
    with pytest.raises(StaleLeaseError):
        fleet.app.jobs.end(slow, JobState.SUCCEEDED, reason="too late", result=JobResult())
    assert fleet.app.jobs.find(job).state is JobState.RUNNING
