"""The draw decides whether a job goes to the champion or to the canary.

While a trial is open, the mailbox takes one number in [0, 1) from its generator for each new job and
compares it with the trial's share: a smaller number is the canary's. Number and share are written into the
job, so that nobody has to guess later. Nothing is drawn where it would decide nothing.
"""

from routing.templates.trial import Arm
from tests.fleets.stepped_fleet import SteppedFleet, fail_attempt


def test_each_job_is_drawn_once(fleet: SteppedFleet) -> None:
    """The job remembers the number and what it was compared to."""
    fleet.on_trial()  # with a share of one half
    jobs = [fleet.app.jobs.find(fleet.enqueue().job) for _ in range(4)]
    assert [job.draw for job in jobs] == [0.25, 0.75, 0.25, 0.75]
    assert [job.arm for job in jobs] == [Arm.CANARY, Arm.CHAMPION, Arm.CANARY, Arm.CHAMPION]
    assert [job.version for job in jobs] == [2, 1, 2, 1]
    assert {job.bet.share for job in jobs if job.bet} == {0.5}


def test_a_canarys_jobs_have_a_queue_of_their_own(fleet: SteppedFleet) -> None:
    """So that a fleet can keep some workers for one of the two."""
    fleet.on_trial()
    canary, champion = fleet.enqueue().job, fleet.enqueue().job
    assert fleet.broker.queues == {"canary": [canary], "champion": [champion], "backtest": []}


def test_nothing_is_drawn_without_an_open_trial_or_for_a_pinned_request(fleet: SteppedFleet) -> None:
    """The generator is not even asked."""
    fleet.add()
    fleet.enqueue()
    fleet.open(fleet.propose())
    fleet.enqueue("implementer@v1")
    assert fleet.generator.asked == 0


def test_a_job_that_is_tried_again_keeps_its_arm(fleet: SteppedFleet) -> None:
    """A retry is the same job: one draw a job, whatever happens to it."""
    fleet.on_trial()
    job = fleet.enqueue().job
    fail_attempt(fleet.app.jobs, fleet.claim(job))
    fleet.clock.forward(60)
    assert fleet.claim(job).version.id == "implementer@v2"
    assert fleet.app.jobs.find(job).draw == 0.25
