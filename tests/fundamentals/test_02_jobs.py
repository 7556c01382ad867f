"""A job is the intent to work one issue, or one request, to its end.

Enqueueing writes the job's record, the draw, and what is to be published in one step. A worker claims the
job, runs the agent, and reports how it ended. From its first moment a job is pinned to one version of its
template. At most one job at a time is active for an issue, and asking twice with one key is asking once.
"""

from routing.jobs.job import JobResult, JobState
from tests.fleets.stepped_fleet import SteppedFleet


def test_a_job_is_queued_claimed_and_ended(fleet: SteppedFleet) -> None:
    """The three steps of a job that goes well, and the events that tell of them."""
    fleet.add()
    job = fleet.enqueue(task="Repair the roof.").job
    assert fleet.app.jobs.find(job).state is JobState.QUEUED
    claim = fleet.claim(job)
    assert fleet.app.jobs.find(job).state is JobState.RUNNING
    fleet.app.jobs.end(claim, JobState.SUCCEEDED, reason="repaired", result=JobResult(exit_code=0))
    assert fleet.app.jobs.find(job).state is JobState.SUCCEEDED
    assert [event.kind for event in fleet.events() if event.subject == job] == [
        "job.queued", "job.claimed", "job.finished",
    ]  # fmt: skip


def test_a_job_keeps_the_version_that_it_began_with(fleet: SteppedFleet) -> None:
    """A champion that changes meanwhile is for the jobs that come later."""
    fleet.add()
    early = fleet.enqueue().job
    fleet.app.templates.promote(fleet.propose().id, by="ada")
    late = fleet.enqueue().job
    assert [fleet.claim(job).version.id for job in (early, late)] == ["implementer@v1", "implementer@v2"]


def test_one_job_at_a_time_works_on_an_issue(fleet: SteppedFleet) -> None:
    """Enqueueing the issue again answers with the job that is there."""
    fleet.add()
    first = fleet.enqueue(issue="local:shop#3")
    again = fleet.enqueue(issue="local:shop#3")
    assert (first.created, again.created) == (True, False)
    assert again.job == first.job
    fleet.end(first.job)
    fleet.app.job_store.effects_done(first.job, "local:shop#3")
    assert fleet.enqueue(issue="local:shop#3").created


def test_an_idempotency_key_makes_a_request_repeatable(fleet: SteppedFleet) -> None:
    """A caller that does not know whether its request arrived sends it again."""
    fleet.add()
    assert fleet.enqueue(idempotency_key="nightly").job == fleet.enqueue(idempotency_key="nightly").job
