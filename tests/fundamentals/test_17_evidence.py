"""Evidence is the running state of a trial's test; a verdict can be recomputed from the ledger.

Every job of a trial has an entry in the trial's ledger: its draw when it was made, its score when it was
settled. The evidence is folded from these entries in their order, and a verdict is reached when it exceeds
a bound. The bound holds although the evidence is looked at after every outcome. Someone who doubts a verdict
replays the ledger.
"""

from harvest.evidence.verdict import Verdict
from routing.jobs.job import JobResult, JobState
from routing.jobs.signal import SignalKind
from routing.templates.trial import Arm, TrialState
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


def test_the_difference_has_an_interval_that_narrows(fleet: SteppedFleet) -> None:
    """It holds however often one looks, and passes -delta when the trial graduates, not before."""
    trial = fleet.on_trial()
    before = fleet.app.differences.of(fleet.app.trials.find(trial.id))
    assert (before.value, before.lower, before.upper) == (None, -1.0, 1.0)
    play(fleet, 2)
    early = fleet.app.differences.of(fleet.app.trials.find(trial.id))
    assert early.value == 1.0
    assert early.lower < -0.1
    play(fleet, 38)
    ended = fleet.app.trials.find(trial.id)
    late = fleet.app.differences.of(ended)
    assert ended.state is TrialState.GRADUATED
    assert late.lower >= -0.1
    assert late.lower >= early.lower


def test_a_change_that_stays_pays_for_those_that_do_not(fleet: SteppedFleet) -> None:
    """A price is what settled jobs spent over the changes that were merged and not reverted."""
    trial = fleet.on_trial()
    for kinds in ([SignalKind.MERGED], [SignalKind.NOTHING_PUSHED]) * 2:
        for _ in Arm:
            claim = fleet.claim(fleet.enqueue(repository="local:shop").job)
            fleet.spend(claim, usd=0.5)
            facts = [fleet.fact(kind) for kind in kinds]
            fleet.app.jobs.end(claim, JobState.SUCCEEDED, reason="", result=JobResult(), signals=facts)
    fleet.clock.forward(10 * 86_400)
    fleet.app.harvester.harvest()
    for price in fleet.app.outcome_prices.of_arms(fleet.app.trials.find(trial.id)).values():
        dollars = price.prices["usd"]
        assert (dollars.spent, dollars.each, dollars.on_failures) == (2.0, 1.0, 0.5)


def test_a_verdict_can_be_recomputed(fleet: SteppedFleet) -> None:
    """The ledger alone gives the very state in which the trial was decided."""
    fleet.on_trial()
    play(fleet, 40)
    trial = fleet.app.trials.find("implementer")
    assert not trial.is_open
    assert fleet.app.harvester.replayed(trial) == fleet.app.harvester.evidence(trial)
