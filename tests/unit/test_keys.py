"""Keys: all are under the namespace, and none is left for ever that grows with the jobs."""

import pytest
import redis

from harvest.evidence.policy import TrialPolicy
from routing.jobs.job import JobResult, JobState
from routing.jobs.retry import UNCOUNTED
from routing.jobs.signal import SignalKind
from routing.store.redis.keys import Keys
from tests.fleets.stepped_fleet import QUICK, SteppedFleet
from tests.leaks import leaks


def whole_story(fleet: SteppedFleet) -> list[str]:
    """Everything that happens to jobs, versions and trials; returns the jobs, which have all ended."""
    fleet.on_trial()
    jobs = [
        fleet.enqueue(issue=f"local:shop#{number}", idempotency_key=str(number)).job for number in range(12)
    ]
    fleet.end(jobs[0])
    fleet.end(jobs[1], SignalKind.ESCALATED)
    fleet.app.jobs.pushed(fleet.claim(jobs[2]), JobResult(commit="4be1"))
    waiting = fleet.app.jobs.find(jobs[2])
    fleet.app.jobs.conclude(waiting, JobState.SUCCEEDED, reason="green")
    fleet.app.signals.add(jobs[2], [fleet.fact(SignalKind.MERGED, commit="4be1")])
    fleet.app.jobs.cancel(jobs[3], by="ada", at=fleet.clock())
    for _ in range(3):
        fleet.claim(jobs[4], lease_seconds=1)
        fleet.clock.forward(2)
        fleet.app.jobs.reap(at=fleet.clock())
    fleet.app.jobs.give_back(fleet.claim(jobs[5]), UNCOUNTED, reason="drain")
    fleet.end(jobs[5])
    fleet.app.switch.pause("lunch")
    fleet.app.jobs.claim(jobs[6], worker="w1", lease_seconds=1)
    fleet.app.switch.resume("over")
    fleet.app.relay.relay()
    fleet.app.ticks.run_alone("harvest", fleet.app.harvester.harvest)
    fleet.app.templates.reject("implementer@v2", by="ada")
    for job in jobs[6:]:
        fleet.end(job)
    fleet.app.jobs.retry(jobs[4], by="ada")
    fleet.end(jobs[4])
    fleet.clock.forward(QUICK.settle_deadline_seconds)
    fleet.app.harvester.harvest()
    for number, job in enumerate(jobs):
        fleet.app.job_store.effects_done(job, f"local:shop#{number}")
    fleet.app.signals.add(jobs[0], [fleet.fact(SignalKind.THUMB_DOWN)])
    fleet.app.harvester.harvest()
    return jobs


def test_every_key_is_permanent_or_expires(redis_client: redis.Redis) -> None:
    """After a whole story nothing that grows with the number of jobs is left without a time to live."""
    fleet = SteppedFleet(redis_client, draws=[0.1, 0.9] * 6)
    whole_story(fleet)
    assert leaks(redis_client, Keys()) == []


def test_nothing_of_ended_jobs_stays_in_an_index(redis_client: redis.Redis) -> None:
    """Only the list of jobs remembers those that have ended, and the trim takes them off it."""
    fleet = SteppedFleet(redis_client, draws=[0.1, 0.9] * 6)
    jobs = whole_story(fleet)
    for index in ("outbox", "unclaimed", "leases", "waiting", "due"):
        assert fleet.redis.zrange(fleet.app.keys(index), 0, -1) == [], index
    assert fleet.app.job_store.with_effects(100) == []
    assert fleet.app.trial_store.moved_ids() == []
    assert fleet.app.job_store.trim(before=fleet.clock() + 1) == len(jobs)
    assert fleet.app.job_store.newest(100) == []


def test_jobs_that_nobody_settles_do_not_stay_due(redis_client: redis.Redis) -> None:
    """With canaries off nothing is harvested: what was due a whole retention ago is forgotten, no more."""
    fleet = SteppedFleet(redis_client, enabled=False)
    fleet.add()
    ended, open_ = fleet.enqueue().job, fleet.enqueue().job
    fleet.end(ended)
    fleet.app.harvester.harvest()
    retention = fleet.app.settings.retention_seconds
    fleet.clock.forward(retention)
    fleet.app.job_store.trim(before=fleet.clock() - retention - 1)
    assert ended in fleet.app.signals.due(10)
    fleet.app.job_store.trim(before=fleet.clock() - retention)
    assert fleet.redis.zrange(fleet.app.keys("due"), 0, -1) == [open_]


def test_signals_expire_with_their_job(redis_client: redis.Redis) -> None:
    """A fact that comes in after the end of a job does not outlive it."""
    fleet = SteppedFleet(redis_client)
    fleet.add()
    job = fleet.enqueue().job
    fleet.app.jobs.end(fleet.claim(job), JobState.BLOCKED, reason="no", result=JobResult())
    fleet.app.signals.add(job, [fleet.fact(SignalKind.THUMB_UP)])
    of_job, of_signals = (
        fleet.redis.ttl(key) for key in (fleet.app.keys.job(job), fleet.app.keys.signals(job))
    )
    assert 0 < of_signals <= of_job + 1


def test_every_key_is_under_the_namespace(redis_client: redis.Redis) -> None:
    """Two fleets can share a server; nothing is written outside a fleet's own name."""
    one = SteppedFleet(redis_client, draws=[0.1, 0.9] * 6, namespace="blue", policy=TrialPolicy(share=0.5))
    whole_story(one)
    assert {key.split(":")[0] for key in one.redis.scan_iter()} == {"blue"}
    other = SteppedFleet(redis_client, draws=[0.1, 0.9] * 6, namespace="green")
    other.on_trial()
    assert other.enqueue().arm == "canary"
    assert len(one.app.job_store.newest(100)) == 12


@pytest.mark.parametrize(
    ("key", "value"), [("coalmine:job:1:extra", "x"), ("other:thing", "x"), ("coalmine:cache:1", "x")]
)
def test_leak_is_found(redis_client: redis.Redis, key: str, value: str) -> None:
    """The check itself sees a key without a time to live, and one outside the namespace."""
    redis_client.set(key, value)
    assert leaks(redis_client, Keys()) == [key]
