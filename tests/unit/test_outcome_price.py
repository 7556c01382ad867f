"""The price of a change that was merged and not reverted: the ratio, its interval, and what is unknown."""

import random
from collections.abc import Sequence

import pytest
import redis

from console.output.trials.price_words import failures_cell, price_cell, spent_cell
from console.web.app import web_of
from harvest.settling.outcome_price import (
    ChangeEnding,
    OutcomePrice,
    PricedJob,
    ending_of,
    measures,
    outcome_price,
)
from harvest.settling.settling import spent
from routing.cost import NO_COST, Cost
from routing.jobs.job import JobResult, JobState
from routing.jobs.signal import SignalKind
from routing.templates.trial import Arm
from tests.fleets.stepped_fleet import SteppedFleet
from tests.servers.web_client import WebClient

MEASURES = measures(most_usd=5.0, most_tokens=1e6, most_minutes=60)


def job(
    ending: ChangeEnding, usd: float | None = 0.5, *, tokens: int = 1000, minutes: float = 6.0
) -> PricedJob:
    """A job of one turn."""
    cost = Cost(turns=1, usd=usd or 0.0, unknown=int(usd is None), seconds=60 * minutes, input_tokens=tokens)
    return PricedJob(ending=ending, cost=cost)


def priced(*jobs: PricedJob) -> OutcomePrice:
    """In the order of creation."""
    return outcome_price(jobs, MEASURES)


def test_failures_are_paid_by_what_stayed() -> None:
    """Numerator, denominator and the part of failures; what is open or excluded is in neither."""
    found = priced(
        job(ChangeEnding.KEPT, 0.5),
        job(ChangeEnding.FAILED, 1.5),
        job(ChangeEnding.KEPT, 1.0),
        job(ChangeEnding.OPEN, 9.0),
        job(ChangeEnding.EXCLUDED, 9.0),
        job(ChangeEnding.OTHER, 9.0),
    )
    price = found.prices["usd"]
    assert (price.spent, price.each, price.on_failures) == (3.0, 1.5, 0.5)
    assert (found.settled, found.jobs[ChangeEnding.KEPT]) == (3, 2)
    assert found.prices["tokens"].each == 1500
    assert found.prices["minutes"].each == pytest.approx(9.0)
    assert (spent_cell(found), failures_cell(found)) == ("3.00 USD / 2", "50%")


def test_unknown_is_said_and_never_zero() -> None:
    """Without any dollars all of it is null; with some the price is a floor, and has no upper end."""
    nothing = priced(*[job(ChangeEnding.KEPT, None, tokens=0)] * 5)
    assert nothing.prices["usd"].spent is None
    assert nothing.prices["tokens"].spent is None
    assert price_cell(nothing.prices["usd"], "usd") == "?"
    assert spent_cell(nothing) == "? / 5"
    some = priced(job(ChangeEnding.KEPT, 0.5), job(ChangeEnding.KEPT, None))
    assert (some.prices["usd"].each, some.prices["usd"].whole) == (0.25, False)
    assert some.prices["usd"].upper is None
    assert price_cell(some.prices["usd"], "usd").startswith("≥ 0.25")


def test_no_change_has_no_price() -> None:
    """But a floor, once enough was spent for nothing; before any job there is neither."""
    found = priced(*[job(ChangeEnding.FAILED, 1.0)] * 30)
    assert (found.prices["usd"].each, found.prices["usd"].upper) == (None, None)
    assert found.prices["usd"].lower is not None
    assert price_cell(found.prices["usd"], "usd").startswith("at least")
    assert price_cell(priced().prices["usd"], "usd") in {"-", "?"}


def test_a_job_dearer_than_the_limit_leaves_no_upper_end() -> None:
    """Its promise is for costs up to the limit."""
    found = priced(*[job(ChangeEnding.KEPT, 0.5)] * 200, job(ChangeEnding.KEPT, 6.0))
    assert found.prices["usd"].upper is None
    assert priced(*[job(ChangeEnding.KEPT, 0.5)] * 200).prices["usd"].upper is not None


def many(seed: int, jobs: int = 150) -> Sequence[PricedJob]:
    """Half of the jobs stay; failures cost twice as much. The true price is 0.5 + 1.0 = 1.5 USD."""
    generator = random.Random(seed)
    found = []
    for _ in range(jobs):
        kept = generator.random() < 0.5
        usd = generator.expovariate(1.0 if kept else 0.5) * 0.5
        found.append(job(ChangeEnding.KEPT if kept else ChangeEnding.FAILED, min(usd, 5.0)))
    return found


def test_the_interval_holds_at_every_look_and_only_narrows() -> None:
    """Of forty runs hardly one has an end that ever passes the truth; open jobs count at their worst."""
    wrong = 0
    for seed in range(40):
        jobs = many(seed)
        price = outcome_price(jobs, MEASURES[:1]).prices["usd"]
        assert price.lower is not None
        assert price.upper is not None
        assert price.lower < price.upper < 4 * price.lower
        wrong += not price.lower <= 1.49 <= price.upper
    assert wrong <= 4
    jobs = many(7)
    before = outcome_price(jobs[:60], MEASURES[:1]).prices["usd"]
    opened = [PricedJob(ending=ChangeEnding.OPEN, cost=each.cost) for each in jobs[60:80]]
    same = outcome_price([*jobs[:60], *opened], MEASURES[:1]).prices["usd"]
    after = outcome_price(jobs, MEASURES[:1]).prices["usd"]
    assert (before.lower, before.upper) == (same.lower, same.upper)
    assert (before.lower or 0.0) <= (after.lower or 0.0)
    assert (after.upper or 0.0) <= (before.upper or 0.0)


@pytest.fixture
def fleet(fake_redis: redis.Redis) -> SteppedFleet:
    """Two canary jobs and two of the champion, settled and paid for."""
    made = SteppedFleet(fake_redis, draws=[0.1, 0.9] * 3)
    made.on_trial()
    for kinds in (
        [SignalKind.MERGED], [SignalKind.MERGED], [SignalKind.MERGED, SignalKind.REVERTED],
        [SignalKind.AGENT_ERRORED],
    ):  # fmt: skip
        claim = made.claim(made.enqueue(repository="local:shop").job)
        made.spend(claim, usd=0.75, seconds=60)
        made.clock.forward(1)
        facts = [made.fact(kind) for kind in kinds]
        made.app.jobs.end(claim, JobState.SUCCEEDED, reason="", result=JobResult(), signals=facts)
    made.clock.forward(10 * 86_400)
    made.app.harvester.harvest()
    return made


def test_a_price_is_of_versions_and_of_arms(fleet: SteppedFleet) -> None:
    """Of the canary one merge stayed and one was reverted; of the champion one stayed and one job failed."""
    prices = fleet.app.outcome_prices
    by_arm = prices.of_arms(fleet.app.trials.find("implementer"))
    for arm in Arm:
        assert by_arm[arm].prices["usd"].each == 1.5
        assert by_arm[arm].jobs[ChangeEnding.KEPT] == by_arm[arm].jobs[ChangeEnding.FAILED] == 1
    assert dict(prices.of_versions("implementer")) == {
        "implementer@v1": by_arm[Arm.CHAMPION], "implementer@v2": by_arm[Arm.CANARY],
    }  # fmt: skip


def test_a_revert_after_the_settlement_takes_the_change_away(fleet: SteppedFleet) -> None:
    """Facts count that came later than the score."""
    kept = next(
        each
        for each in fleet.app.jobs.newest(most=10)
        if ending_of(each, fleet.app.signals.read(each.id)) is ChangeEnding.KEPT
    )
    fleet.app.signals.add(kept.id, [fleet.fact(SignalKind.REVERTED)])
    assert ending_of(kept, fleet.app.signals.read(kept.id)) is ChangeEnding.FAILED


def test_the_trial_shows_the_price_of_both_arms(fleet: SteppedFleet) -> None:
    """On its page and in its JSON."""
    client = WebClient(web_of(fleet.app))
    document = client.get("/api/v1/trials/implementer").json()
    price = document["arms"]["canary"]["price"]
    assert (price["changes"], price["settled"], price["usd"]["spent"]) == (1, 2, 1.5)
    assert price["usd"]["on_failures"] == 0.5
    assert "1.50 USD / 1" in client.get("/trials/implementer", Accept="text/html").text
    assert 'coalmine_trial_change_usd{arm="canary",template="implementer"} 1.5' in client.get("/metrics").text


def test_a_guardrail_leaves_out_a_job_whose_dollars_are_unknown(fleet: SteppedFleet) -> None:
    """A program that says no dollars does not look free; its tokens count all the same."""
    claim = fleet.claim(fleet.enqueue().job)
    fleet.spend(claim, usd=None, seconds=60)
    found = fleet.app.jobs.find(claim.job.id)
    assert found.cost != NO_COST
    assert "cost_usd" not in spent(found)
    assert spent(found)["duration_seconds"] == 60
