"""Admission: no more jobs at work, and no more money spent, than the limits allow."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import fakeredis
import pytest
import redis

from console.doctor.doctor import fleet as examined
from console.status.fleet_reading import read_status
from routing.jobs.job import JobResult, JobState
from routing.jobs.lifecycle import Claim
from routing.jobs.retry import UNCOUNTED
from routing.jobs.signal import SignalKind
from routing.store.jobs.job_store import ClaimRefusal
from routing.store.redis.health import HealthFinding, Status
from tests.fleets.stepped_fleet import SteppedFleet, fail_attempt

Made = Callable[..., SteppedFleet]

DAY = 86_400.0


@pytest.fixture
def limited(fake_redis: redis.Redis) -> Made:
    """Make a fleet with one template and limits."""

    def make(**limits: float) -> SteppedFleet:
        made = SteppedFleet(fake_redis, draws=[0.0] * 100, job=limits)
        made.add()
        return made

    return make


def enqueued(fleet: SteppedFleet, count: int, **fields: str) -> list[str]:
    """Jobs, each created a second after the one before it."""
    jobs = []
    for _ in range(count):
        jobs.append(fleet.enqueue(**fields).job)
        fleet.clock.forward(1)
    return jobs


def tried(fleet: SteppedFleet, job: str) -> str:
    """Claim a job: 'won', or the word of the refusal."""
    answer = fleet.app.jobs.claim(job, worker="w1", lease_seconds=30)
    return answer if isinstance(answer, str) else "won"


def finish(fleet: SteppedFleet, claim: Claim) -> None:
    """A job succeeds."""
    fleet.app.jobs.end(claim, JobState.SUCCEEDED, reason="done", result=JobResult())


def published(fleet: SteppedFleet) -> list[str]:
    """What the sweep publishes now."""
    before = len(fleet.broker.sent)
    fleet.app.relay.relay()
    return [job for job, _, _ in fleet.broker.sent[before:]]


def doctor(fleet: SteppedFleet) -> HealthFinding:
    """What the doctor says of the limits."""
    (found,) = [finding for finding in examined(fleet.app) if finding.check == "limits"]
    return found


def test_without_limits_everybody_begins(limited: Made) -> None:
    """A fresh fleet holds nothing back."""
    fleet = limited()
    assert [tried(fleet, job) for job in enqueued(fleet, 8, repository="local:shop")] == ["won"] * 8


def test_fleet_has_no_more_agents_than_it_may(limited: Made) -> None:
    """What is beyond the limit waits, and its record says why; no attempt is counted."""
    fleet = limited(agents_at_once=2)
    first, second, third = enqueued(fleet, 3)
    assert [tried(fleet, job) for job in (first, second, third)] == ["won", "won", ClaimRefusal.FULL]
    held = fleet.app.jobs.find(third)
    assert (held.state, held.attempts, held.fence) == (JobState.QUEUED, 0, 0)
    assert "job.agents_at_once" in held.reason
    assert [event.subject for event in fleet.events("job.held")] == [third]
    assert fleet.app.job_store.depths()["queued"] == 1


def test_held_job_is_published_when_there_is_room(limited: Made) -> None:
    """Not before: the sweep leaves it alone as long as nobody could claim it."""
    fleet = limited(agents_at_once=1)
    first, second = enqueued(fleet, 2)
    claim = fleet.claim(first)
    assert tried(fleet, second) == ClaimRefusal.FULL
    fleet.clock.forward(20)
    assert published(fleet) == []
    finish(fleet, claim)
    assert published(fleet) == [second]
    assert published(fleet) == []
    assert tried(fleet, second) == "won"
    assert fleet.app.jobs.find(second).reason == ""


def test_repository_has_no_more_agents_than_it_may(limited: Made) -> None:
    """One repository's limit keeps out its own jobs, and nobody else's."""
    fleet = limited(per_repository=1)
    here = enqueued(fleet, 2, repository="local:shop")
    there = enqueued(fleet, 1, repository="local:shop2")
    nowhere = enqueued(fleet, 2)
    assert [tried(fleet, job) for job in (*here, *there, *nowhere)] == [
        "won",
        ClaimRefusal.FULL,
        "won",
        "won",
        "won",
    ]
    assert "job.per_repository" in fleet.app.jobs.find(here[1]).reason


@pytest.mark.parametrize("other", ["local:sho", "local:shoq", "local:shop2", "zzz"])
def test_other_repositories_do_not_count(limited: Made, other: str) -> None:
    """Whatever their names: longer, shorter, or after it in the alphabet."""
    fleet = limited(per_repository=1)
    there, here = (fleet.enqueue(repository=name).job for name in (other, "local:shop"))
    assert [tried(fleet, job) for job in (there, here)] == ["won", "won"]


@pytest.mark.parametrize("leave", ["end", "push", "retry", "give back", "reap"])
def test_every_way_out_makes_room(limited: Made, leave: str) -> None:
    """However a job stops running, its place in fleet and repository is free."""
    fleet = limited(agents_at_once=1, per_repository=1, back_off_first_seconds=1)
    first, second = enqueued(fleet, 2, repository="local:shop")
    claim, result = fleet.claim(first), JobResult(commit="4be1")
    jobs = fleet.app.jobs
    ways: dict[str, Callable[[], object]] = {
        "end": lambda: finish(fleet, claim),
        "push": lambda: jobs.pushed(claim, result),
        "retry": lambda: fail_attempt(jobs, claim, result=result),
        "give back": lambda: jobs.give_back(claim, UNCOUNTED, reason="x"),
        "reap": lambda: jobs.reap(at=fleet.clock()),
    }
    assert tried(fleet, second) == ClaimRefusal.FULL
    if leave == "reap":
        fleet.clock.forward(31)
    ways[leave]()
    assert fleet.redis.zcard(fleet.app.keys("at_work")) == 0
    assert tried(fleet, second) == "won"


def test_lost_worker_does_not_keep_its_place(limited: Made) -> None:
    """A lease that ran out counts no more, before anybody has put its job back."""
    fleet = limited(agents_at_once=1, per_repository=1)
    first, second = enqueued(fleet, 2, repository="local:shop")
    fleet.claim(first, lease_seconds=30)
    assert tried(fleet, second) == ClaimRefusal.FULL
    fleet.clock.forward(31)
    assert tried(fleet, second) == "won"


def test_place_of_a_job_that_is_gone_is_taken_back(limited: Made) -> None:
    """The leases are the truth: what else was left behind keeps nobody out."""
    fleet = limited(per_repository=1)
    first, second = enqueued(fleet, 2, repository="local:shop")
    fleet.claim(first)
    fleet.redis.zrem(fleet.app.keys("leases"), first)
    assert tried(fleet, second) == "won"
    assert len(fleet.redis.zrange(fleet.app.keys("at_work"), 0, -1)) == 1


def test_oldest_comes_first(limited: Made) -> None:
    """A newer job does not take the place for which an older one waits; then they go in order."""
    fleet = limited(agents_at_once=1)
    first, second, third = enqueued(fleet, 3)
    claim = fleet.claim(first)
    assert tried(fleet, second) == ClaimRefusal.FULL
    finish(fleet, claim)
    assert tried(fleet, third) == ClaimRefusal.FULL
    assert "turn" in fleet.app.jobs.find(third).reason
    assert published(fleet) == [second]
    finish(fleet, fleet.claim(second))
    assert published(fleet) == [third]


def test_those_who_cannot_begin_anyway_keep_nobody_waiting(limited: Made) -> None:
    """Jobs that wait for their repository do not hold up other repositories."""
    fleet = limited(agents_at_once=3, per_repository=1)
    here = enqueued(fleet, 3, repository="local:shop")
    assert [tried(fleet, job) for job in here] == ["won", ClaimRefusal.FULL, ClaimRefusal.FULL]
    (there,) = enqueued(fleet, 1, repository="local:tower")
    assert tried(fleet, there) == "won"
    assert published(fleet) == []


def test_room_for_two_is_given_to_two(limited: Made) -> None:
    """The sweep publishes as many as there is room for, the longest waiting first."""
    fleet = limited(agents_at_once=2)
    jobs = enqueued(fleet, 6)
    claims = [fleet.claim(job) for job in jobs[:2]]
    assert [tried(fleet, job) for job in reversed(jobs[2:])] == [ClaimRefusal.FULL] * 4
    for claim in claims:
        finish(fleet, claim)
    assert published(fleet) == jobs[2:4]


def test_room_in_a_repository_is_given_to_one(limited: Made) -> None:
    """Of those that wait for the same repository, the sweep publishes no more than can begin there."""
    fleet = limited(per_repository=1)
    jobs = enqueued(fleet, 3, repository="local:shop")
    claim = fleet.claim(jobs[0])
    assert [tried(fleet, job) for job in jobs[1:]] == [ClaimRefusal.FULL, ClaimRefusal.FULL]
    finish(fleet, claim)
    assert published(fleet) == [jobs[1]]


def test_held_job_that_is_claimed_is_held_no_more(limited: Made) -> None:
    """A message of it was still on its way: it is not published again, and keeps nobody waiting."""
    fleet = limited(agents_at_once=1)
    first, second, third = enqueued(fleet, 3)
    claim = fleet.claim(first)
    assert tried(fleet, second) == ClaimRefusal.FULL
    finish(fleet, claim)
    again = fleet.claim(second)
    assert fleet.app.job_store.occupancy().held == 0
    finish(fleet, again)
    assert published(fleet) == []
    assert tried(fleet, third) == "won"


def test_raised_limit_lets_everybody_in(limited: Made) -> None:
    """Held jobs go on with the next sweep of workers that were started without limits."""
    fleet = limited(agents_at_once=1)
    jobs = enqueued(fleet, 4)
    fleet.claim(jobs[0])
    assert [tried(fleet, job) for job in jobs[1:]] == [ClaimRefusal.FULL] * 3
    free = SteppedFleet(fleet.redis, clock=fleet.clock)
    assert published(free) == jobs[1:]
    assert [tried(free, job) for job in jobs[1:]] == ["won"] * 3


def test_held_job_can_be_cancelled(limited: Made) -> None:
    """It leaves nothing behind, and nobody waits because of it."""
    fleet = limited(agents_at_once=1)
    first, second, third = enqueued(fleet, 3, repository="local:shop")
    claim = fleet.claim(first)
    assert tried(fleet, second) == ClaimRefusal.FULL
    fleet.app.jobs.cancel(second, by="ada", at=fleet.clock())
    assert fleet.redis.zcard(fleet.app.keys("held")) == 0
    finish(fleet, claim)
    assert tried(fleet, third) == "won"


def test_job_of_a_rejected_version_is_rerouted_before_it_waits(limited: Made) -> None:
    """Held as the champion's, it begins as the champion's."""
    fleet = limited(agents_at_once=1)
    fleet.open(fleet.propose())
    first, second = enqueued(fleet, 2)
    claim = fleet.claim(first)
    assert tried(fleet, second) == ClaimRefusal.FULL
    fleet.app.templates.reject("implementer@v2", by="ada")
    finish(fleet, claim)
    assert published(fleet) == [second]
    assert fleet.claim(second).version.id == "implementer@v1"


def test_no_job_begins_when_the_money_is_spent(limited: Made) -> None:
    """The cost of a job counts when it stops running; the next day is another one."""
    fleet = limited(day_cost_usd=2)
    first, second, third = enqueued(fleet, 3)
    claim = fleet.claim(first)
    fleet.spend(claim, usd=1.5)
    fleet.spend(claim, usd=0.75)
    finish(fleet, claim)
    assert [tried(fleet, job) for job in (second, third)] == [ClaimRefusal.BUDGET, ClaimRefusal.BUDGET]
    assert "job.day_cost_usd" in fleet.app.jobs.find(second).reason
    assert published(fleet) == []
    assert (doctor(fleet).status, "2.25 of 2.00 USD" in doctor(fleet).message) == (Status.WARNING, True)
    fleet.clock.forward(DAY)
    assert doctor(fleet).status is Status.OK
    assert published(fleet) == [second, third]
    assert tried(fleet, second) == "won"


def test_cost_counts_once(limited: Made) -> None:
    """An attempt that is tried again has its cost counted, and only once, in each way to put the job back."""
    fleet = limited(day_cost_usd=100)
    (job,) = enqueued(fleet, 1)
    claim = fleet.claim(job)
    fleet.spend(claim, usd=1.5)
    fail_attempt(fleet.app.jobs, claim)
    fleet.clock.forward(10)
    again = fleet.claim(job)
    fleet.spend(again, usd=0.25)
    fleet.clock.forward(31)
    fleet.app.jobs.reap(at=fleet.clock())
    assert fleet.app.job_store.occupancy().spent_usd == pytest.approx(1.75)
    fleet.end(job, SignalKind.FINISHED)
    assert fleet.app.job_store.occupancy().spent_usd == pytest.approx(1.75)


def test_days_of_the_past_are_forgotten(limited: Made) -> None:
    """The books of a week are kept, and expire when nothing is spent any more."""
    fleet = limited()
    for _ in range(9):
        (job,) = enqueued(fleet, 1)
        claim = fleet.claim(job)
        fleet.spend(claim, usd=1.0)
        finish(fleet, claim)
        fleet.clock.forward(DAY)
    assert fleet.redis.hlen(fleet.app.keys("spent")) == 7
    assert fleet.redis.ttl(fleet.app.keys("spent")) > 0


def test_doctor_tells_of_the_limits(limited: Made) -> None:
    """How many are at work, and how many wait."""
    fleet = limited(agents_at_once=1)
    first, second = enqueued(fleet, 2)
    assert (tried(fleet, first), tried(fleet, second)) == ("won", ClaimRefusal.FULL)
    assert doctor(fleet).message == "1 of 1 agents at work, 1 jobs wait for room"


def test_ten_claims_at_a_limit_of_three(limited: Made) -> None:
    """In any order: three begin, seven wait."""
    fleet = limited(agents_at_once=3)
    jobs = enqueued(fleet, 10)
    server = fleet.redis.connection_pool.connection_kwargs["server"]

    def claim(job: str) -> str:
        with fakeredis.FakeRedis(decode_responses=True, server=server) as client:
            return tried(SteppedFleet(client, clock=fleet.clock, job={"agents_at_once": 3}), job)

    with ThreadPoolExecutor(10) as pool:
        words = sorted(pool.map(claim, jobs))
    assert words == [ClaimRefusal.FULL] * 7 + ["won"] * 3
    assert fleet.app.job_store.occupancy().running == 3


def test_everybody_sees_the_limits_that_are_in_force(fake_redis: redis.Redis) -> None:
    """Those of the fleet's workers: a command asks the fleet, and does not guess from its own settings."""
    working = SteppedFleet(fake_redis, draws=[0.0] * 9, job={"agents_at_once": 3, "day_cost_usd": 1.0})
    looking = SteppedFleet(fake_redis)
    working.add()
    claim = working.claim(working.enqueue().job)
    working.spend(claim, usd=1.0)
    finish(working, claim)
    assert "USD" not in doctor(looking).message, "nobody has said a limit yet"
    working.app.job_store.say_limits()
    found = doctor(looking)
    assert (found.status, "1.00 of 1.00 USD" in found.message) == (Status.WARNING, True)
    assert read_status(looking.app).day_limit_usd == 1.0
    assert read_status(looking.app).reached == ["the fleet: 1.00 of 1.00 USD"]
    fake_redis.set(looking.app.keys("limits"), "{}")
    assert looking.app.job_store.limits_in_force() == looking.app.job_store.limits
