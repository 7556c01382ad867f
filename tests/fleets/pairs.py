"""A trial of pairs on a stepped fleet, with one pair of each kind."""

import random

import redis

from harvest.evidence.policy import TrialPolicy
from routing.jobs.signal import judgement
from routing.templates.trial import Mode
from tasks.settings.settings import JudgeSettings
from tests.fleets.stepped_fleet import SteppedFleet

PAIRS = TrialPolicy(mode=Mode.SHADOW, revert_window_seconds=0.0)


def paired_fleet(client: redis.Redis) -> SteppedFleet:
    """Its pairs, in order: solved by the champion alone, left out, open with a canary that is late, new."""
    judge = JudgeSettings(command="true")
    fleet = SteppedFleet(client, policy=PAIRS, generator=random.Random(5), judge=judge)
    fleet.on_trial()
    for scores in ((1.0, 0.0), (1.0, None), (1.0,)):
        champion = fleet.app.jobs.find(fleet.enqueue(repository="shop").job)
        for job, score in zip((champion.id, champion.partner), scores, strict=False):
            word = judgement(at=fleet.clock(), commit="c0ffee", value=score, note="exit code 0")
            fleet.app.signals.add(job, [word])
    fleet.clock.forward(PAIRS.settle_deadline_seconds / 2)
    fleet.enqueue(repository="shop")
    fleet.app.harvester.harvest()
    return fleet
