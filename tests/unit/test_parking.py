"""Jobs whose agent awaits mail: parked without counting the attempt, and published when some arrives."""

import pytest
import redis

from routing.jobs.job import JobResult, JobState
from routing.jobs.lifecycle import CancelAskedError, StaleLeaseError
from routing.jobs.retry import Again, awaiting
from routing.store.jobs.job_store import ClaimRefusal
from tests.fleets.stepped_fleet import SteppedFleet


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A fleet with one template."""
    made = SteppedFleet(redis_client)
    made.add()
    return made


def parked(fleet: SteppedFleet, wait_seconds: float = 60.0) -> str:
    """A job whose first turn ended to wait for mail."""
    job = fleet.enqueue().job
    fleet.app.jobs.park(
        fleet.claim(job), awaiting(wait_seconds), reason="it awaits mail", result=JobResult(tail="sent two")
    )
    fleet.broker.sent.clear()
    return job


def published(fleet: SteppedFleet) -> list[str]:
    """The jobs that one pass of the relay publishes."""
    fleet.broker.sent.clear()
    fleet.app.relay.relay()
    return [job for job, _, _ in fleet.broker.sent]


def test_parked_job_is_queued_as_it_was(fleet: SteppedFleet) -> None:
    """No attempt counts, nothing is held, its next turn is about mail; what was said is kept for it."""
    job = fleet.app.jobs.find(parked(fleet))
    assert (job.state, job.kind, job.attempts, job.result.tail) == (JobState.QUEUED, "mail", 0, "sent two")
    assert fleet.app.job_store.running(10) == []
    (event,) = fleet.events("job.awaiting")
    assert (event.subject, event.data["wait_seconds"]) == (job.id, 60)


def test_parked_job_is_published_when_its_time_is_over(fleet: SteppedFleet) -> None:
    """Not before: a message that comes early changes nothing."""
    job = parked(fleet, 60)
    assert published(fleet) == []
    assert fleet.app.jobs.claim(job, worker="w1", lease_seconds=30) == ClaimRefusal.EARLY
    fleet.clock.forward(61)
    assert published(fleet) == [job]
    claim = fleet.claim(job)
    assert (claim.job.kind, claim.job.attempts) == ("mail", 1)


def test_woken_job_is_published_once(fleet: SteppedFleet) -> None:
    """Waking it again says that it waits no longer, and changes nothing."""
    job = parked(fleet)
    assert fleet.app.jobs.wake(job)
    before = fleet.everything()
    assert not fleet.app.jobs.wake(job)
    assert fleet.everything() == before
    assert published(fleet) == [job]
    assert fleet.claim(job).job.kind == "mail"
    assert [event.subject for event in fleet.events("job.woken")] == [job]


def test_only_a_parked_job_is_woken(fleet: SteppedFleet) -> None:
    """Back-off, work and ends are nobody's to cut short by mail."""
    queued, running, ended, failed = (fleet.enqueue().job for _ in range(4))
    fleet.claim(running)
    fleet.end(ended)
    fleet.app.jobs.put_off(fleet.claim(failed), Again(counts=False, wait_seconds=60), reason="busy")
    before = fleet.everything()
    for job in (queued, running, ended, failed, "0" * 16):
        assert not fleet.app.jobs.wake(job)
    assert fleet.everything() == before


def test_parking_needs_the_lease(fleet: SteppedFleet) -> None:
    """A worker whose lease was lost parks nothing, and a job that is to be cancelled does not wait."""
    lost, cancelled = (fleet.claim(fleet.enqueue().job) for _ in range(2))
    fleet.app.jobs.cancel(cancelled.job.id, by="ada", at=fleet.clock())
    with pytest.raises(CancelAskedError):
        fleet.app.jobs.park(cancelled, awaiting(60), reason="", result=JobResult())
    fleet.clock.forward(31)
    fleet.app.jobs.reap(at=fleet.clock())
    with pytest.raises(StaleLeaseError):
        fleet.app.jobs.park(lost, awaiting(60), reason="", result=JobResult())


def test_parked_job_can_be_cancelled(fleet: SteppedFleet) -> None:
    """It ends at once, and mail does not bring it back."""
    job = parked(fleet)
    fleet.app.jobs.cancel(job, by="ada", at=fleet.clock())
    assert not fleet.app.jobs.wake(job)
    assert fleet.redis.zrange(fleet.app.keys("outbox"), 0, -1) == []
