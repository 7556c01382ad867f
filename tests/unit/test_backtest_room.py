"""Backtests and real work on the same fleet: where limits of room hold, real work comes first."""

import random

import pytest
import redis

from routing.jobs.job import JobResult, JobState
from routing.store.jobs.job_store import ClaimRefusal
from tasks.settings.settings import JudgeSettings
from tests.fleets.backtests import SteppedBacktest
from tests.fleets.stepped_fleet import SteppedFleet


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A fleet with room for one agent."""
    made = SteppedFleet(
        redis_client, judge=JudgeSettings(command="make test"), generator=random.Random(7),
        job={"agents_at_once": 1},
    )  # fmt: skip
    made.add()
    made.propose()
    return made


def tried(fleet: SteppedFleet, job: str) -> str:
    """Claim a job: 'won', or the word of the refusal."""
    answer = fleet.app.jobs.claim(job, worker="w1", lease_seconds=30)
    return answer if isinstance(answer, str) else "won"


def published(fleet: SteppedFleet) -> list[str]:
    """What the sweep publishes now."""
    before = len(fleet.broker.sent)
    fleet.app.relay.relay()
    return [job for job, _, _ in fleet.broker.sent[before:]]


def test_an_older_case_waits_for_a_newer_issue(fleet: SteppedFleet) -> None:
    """Both wait for room: the issue gets it, and the case when no issue waits any more."""
    at_work = fleet.claim(fleet.enqueue().job, lease_seconds=900)
    fleet.broker.queues["champion"].clear()
    made = SteppedBacktest(fleet)
    made.tick()
    cases = [job.id for job in made.jobs()]
    fleet.clock.forward(60)
    newer = fleet.enqueue().job
    assert [tried(fleet, job) for job in (*cases, newer)] == [ClaimRefusal.FULL] * 3
    fleet.app.jobs.end(at_work, JobState.SUCCEEDED, reason="done", result=JobResult())
    assert [tried(fleet, job) for job in cases] == [ClaimRefusal.FULL] * 2
    assert published(fleet) == [newer]
    done = fleet.claim(newer, lease_seconds=900)
    assert published(fleet) == []
    fleet.app.jobs.end(done, JobState.SUCCEEDED, reason="done", result=JobResult())
    (first,) = published(fleet)
    assert first in cases
    assert tried(fleet, first) == "won"


def test_a_case_is_not_begun_while_an_issue_waits_for_room_elsewhere(redis_client: redis.Redis) -> None:
    """The issue's repository is full, and the fleet's room would be gone when it is not any more."""
    fleet = SteppedFleet(
        redis_client, judge=JudgeSettings(command="make test"), generator=random.Random(7),
        job={"agents_at_once": 2, "per_repository": 1},
    )  # fmt: skip
    fleet.add()
    fleet.propose()
    first, second = (fleet.enqueue(repository="local:other").job for _ in range(2))
    fleet.claim(first)
    fleet.broker.queues["champion"].clear()
    made = SteppedBacktest(fleet)
    made.tick()
    assert tried(fleet, second) == ClaimRefusal.FULL
    case = made.jobs()[0].id
    assert tried(fleet, case) == ClaimRefusal.FULL
    assert published(fleet) == []
    fleet.app.jobs.cancel(second, by="ada", at=fleet.clock())
    assert case in published(fleet) or case in published(fleet)
    assert tried(fleet, case) == "won"
