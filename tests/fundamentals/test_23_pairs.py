"""In a trial of pairs both versions work on the same issue, and nobody sees the canary's work.

A draw gives each issue to one version, so that most of what makes outcomes differ is the issues. In mode
`shadow` an issue becomes two jobs in one step: the champion's, whose work is delivered as always, and a
shadow job of the canary, whose work is judged and thrown away. A pair counts once both were judged.
"""

import pytest
import redis

from harvest.evidence.policy import TrialPolicy
from routing.jobs.job import JobState
from routing.jobs.signal import judgement
from routing.templates.trial import Arm, Mode, TrialState
from tasks.settings.settings import JudgeSettings
from tests.fleets.stepped_fleet import ScriptedGenerator, SteppedFleet


@pytest.fixture
def paired(fake_redis: redis.Redis) -> SteppedFleet:
    """A fleet with a trial of pairs; its judge's words are said by hand here."""
    made = SteppedFleet(
        fake_redis,
        policy=TrialPolicy(mode=Mode.SHADOW),
        judge=JudgeSettings(command="make test"),
        generator=ScriptedGenerator([0.5] * 100),
    )
    made.on_trial()
    return made


def play(fleet: SteppedFleet, *, champion: float, canary: float) -> None:
    """An issue on which the judge says this of both versions."""
    job = fleet.app.jobs.find(fleet.enqueue(repository="shop").job)
    for each, value in ((job.id, champion), (job.partner, canary)):
        word = judgement(at=fleet.clock(), commit="c0ffee", value=value, note="exit code 0")
        fleet.app.signals.add(each, [word])
    fleet.app.harvester.harvest()


def test_an_issue_is_worked_twice(paired: SteppedFleet) -> None:
    """The champion's job is what the issue knows of; its partner is the canary's, and a shadow."""
    job = paired.app.jobs.find(paired.enqueue(repository="shop", issue="local:shop#3").job)
    shadow = paired.app.jobs.find(job.partner)
    assert (job.arm, job.shadow) == (Arm.CHAMPION, False)
    assert (shadow.arm, shadow.shadow) == (Arm.CANARY, True)


def test_nobody_needs_a_shadow_alone(paired: SteppedFleet) -> None:
    """When a person cancels the job, its shadow ends too, and the pair says nothing."""
    job = paired.app.jobs.find(paired.enqueue(repository="shop").job)
    paired.app.jobs.cancel(job.id, by="ada", at=paired.clock())
    assert paired.app.jobs.find(job.partner).state is JobState.CANCELLED
    paired.app.harvester.harvest()
    evidence = paired.app.harvester.evidence(paired.app.trials.find("implementer"))
    assert (evidence.champion.excluded, evidence.canary.excluded) == (1, 1)


def test_a_canary_that_loses_each_pair_is_rolled_back_after_eleven(paired: SteppedFleet) -> None:
    """Nobody was exposed to it meanwhile."""
    for _ in range(11):
        play(paired, champion=1.0, canary=0.0)
    assert paired.app.trials.find("implementer").state is TrialState.ROLLED_BACK
