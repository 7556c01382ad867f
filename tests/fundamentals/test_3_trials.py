"""3. A trial sends some jobs to a canary; what becomes of them decides whether it graduates."""

from routing.jobs.signal import SignalKind
from routing.templates.trial import Arm
from tests.fleets.stepped_fleet import SteppedFleet


def play(fleet: SteppedFleet, *, canary: SignalKind, champion: SignalKind) -> None:
    """Jobs one by one, each ending as its arm does, until the trial has ended."""
    trial = fleet.on_trial()
    for _ in range(60):
        done = fleet.enqueue()
        fleet.end(done.job, canary if done.arm is Arm.CANARY else champion)
        fleet.app.harvester.harvest()
        if not fleet.app.trials.find(trial.id).is_open:
            return


def test_each_job_is_drawn_once(fleet: SteppedFleet) -> None:
    """A draw below the share goes to the canary; the job remembers the draw and what it was compared to."""
    fleet.on_trial()
    jobs = [fleet.app.jobs.find(fleet.enqueue().job) for _ in range(4)]
    assert [job.draw for job in jobs] == [0.25, 0.75, 0.25, 0.75]
    assert [job.version for job in jobs] == [2, 1, 2, 1]
    assert {job.bet.share for job in jobs if job.bet} == {0.5}


def test_a_worse_canary_is_rolled_back(fleet: SteppedFleet) -> None:
    """The champion is what it was, and one event tells of it."""
    play(fleet, canary=SignalKind.NOTHING_PUSHED, champion=SignalKind.FINISHED)
    assert fleet.app.templates.find("implementer@v2").state == "rejected"
    assert fleet.app.templates.champion("implementer").number == 1
    assert fleet.kinds().count("candidate.rolled_back") == 1


def test_a_better_canary_graduates(fleet: SteppedFleet) -> None:
    """It is the champion from then on, and one event tells of it."""
    play(fleet, canary=SignalKind.FINISHED, champion=SignalKind.NOTHING_PUSHED)
    assert fleet.app.templates.champion("implementer").number == 2
    assert fleet.kinds().count("candidate.auto_promoted") == 1


def test_the_evidence_can_be_recomputed(fleet: SteppedFleet) -> None:
    """The ledger alone gives the very state that the verdict was reached in."""
    play(fleet, canary=SignalKind.FINISHED, champion=SignalKind.NOTHING_PUSHED)
    trial = fleet.app.trials.find("implementer")
    assert fleet.app.harvester.replayed(trial) == fleet.app.harvester.evidence(trial)
