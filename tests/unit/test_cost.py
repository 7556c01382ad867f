"""What turns cost: every turn counts, in all sums at once, and what nobody said stays unknown."""

from dataclasses import asdict

import pytest
import redis

from routing.cost import Cost
from routing.jobs.retry import UNCOUNTED
from routing.store.jobs.record import parsed_job
from tasks.agents.runtimes.agent_event import Usage
from tasks.agents.session.record import SessionRecord, billed_fields
from tests.fleets.stepped_fleet import SteppedFleet, fail_attempt

DAY = 86_400.0


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A fleet with an open trial; its first draw is the canary's, the others are the champion's."""
    made = SteppedFleet(redis_client, draws=[0.1, *[0.9] * 20])
    made.on_trial()
    return made


def test_a_turn_is_in_the_sums_of_job_version_arm_and_day(fleet: SteppedFleet) -> None:
    """Each has its dollars, tokens, turns and time after the same step."""
    canary, champion = fleet.enqueue().job, fleet.enqueue().job
    for job, usd in ((canary, 0.5), (champion, 0.25)):
        claim = fleet.claim(job)
        fleet.spend(claim, usd=usd, seconds=60)
        fleet.spend(claim, usd=usd, seconds=30)
    found = fleet.app.jobs.find(canary)
    assert found.cost == Cost(turns=2, usd=1.0, seconds=90)
    costs = fleet.app.costs
    assert costs.of_versions("implementer") == {
        "v1": Cost(turns=2, usd=0.5, seconds=90), "v2": Cost(turns=2, usd=1.0, seconds=90),
    }  # fmt: skip
    assert costs.of_arms([found.trial]) == [
        {"canary": Cost(turns=2, usd=1.0, seconds=90), "champion": Cost(turns=2, usd=0.5, seconds=90)}
    ]
    assert costs.of_days([costs.today()]) == [{"implementer": Cost(turns=4, usd=1.5, seconds=180)}]


def test_what_nobody_said_is_unknown(fleet: SteppedFleet) -> None:
    """A turn without dollars is counted as one that is not known, and its tokens are kept."""
    claim = fleet.claim(fleet.enqueue().job)
    fleet.spend(claim, usd=None)
    cost = fleet.app.jobs.find(claim.job.id).cost
    assert (cost.known_usd, cost.unknown, cost.turns) == (None, 1, 1)
    fleet.spend(claim, usd=0.5)
    cost = fleet.app.jobs.find(claim.job.id).cost
    assert (cost.known_usd, cost.is_whole, cost.unknown) == (0.5, False, 1)
    known = fleet.claim(fleet.enqueue().job)
    fleet.spend(known, usd=0.0)
    cost = fleet.app.jobs.find(known.job.id).cost
    assert (cost.known_usd, cost.is_whole) == (0.0, True)


def test_a_day_has_its_own_sum(fleet: SteppedFleet) -> None:
    """What ends tomorrow is in tomorrow's sum, and the sums of a day expire."""
    costs, today = fleet.app.costs, fleet.app.costs.today()
    claim = fleet.claim(fleet.enqueue().job, lease_seconds=2 * DAY)
    fleet.spend(claim, usd=1.0)
    fleet.clock.forward(DAY)
    fleet.spend(claim, usd=2.0)
    assert [sums["implementer"].usd for sums in costs.of_days([today, today + 1])] == [1.0, 2.0]
    assert fleet.redis.ttl(fleet.app.keys.day_costs(today)) > 0


def test_retries_keep_what_was_paid(fleet: SteppedFleet) -> None:
    """Attempts of a job, and its turns after a person's retry, are all in what it cost."""
    job = fleet.enqueue().job
    for usd in (0.5, 0.25, 0.125):
        claim = fleet.claim(job)
        fleet.spend(claim, usd=usd)
        fail_attempt(fleet.app.jobs, claim)
        fleet.clock.forward(1000)
    assert fleet.app.jobs.find(job).state == "failed"
    fleet.app.jobs.retry(job, by="ada")
    claim = fleet.claim(job)
    fleet.spend(claim, usd=1.0)
    found = fleet.app.jobs.find(job)
    assert (found.cost.usd, found.cost.turns, found.spent_usd) == (1.875, 4, 1.0)


def test_a_turn_of_a_job_that_is_gone_still_counts(fleet: SteppedFleet) -> None:
    """It was paid for; the job's record is not made again."""
    claim = fleet.claim(fleet.enqueue().job)
    fleet.redis.delete(fleet.app.keys.job(claim.job.id))
    fleet.spend(claim, usd=0.5)
    assert fleet.app.costs.of_versions("implementer")["v2"].usd == 0.5
    assert not fleet.redis.exists(fleet.app.keys.job(claim.job.id))


def test_a_running_turn_says_what_it_has_cost(fleet: SteppedFleet) -> None:
    """The newest word counts, and only while its turn holds the job."""
    claim = fleet.claim(fleet.enqueue().job)
    log, job = fleet.app.log_store, claim.job
    for usd in (0.25, 0.75):
        log.spend(job.id, job.fence, Usage(cost_usd=usd, input_tokens=10).cost(0.0))
    log.flush()
    (cost,) = log.spending([(job.id, job.fence)])
    assert cost is not None
    assert (cost.usd, cost.input_tokens) == (0.75, 10)
    fleet.app.jobs.give_back(claim, UNCOUNTED, reason="its worker stops")
    again = fleet.claim(job.id)
    assert log.spending([(job.id, again.fence)]) == [None]
    assert fleet.redis.ttl(fleet.app.keys.spending(job.id)) > 0


@pytest.mark.parametrize(
    ("usd", "known", "unknown"), [("0", None, 2), ("0.5", 0.5, 0)], ids=["not said", "said"]
)
def test_a_job_of_an_earlier_release_is_read(
    fleet: SteppedFleet, usd: str, known: float | None, unknown: int
) -> None:
    """That wrote 0 for what it did not know; a turn of this release is added to its turns."""
    claim = fleet.claim(fleet.enqueue().job)
    key = fleet.app.keys.job(claim.job.id)
    old = {"turns": "2", "spent_usd": usd, "spent_seconds": "20", "cost_usd": usd}
    fleet.redis.hset(key, mapping=old)
    found = fleet.app.jobs.find(claim.job.id)
    assert (found.cost.known_usd, found.cost.unknown, found.cost.turns) == (known, unknown, 2)
    assert found.result.cost_usd == known
    fleet.spend(claim, usd=1.0, seconds=10)
    cost = fleet.app.jobs.find(claim.job.id).cost
    assert (cost.turns, cost.usd, cost.unknown, cost.seconds) == (3, float(usd) + 1.0, unknown, 30)


def test_partly_known_dollars_are_said_to_be_so() -> None:
    """A call whose price nobody said leaves a sum that is not whole; one without tokens changes nothing."""
    said, unsaid = Usage(cost_usd=0.5, input_tokens=5), Usage(input_tokens=7, cache_read_tokens=3)
    both = said + unsaid
    assert (both.cost_usd, both.is_partial, both.input_tokens, both.cache_read_tokens) == (0.5, True, 12, 3)
    assert not (said + Usage()).is_partial
    assert (unsaid + unsaid).cost_usd is None
    assert both.cost(1.0).unknown == 1
    assert said.at_least(unsaid).cost_usd == 0.5


def test_what_is_billed_can_be_read_by_earlier_releases() -> None:
    """They know three numbers, and refuse others: those stand in a field of their own."""
    usage = Usage(cost_usd=None, input_tokens=9, output_tokens=1, cache_read_tokens=4)
    fields = billed_fields(usage)
    assert fields["billed"] == '{"cost_usd": 0.0, "input_tokens": 9, "output_tokens": 1}'
    record = {"name": "a", "state": "between_turns", "created_at": "1", "last_activity": "1"}
    read = SessionRecord.parse(record | fields)
    assert asdict(read.billed) | {"cost_usd": None} == asdict(usage)
    assert SessionRecord.parse(record | {"billed": fields["billed"]}).billed.input_tokens == 9


def test_a_record_of_a_later_release_is_read(fleet: SteppedFleet) -> None:
    """Measures that this release does not know are passed over."""
    job = fleet.enqueue().job
    fields = fleet.redis.hgetall(fleet.app.keys.job(job))
    found = parsed_job(job, fields | {"cost:turns": "1", "cost:usd": "0.5", "cost:joules": "7"})
    assert found.cost == Cost(turns=1, usd=0.5)
