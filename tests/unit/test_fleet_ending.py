"""The end of a fleet on one machine: what is said, and that a job whose worker was killed loses nothing."""

import pytest
import redis

from console.local.fleet_ending import MOST_NAMED, FleetEnding
from routing.errors import UnavailableError
from routing.jobs.job import JobResult, JobState
from routing.jobs.lifecycle import Claim
from tests.fleets.stepped_fleet import SteppedFleet


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A fleet with a template."""
    made = SteppedFleet(redis_client)
    made.add()
    return made


def at_work(fleet: SteppedFleet, worker: str) -> Claim:
    """A job that a worker has claimed."""
    found = fleet.app.jobs.claim(fleet.enqueue().job, worker=worker, lease_seconds=30)
    assert isinstance(found, Claim)
    return found


def test_it_says_what_it_waits_for_and_counts_down(fleet: SteppedFleet) -> None:
    """At once, then every five seconds, and nothing more when all have ended."""
    said: list[str] = []
    claim, _other = at_work(fleet, "jobs-7@here"), at_work(fleet, "jobs@here")
    ending = FleetEnding(fleet.app, said.append, worker="jobs-7@here")
    for seconds in (30.0, 29.0, 25.0, 24.0, 20.0):
        ending.watch(seconds)
    first, *later = said
    assert first.startswith(f"Ending: 1 agent may go on for up to 30 s ({claim.job.id}). Ctrl-C again ends")
    assert later == ["25 s left for 1 agent", "20 s left for 1 agent"]
    fleet.app.jobs.end(claim, JobState.SUCCEEDED, reason="done", result=JobResult())
    ending.watch(10.0)
    ending.ended()
    assert said[3:] == [f"{claim.job.id}  succeeded (done)"]


def test_a_job_whose_worker_was_killed_goes_on_and_no_attempt_is_used_up(fleet: SteppedFleet) -> None:
    """At once, without waiting for its lease; one of another fleet on this machine is left to its worker."""
    said: list[str] = []
    killed, other = at_work(fleet, "jobs-7@here"), at_work(fleet, "jobs@here")
    ending = FleetEnding(fleet.app, said.append, worker="jobs-7@here")
    ending.watch(30.0)
    ending.ended()
    found = fleet.app.jobs.find(killed.job.id)
    assert (found.state, found.attempts) == (JobState.QUEUED, 0)
    assert said[-1] == f"{killed.job.id}  was ended, and goes on at the next start; no attempt was used up"
    assert fleet.app.jobs.find(other.job.id).state is JobState.RUNNING


def test_every_job_of_a_killed_worker_is_put_back_however_many_are_named(fleet: SteppedFleet) -> None:
    """The list that is printed is short; what is done is not."""
    said: list[str] = []
    claims = [at_work(fleet, "WORKER") for _ in range(MOST_NAMED + 3)]
    ending = FleetEnding(fleet.app, said.append, worker="WORKER")
    ending.watch(30.0)
    ending.ended()
    states = {fleet.app.jobs.find(claim.job.id).state for claim in claims}
    assert states == {JobState.QUEUED}
    assert len(said) == 1 + MOST_NAMED


def test_nothing_at_work_is_said_too(fleet: SteppedFleet) -> None:
    """A person who pressed Ctrl-C sees that something happens."""
    said: list[str] = []
    ending = FleetEnding(fleet.app, said.append, worker="jobs-7@here")
    ending.watch(30.0)
    ending.ended()
    assert said == ["Ending: no agent is at work."]


def test_a_server_that_is_away_does_not_hold_it_up(
    fleet: SteppedFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said once, and not that nothing is at work."""
    said: list[str] = []

    def away(**_: object) -> None:
        message = "Redis does not answer"
        raise UnavailableError(message)

    monkeypatch.setattr(fleet.app.job_store, "running", away)
    ending = FleetEnding(fleet.app, said.append, worker="jobs-7@here")
    ending.watch(30.0)
    ending.watch(29.0)
    ending.ended()
    assert said == ["Ending: what is at work is not known: Redis does not answer"]


def test_a_fleet_that_ends_by_itself_says_nothing(fleet: SteppedFleet) -> None:
    """Its error is what is printed."""
    said: list[str] = []
    FleetEnding(fleet.app, said.append, worker="jobs-7@here").ended()
    assert said == []
