"""Cancelling ends a job, wherever it is on its way.

A queued job is cancelled at once. A running one is asked to end: its worker sees that when it renews the
lease, ends the agent, and reports. Until then the job is still running, because what an agent does
meanwhile is real. A job that was cancelled says nothing about its version and is left out of a trial's
evidence.
"""

import pytest

from routing.errors import ConflictError
from routing.jobs.job import JobResult, JobState
from routing.jobs.signal import SignalKind
from routing.store.jobs.job_store import ClaimRefusal
from tests.fleets.stepped_fleet import SteppedFleet


def test_a_queued_job_is_cancelled_at_once(fleet: SteppedFleet) -> None:
    """Its message may still be on its way: a worker that takes it finds nothing to do."""
    fleet.add()
    job = fleet.enqueue().job
    cancelled = fleet.app.jobs.cancel(job, by="ada", at=fleet.clock())
    assert cancelled.state is JobState.CANCELLED
    assert fleet.app.jobs.claim(job, worker="w1", lease_seconds=30) == ClaimRefusal.FINAL


def test_a_running_job_is_asked_to_end(fleet: SteppedFleet) -> None:
    """The worker that has it sees the request, and is the one that ends it."""
    fleet.add()
    claim = fleet.claim(fleet.enqueue().job)
    fleet.app.jobs.cancel(claim.job.id, by="ada", at=fleet.clock())
    assert fleet.app.jobs.find(claim.job.id).state is JobState.RUNNING
    (lease,) = fleet.app.job_store.renew([(claim.job.id, claim.fence)], extend_seconds=30)
    assert lease.stop
    fleet.app.jobs.end(claim, JobState.CANCELLED, reason="cancelled by ada", result=JobResult())
    assert fleet.app.jobs.find(claim.job.id).state is JobState.CANCELLED


def test_a_cancelled_job_counts_for_neither_arm(fleet: SteppedFleet) -> None:
    """It was nobody's failure."""
    trial = fleet.on_trial()
    job = fleet.enqueue().job
    fleet.app.jobs.cancel(job, by="ada", at=fleet.clock())
    assert [fact.kind for fact in fleet.app.signals.read(job)] == [SignalKind.CANCELLED]
    fleet.app.harvester.harvest()
    assert fleet.app.harvester.evidence(fleet.app.trials.find(trial.id)).canary.excluded == 1


def test_what_has_ended_cannot_be_cancelled(fleet: SteppedFleet) -> None:
    """The error says what it is instead."""
    fleet.add()
    job = fleet.enqueue().job
    fleet.end(job)
    with pytest.raises(ConflictError, match="succeeded"):
        fleet.app.jobs.cancel(job, by="ada", at=fleet.clock())
