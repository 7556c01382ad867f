"""With `canary.on_rollback = "cancel"` a rejection ends at once what its version is at work on."""

import pytest
import redis

from harvest.evidence.verdict import Verdict
from routing.errors import UnavailableError
from routing.jobs.children import ChildOrder
from routing.jobs.job import JobResult, JobState
from routing.jobs.signal import SignalKind
from routing.jobs.withdrawal import BATCH
from tasks.settings.settings import OnRollback
from tests.fleets.stepped_fleet import SteppedFleet


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A fleet on trial whose first jobs go to the canary, and that cancels what a rejected one is at."""
    made = SteppedFleet(redis_client, draws=[0.1] * 300, on_rollback=OnRollback.CANCEL)
    made.on_trial()
    return made


def running(fleet: SteppedFleet, template: str = "implementer") -> str:
    """A job that a worker is at; returns its id."""
    return fleet.claim(fleet.enqueue(template).job).job.id


def child(fleet: SteppedFleet, parent: str, name: str = "part") -> str:
    """A child that a job's agent dispatches; returns its id."""
    order = ChildOrder(parent=parent, name=name, spec="fix the door", role="builder")
    return fleet.app.children.dispatch(order).job


def finish(fleet: SteppedFleet, job: str) -> None:
    """The worker of a running job reports its success."""
    found = fleet.app.jobs.find(job)
    assert found.state is JobState.RUNNING
    claim = fleet.app.jobs._claimed(found)  # noqa: SLF001 - what the worker was given
    assert not isinstance(claim, str)
    fleet.app.jobs.end(claim, JobState.SUCCEEDED, reason="done", result=JobResult())


def reject(fleet: SteppedFleet) -> None:
    """A person rejects the canary."""
    fleet.app.templates.reject("implementer@v2", by="ada")


def asked(fleet: SteppedFleet, *jobs: str) -> list[str]:
    """Why each job is to be cancelled, '' for those that are not."""
    return [fleet.app.jobs.find(job).cancel for job in jobs]


WHY = "cancelled by the rejection of implementer@v2"


def test_rejection_by_a_person_ends_running_jobs_at_once(fleet: SteppedFleet) -> None:
    """No tick is needed; the champion's jobs, and the canary's that have ended, are left alone."""
    ended = fleet.enqueue().job
    fleet.end(ended)
    on_canary, on_champion = running(fleet), running(fleet, "implementer@v1")
    reject(fleet)
    assert asked(fleet, on_canary, on_champion, ended) == [WHY, "", ""]
    assert [event.subject for event in fleet.events("job.cancelling")] == [on_canary]


def test_rollback_by_the_harvest_ends_running_jobs_at_once(fleet: SteppedFleet) -> None:
    """By the tick that carries out the verdict."""
    fleet.generator.numbers.clear()
    fleet.generator.numbers.extend([0.1, *([0.0, 0.999] * 30)])
    left = running(fleet)
    verdicts: list[Verdict] = []
    while not verdicts:
        for _ in range(2):
            one = fleet.enqueue()
            fleet.end(one.job, SignalKind.ESCALATED if one.arm == "canary" else SignalKind.FINISHED)
        fleet.clock.forward(1)
        verdicts = [outcome.verdict for outcome in fleet.app.harvester.harvest().outcomes]
        assert asked(fleet, left) == ([WHY] if verdicts else [""])
    assert verdicts == [Verdict.ROLL_BACK]


def test_running_jobs_finish_unless_it_is_set(redis_client: redis.Redis) -> None:
    """The default takes nothing from a worker."""
    fleet = SteppedFleet(redis_client, draws=[0.1])
    fleet.on_trial()
    job = running(fleet)
    reject(fleet)
    fleet.app.watchdog.tick()
    assert asked(fleet, job) == [""]
    finish(fleet, job)


def test_children_of_the_version_are_ended_although_their_parent_has(fleet: SteppedFleet) -> None:
    """A child that runs on after its parent is an agent of the rejected version like any other."""
    parent = running(fleet)
    first = fleet.claim(child(fleet, parent)).job.id
    grandchild = fleet.claim(child(fleet, first, "of the part")).job.id
    finish(fleet, parent)
    finish(fleet, first)
    reject(fleet)
    assert asked(fleet, grandchild) == [WHY]


def test_children_of_a_cancelled_job_end_with_it(fleet: SteppedFleet) -> None:
    """Those that run are stopped, and those that wait never begin, whatever their template is."""
    fleet.add("reviewer")
    parent = running(fleet)
    at_work, waits = fleet.claim(child(fleet, parent)).job.id, child(fleet, parent, "waits")
    order = ChildOrder(parent=parent, name="other", spec="look at the door", role="reviewer")
    other = fleet.claim(fleet.app.children.dispatch(order).job).job.id
    reject(fleet)
    assert all(asked(fleet, at_work, other))
    assert fleet.app.jobs.find(waits).state is JobState.CANCELLED


def test_queued_child_is_the_champions_when_it_is_claimed(fleet: SteppedFleet) -> None:
    """A rejected canary gets no more work; what such a child dispatches is of no arm either."""
    parent = running(fleet)
    waits = child(fleet, parent)
    finish(fleet, parent)
    reject(fleet)
    job = fleet.claim(waits).job
    assert (job.version, job.rerouted_from, job.trial, job.parent_arm) == (1, 2, "", None)
    assert asked(fleet, waits) == [""]
    grandchild = fleet.app.jobs.find(child(fleet, waits, "of the part"))
    assert (grandchild.version, grandchild.parent_arm) == (1, None)


def test_job_that_is_claimed_after_the_rejection_is_not_cancelled(fleet: SteppedFleet) -> None:
    """It is the champion's by then, and asking for the rejection again leaves it alone."""
    waits = fleet.enqueue().job
    reject(fleet)
    fleet.claim(waits)
    reject(fleet)
    assert asked(fleet, waits) == [""]


def test_rejection_stands_when_nothing_could_be_withdrawn(fleet: SteppedFleet) -> None:
    """The store goes away in between: the person hears of the rejection, and the next tick does the rest."""
    job = running(fleet)

    def away() -> list[str]:
        message = "Redis is away"
        raise UnavailableError(message)

    vars(fleet.app.job_store)["running"] = away
    reject(fleet)
    assert asked(fleet, job) == [""]
    del vars(fleet.app.job_store)["running"]
    fleet.app.watchdog.tick()
    assert asked(fleet, job) == [WHY]


def test_what_cannot_be_cancelled_keeps_no_other(fleet: SteppedFleet) -> None:
    """A record that cannot be read, and a job that ended in between, are passed by."""
    broken, gone, job = running(fleet), running(fleet), running(fleet)
    fleet.redis.hset(fleet.app.keys.job(broken), "request", "{broken")
    fleet.redis.delete(fleet.app.keys.job(gone))
    reject(fleet)
    assert asked(fleet, job) == [WHY]


def test_all_running_jobs_are_found(fleet: SteppedFleet) -> None:
    """However many there are."""
    jobs = [running(fleet) for _ in range(BATCH + 5)]
    reject(fleet)
    assert asked(fleet, *jobs) == [WHY] * len(jobs)
