"""Limits say how much may go on at one time: agents in the fleet, agents in one repository, dollars in a day.

They are checked in the step in which a job is claimed, so two workers never exceed one together. A job that
finds no room keeps its attempt. It is held, with the reason in its record, and it is published again as soon
as there is room: the one that was created first begins first.
"""

import pytest
import redis

from routing.jobs.job import JobState
from routing.store.jobs.job_store import ClaimRefusal
from tests.fleets.stepped_fleet import SteppedFleet

DAY = 86_400.0


@pytest.fixture
def limited_fleet(fake_redis: redis.Redis) -> SteppedFleet:
    """Two agents at once, one for each repository, and two dollars a day."""
    limits = {"agents_at_once": 2, "per_repository": 1, "day_cost_usd": 2.0}
    made = SteppedFleet(fake_redis, job=limits)
    made.add()
    return made


def refusal(fleet: SteppedFleet, job: str) -> object:
    """Why a worker may not begin a job now."""
    return fleet.app.jobs.claim(job, worker="w1", lease_seconds=30)


def test_a_fleet_has_no_more_agents_at_once_than_it_may(limited_fleet: SteppedFleet) -> None:
    """The third waits, with all its attempts, and its record says for what."""
    jobs = [limited_fleet.enqueue(repository=f"local:{name}").job for name in ("shop", "bank", "farm")]
    for job in jobs[:2]:
        limited_fleet.claim(job)
    assert refusal(limited_fleet, jobs[2]) is ClaimRefusal.FULL
    held = limited_fleet.app.jobs.find(jobs[2])
    assert (held.state, held.attempts) == (JobState.QUEUED, 0)
    assert "agents_at_once" in held.reason


def test_a_repository_has_no_more_agents_than_it_may(limited_fleet: SteppedFleet) -> None:
    """Its next job waits; that of another repository does not wait with it."""
    first, next_one = (limited_fleet.enqueue(repository="local:shop").job for _ in range(2))
    elsewhere = limited_fleet.enqueue(repository="local:bank").job
    limited_fleet.claim(first)
    assert refusal(limited_fleet, next_one) is ClaimRefusal.FULL
    assert "per_repository" in limited_fleet.app.jobs.find(next_one).reason
    assert limited_fleet.claim(elsewhere)


def test_room_is_given_to_the_job_that_waits(limited_fleet: SteppedFleet) -> None:
    """The end of one job publishes the next: no person and no worker has to ask again."""
    first, next_one = (limited_fleet.enqueue(repository="local:shop").job for _ in range(2))
    claim = limited_fleet.claim(first)
    refusal(limited_fleet, next_one)
    before = len(limited_fleet.broker.sent)
    limited_fleet.app.jobs.end(claim, JobState.SUCCEEDED, reason="done", result=claim.job.result)
    limited_fleet.app.relay.relay()
    assert [job for job, _, _ in limited_fleet.broker.sent[before:]] == [next_one]
    assert limited_fleet.claim(next_one)


def test_no_job_begins_when_the_money_of_the_day_is_spent(limited_fleet: SteppedFleet) -> None:
    """What runs goes on, and may spend more. The next day, in UTC, has its own money."""
    first, next_one = (limited_fleet.enqueue().job for _ in range(2))
    claim = limited_fleet.claim(first)
    limited_fleet.spend(claim, usd=2.25)
    limited_fleet.app.jobs.end(claim, JobState.SUCCEEDED, reason="done", result=claim.job.result)
    assert refusal(limited_fleet, next_one) is ClaimRefusal.BUDGET
    assert "day_cost_usd" in limited_fleet.app.jobs.find(next_one).reason
    limited_fleet.clock.forward(DAY)
    assert limited_fleet.claim(next_one)
