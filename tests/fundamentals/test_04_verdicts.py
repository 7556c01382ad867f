"""A trial tries a version on a share of real work, until what became of the work decides.

At most one trial is open for a template. After every settled job the harvest looks at the evidence, and
reaches one of three verdicts: hold, graduate, or roll back. Graduating makes the canary champion; rolling
back rejects it. Either happens exactly once, in the same step as its event, and leaves the template with
one champion.
"""

import pytest

from routing.errors import ConflictError
from routing.jobs.job import JobState
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


def test_one_trial_at_a_time(fleet: SteppedFleet) -> None:
    """A second version has to wait for the verdict on the first."""
    fleet.on_trial()
    with pytest.raises(ConflictError):
        fleet.open(fleet.propose("three"))


def test_a_worse_canary_is_rolled_back(fleet: SteppedFleet) -> None:
    """The champion is what it was, and one event says so."""
    play(fleet, canary=SignalKind.NOTHING_PUSHED, champion=SignalKind.FINISHED)
    assert fleet.app.templates.find("implementer@v2").state == "rejected"
    assert fleet.app.templates.champion("implementer").number == 1
    assert fleet.kinds().count("candidate.rolled_back") == 1


def test_a_better_canary_graduates(fleet: SteppedFleet) -> None:
    """It is the champion from then on, and one event says so."""
    play(fleet, canary=SignalKind.FINISHED, champion=SignalKind.NOTHING_PUSHED)
    assert fleet.app.templates.champion("implementer").number == 2
    assert fleet.kinds().count("candidate.auto_promoted") == 1


def test_asking_again_changes_nothing(fleet: SteppedFleet) -> None:
    """A harvest after the verdict writes no second event and no second champion."""
    play(fleet, canary=SignalKind.FINISHED, champion=SignalKind.NOTHING_PUSHED)
    kinds = fleet.kinds()
    fleet.app.harvester.harvest()
    assert fleet.kinds() == kinds


def test_a_rejected_canary_gets_no_more_work(fleet: SteppedFleet) -> None:
    """A job that waits in its queue runs the champion instead, and counts for neither arm."""
    fleet.on_trial()
    waiting = fleet.enqueue().job
    assert fleet.app.jobs.find(waiting).arm is Arm.CANARY
    fleet.app.templates.reject("implementer@v2", by="ada", reason="it deletes tests")
    claim = fleet.claim(waiting)
    assert claim.version.id == "implementer@v1"
    assert claim.job.state is JobState.RUNNING
    assert claim.job.arm is None
