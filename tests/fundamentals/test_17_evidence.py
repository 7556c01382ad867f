"""Evidence is the running state of a trial's test; a verdict can be recomputed from the ledger.

Every job of a trial has an entry in the trial's ledger: its draw when it was made, its score when it was
settled. The evidence is folded from these entries in their order, and a verdict is reached when it exceeds
a bound. The bound holds although the evidence is looked at after every outcome. Someone who doubts a verdict
replays the ledger.
"""

from harvest.evidence.verdict import Verdict
from routing.jobs.signal import SignalKind
from routing.templates.trial import Arm
from tests.fleets.stepped_fleet import SteppedFleet


def play(fleet: SteppedFleet, jobs: int) -> None:
    """Jobs one by one: the canary's succeed, the champion's do not."""
    for _ in range(jobs):
        done = fleet.enqueue()
        fleet.end(done.job, SignalKind.FINISHED if done.arm is Arm.CANARY else SignalKind.NOTHING_PUSHED)
        fleet.app.harvester.harvest()


def test_evidence_grows_with_each_job(fleet: SteppedFleet) -> None:
    """Two jobs decide nothing, and the evidence says how far it is."""
    trial = fleet.on_trial()
    play(fleet, 2)
    evidence = fleet.app.harvester.evidence(fleet.app.trials.find(trial.id))
    assert (evidence.canary.settled, evidence.champion.settled) == (1, 1)
    assert evidence.decide(elapsed_days=0).verdict is Verdict.HOLD


def test_a_verdict_can_be_recomputed(fleet: SteppedFleet) -> None:
    """The ledger alone gives the very state in which the trial was decided."""
    fleet.on_trial()
    play(fleet, 40)
    trial = fleet.app.trials.find("implementer")
    assert not trial.is_open
    assert fleet.app.harvester.replayed(trial) == fleet.app.harvester.evidence(trial)
