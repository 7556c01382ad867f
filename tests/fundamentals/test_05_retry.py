"""A failed attempt is tried again after a pause, a limited number of times.

The pause doubles with each attempt, and half of it is random, so that jobs that failed together do not come
back together. When no attempt is left the job has failed. Only then does the failure become a fact about
the job: one that succeeds at its third attempt has succeeded. A person may have a failed job tried again.
"""

from routing.back_off import BackOff
from routing.jobs.job import JobState
from routing.jobs.signal import SignalKind
from routing.store.jobs.job_store import ClaimRefusal
from tests.fleets.stepped_fleet import ScriptedGenerator, SteppedFleet, fail_attempt


def test_the_job_waits_for_its_pause(fleet: SteppedFleet) -> None:
    """A worker that is given the job too early does not start it."""
    fleet.add()
    job = fleet.enqueue().job
    assert fail_attempt(fleet.app.jobs, fleet.claim(job)), "it will be tried again"
    assert fleet.app.jobs.find(job).state is JobState.QUEUED
    assert fleet.app.jobs.claim(job, worker="w1", lease_seconds=30) == ClaimRefusal.EARLY
    fleet.clock.forward(60)
    assert fleet.claim(job).job.attempts == 2


def test_pauses_double_and_are_partly_random() -> None:
    """Half is fixed and half is jitter; the cap holds for any number of attempts."""
    pauses = BackOff(first_seconds=4, cap_seconds=60)
    assert [pauses.seconds(attempt, ScriptedGenerator([0.0])) for attempt in (1, 2, 3, 500)] == [2, 4, 8, 30]


def test_only_the_last_failure_counts(fleet: SteppedFleet) -> None:
    """Two of three attempts fail, and the job is a success all the same."""
    fleet.add()
    job = fleet.enqueue().job
    for _ in range(2):
        fail_attempt(fleet.app.jobs, fleet.claim(job))
        fleet.clock.forward(600)
    fleet.end(job)
    assert [fact.kind for fact in fleet.app.signals.read(job)] == [SignalKind.FINISHED]


def test_a_job_without_attempts_left_has_failed_until_a_person_retries_it(fleet: SteppedFleet) -> None:
    """The retry is the same job, on the same version, with its attempts counted anew."""
    fleet.add()
    job = fleet.enqueue().job
    while fail_attempt(fleet.app.jobs, fleet.claim(job)):
        fleet.clock.forward(600)
    assert fleet.app.jobs.find(job).state is JobState.FAILED
    fleet.app.jobs.retry(job, by="ada")
    assert fleet.claim(job).job.attempts == 1
