"""Budgets: what a turn, a job, a template, a repository and the fleet may use, in dollars and in tokens."""

from typing import Any

import pytest
import redis

from console.doctor.doctor import fleet as doctor_findings
from console.status.fleet_reading import read_status
from console.status.status_document import status_document
from routing.accounts.budget import Budget
from routing.cost import Cost
from routing.jobs.job import Job
from routing.store.jobs.job_store import ClaimRefusal
from routing.store.sessions.session_store import TurnEnd
from tasks.agents.runtimes.agent_event import Usage
from tasks.agents.turn.limits import JobLimits, TurnLimits
from tests.fleets.stepped_fleet import SteppedFleet
from tests.unit.test_status import shown

DAY = 86_400.0


def made(client: redis.Redis, *tables: Budget, **job: Any) -> SteppedFleet:
    """A fleet with two templates and these budgets."""
    fleet = SteppedFleet(client, draws=[0.0] * 20, budget=tables, job=job)
    fleet.add()
    fleet.add("reviewer")
    return fleet


def use(fleet: SteppedFleet, job: str, *, usd: float = 0.0, tokens: int = 0) -> None:
    """A turn of a job ends that has used this."""
    claim, sessions = fleet.claim(job), fleet.app.sessions
    life = {"role": "builder", "parent": "", "job": job}
    begun = sessions.begin(f"a-{job}", lease_seconds=30, worker="w1", start=life)
    assert isinstance(begun, dict)
    spent = Cost(turns=1, usd=usd, input_tokens=tokens // 2, output_tokens=tokens - tokens // 2)
    end = TurnEnd(
        name=f"a-{job}", fence=int(begun["fence"]), to="between_turns", allowed=["booting", "between_turns"],
        job=job, cost=spent, payer=claim.job.payer, job_fence=claim.fence,
    )  # fmt: skip
    assert sessions.end(end).done


def refusal(fleet: SteppedFleet, **fields: Any) -> object:
    """What the claim of a new job answers."""
    answer = fleet.app.jobs.claim(fleet.enqueue(**fields).job, worker="w1", lease_seconds=30)
    return answer if isinstance(answer, ClaimRefusal) else "won"


def test_a_fleet_has_a_day_in_tokens(redis_client: redis.Redis) -> None:
    """After it no job begins until midnight UTC; then all go on, in their order."""
    fleet = made(redis_client, day_tokens=1000)
    use(fleet, fleet.enqueue().job, tokens=600)
    assert refusal(fleet) == "won"
    use(fleet, fleet.enqueue("reviewer").job, tokens=400)
    job = fleet.enqueue().job
    assert fleet.app.jobs.claim(job, worker="w1", lease_seconds=30) is ClaimRefusal.LIMITED
    held = fleet.app.jobs.find(job)
    assert "budget of the day" in held.reason
    assert held.held_until == (fleet.clock() // DAY + 1) * DAY
    before = len(fleet.broker.sent)
    fleet.app.relay.relay()
    assert len(fleet.broker.sent) == before
    fleet.clock.now = held.held_until or 0.0
    fleet.app.relay.relay()
    assert [sent for sent, *_ in fleet.broker.sent[before:]] == [job]
    assert fleet.claim(job)


@pytest.mark.parametrize("used", [{"usd": 5.0}, {"tokens": 100}])
def test_a_template_has_a_day_of_its_own(redis_client: redis.Redis, used: dict[str, Any]) -> None:
    """In dollars or in tokens; other templates go on."""
    fleet = made(redis_client, Budget(template="implementer", usd_per_day=5.0, tokens_per_day=100))
    use(fleet, fleet.enqueue().job, **used)
    assert refusal(fleet) is ClaimRefusal.LIMITED
    assert refusal(fleet, template="reviewer") == "won"


def test_a_repository_has_a_day_of_its_own(redis_client: redis.Redis) -> None:
    """Whatever template works there; the sums of the day count each turn once."""
    fleet = made(redis_client, Budget(repository="local:shop", tokens_per_day=100))
    use(fleet, fleet.enqueue(repository="local:shop").job, tokens=100)
    assert refusal(fleet, template="reviewer", repository="local:shop") is ClaimRefusal.LIMITED
    assert refusal(fleet, repository="local:bank") == "won"
    (today,) = fleet.app.costs.of_days([fleet.app.costs.today()])
    assert {name: cost.turns for name, cost in today.items()} == {"implementer": 1}


def test_a_job_and_a_turn_have_tokens(redis_client: redis.Redis) -> None:
    """What a job has left bounds its next turn; a person's retry begins anew."""
    fleet = made(redis_client)
    job = fleet.enqueue().job
    use(fleet, job, tokens=700)
    found: Job = fleet.app.jobs.find(job)
    limits = JobLimits(turns=20, tokens=1000)
    assert (found.spent_tokens, limits.reached(found)) == (700, "")
    left = limits.left(TurnLimits(tokens=500), found)
    assert left.tokens == 300
    assert left.is_overspent(Usage(input_tokens=200, output_tokens=101))
    assert not left.is_overspent(Usage(input_tokens=200, output_tokens=100))
    assert "700 tokens of 700" in JobLimits(turns=20, tokens=700).reached(found)


@pytest.mark.parametrize(
    "fields",
    [{}, {"template": "a"}, {"template": "a", "repository": "b", "usd_per_day": 1}, {"usd_per_day": 1}],
)
def test_a_budget_is_of_one_thing_and_limits_it(fields: dict[str, Any]) -> None:
    """A table that does neither is a mistake."""
    with pytest.raises(ValueError, match=r"either a template|limits nothing"):
        Budget(**fields)


def test_people_see_what_is_used_and_what_is_reached(redis_client: redis.Redis) -> None:
    """By the budgets of the fleet's workers, whatever the environment of who looks says."""
    tables = (
        Budget(template="reviewer", tokens_per_day=400), Budget(repository="local:shop", usd_per_day=2.0),
    )  # fmt: skip
    fleet = made(redis_client, *tables, day_tokens=5000)
    fleet.app.job_store.say_limits()
    use(fleet, fleet.enqueue("reviewer").job, tokens=400, usd=0.5)
    looking = SteppedFleet(redis_client)
    looking.clock.now = fleet.clock.now
    status = read_status(looking.app)
    assert [str(each) for each in status.budgets] == [
        "the fleet: 400 of 5,000 tokens",
        "reviewer: 400 of 400 tokens",
        "local:shop: 0.00 of 2.00 USD",
    ]
    assert status.reached == ["reviewer: 400 of 400 tokens"]
    assert status_document(status)["limits_reached"] == status.reached
    said = " ".join(shown(looking, width=200).split())
    assert "The day's limit is reached: reviewer: 400 of 400 tokens. No job of it begins" in said
    (limits,) = [found for found in doctor_findings(looking.app) if found.check == "limits"]
    assert "no job of reviewer begins" in limits.message
