"""The price of a change that was merged and not reverted: the ratio, its interval, and what is unknown."""

import random
from collections.abc import Sequence

import pytest
import redis

from console.output.trials.price_words import MEANING, failures_cell, meaning, price_cell, spent_cell
from harvest.evidence.policy import TrialPolicy
from harvest.settling.outcome_price import (
    ChangeEnding,
    OutcomePrice,
    Price,
    PricedJob,
    ending_of,
    measures,
    outcome_price,
)
from harvest.settling.settling import spent
from harvest.trials import outcome_prices
from routing.cost import NO_COST, Cost
from routing.jobs.job import JobResult, JobState
from routing.jobs.signal import SignalKind, handed_over, judgement
from routing.store.judging.judging_store import HandedWork, JudgingClaim
from routing.templates.trial import Arm, Mode
from tasks.settings.settings import JudgeSettings
from tests.fleets.stepped_fleet import SteppedFleet

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


def test_the_interval_ends_where_the_window_begins_to_slide(
    redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each end moves towards the other at every look; once earlier jobs are missing there is none, in words.

    Ends that were computed from the newest jobs alone would go back, and pass the truth sooner or later.
    """
    monkeypatch.setattr(outcome_prices, "LOOKED_AT", 12)
    made = SteppedFleet(redis_client, draws=[0.1, 0.9] * 8)
    made.on_trial()
    found, ends = made.app.outcome_prices, list[tuple[float | None, float | None]]()
    for place in range(16):
        kind = SignalKind.AGENT_ERRORED if place % 4 > 1 else SignalKind.MERGED
        claim = made.claim(made.enqueue().job)
        made.spend(claim, usd=0.75, seconds=60)
        made.clock.forward(60)
        made.app.jobs.end(claim, JobState.SUCCEEDED, reason="", result=JobResult(), signals=[made.fact(kind)])
        made.app.harvester.harvest()
        of_arm = found.of_arms(made.app.trials.find("implementer"))[Arm.CANARY]
        of_version = found.of_versions("implementer")["implementer@v2"]
        for price in (of_arm, of_version):
            assert price.is_cut is (place >= 12)
            if price.is_cut:
                assert {(each.lower, each.upper) for each in price.prices.values()} == {(None, None)}
        ends.append((of_arm.prices["minutes"].lower, of_arm.prices["minutes"].upper))
    lows = [low for low, _ in ends[:12] if low is not None]
    assert lows == sorted(lows)
    assert price_cell(of_arm.prices["usd"], "usd") == "1.50"
    assert "Of canary the earlier jobs are no longer read: there is no interval" in meaning(
        {"canary": of_arm}
    )
    assert meaning({"canary": priced(job(ChangeEnding.KEPT))}) == MEANING


def test_a_record_that_has_expired_ends_the_interval(fleet: SteppedFleet) -> None:
    """Of its version and of its trial, whatever else of them is read."""
    prices, trial = fleet.app.outcome_prices, fleet.app.trials.find("implementer")
    assert not prices.of_versions("implementer")["implementer@v2"].is_cut
    gone = next(each for each in fleet.app.jobs.newest(most=9) if each.version_id == "implementer@v2")
    fleet.redis.delete(fleet.app.keys.job(gone.id))
    fleet.redis.zrem(fleet.app.keys("jobs"), gone.id)
    found = prices.of_versions("implementer")
    assert (found["implementer@v1"].is_cut, found["implementer@v2"].is_cut) == (False, True)
    assert all(price.is_cut for price in prices.of_arms(trial).values())
    assert found["implementer@v2"].document()["is_cut"] is True


@pytest.mark.long
def test_a_sliding_window_would_pass_the_truth() -> None:
    """Why there is no interval then: its lower end, of the newest 200 jobs alone, gets beyond the price."""
    passed = 0
    for seed in range(8):
        jobs = many(seed, 1500)
        for newest in range(200, 1501, 20):
            window = jobs[newest - 200 : newest]
            assert outcome_price(window, MEASURES[:1], is_cut=True).prices["usd"].lower is None
            wrong = (outcome_price(window, MEASURES[:1]).prices["usd"].lower or 0.0) > 1.5
            if wrong:
                passed += 1
                break
    assert passed >= 4


def pair_of(
    made: SteppedFleet, *, champion_score: float, canary_score: float, usd: float | None = 0.5
) -> None:
    """Both hand work over for `usd` and are judged; the champion spends more, and its work is not taken."""
    champion = made.app.jobs.find(made.enqueue(repository="shop").job)
    halves = made.claim(champion.id), made.claim(champion.partner)
    for claim in halves:
        made.spend(claim, usd=usd, seconds=60)
        work = HandedWork(
            commit="a" * 40, neutral="b" * 40, base_branch="main", base_commit="c" * 40, bundle=""
        )  # fmt: skip
        fact = handed_over(at=made.clock(), commit="a" * 40)
        made.app.judging.hand_over(claim.job, fact, work)
    made.app.harvester.harvest()
    claimed = made.app.judging.claim(made.app.judging.take()[0], lease_seconds=30, worker="w1")
    assert isinstance(claimed, JudgingClaim)
    scores = {Arm.CHAMPION: champion_score, Arm.CANARY: canary_score}
    words = {
        arm: judgement(at=made.clock(), commit="a" * 40, value=value, note="by its tests", place=1)
        for arm, value in scores.items()
    }
    made.app.judging.end(claimed, words)
    made.clock.forward(60)
    made.spend(halves[0], usd=4.0)
    made.app.jobs.end(
        halves[0], JobState.ESCALATED, reason="its request was closed", result=JobResult(),
        signals=[made.fact(SignalKind.CLOSED_UNMERGED)],
    )  # fmt: skip
    made.app.harvester.harvest()


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """Two canary jobs and two of the champion, settled and paid for."""
    made = SteppedFleet(redis_client, draws=[0.1, 0.9] * 3)
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
    client = fleet.web
    document = client.get("/api/v1/trials/implementer").json()
    price = document["arms"]["canary"]["price"]
    assert (price["changes"], price["settled"], price["usd"]["spent"]) == (1, 2, 1.5)
    assert price["usd"]["on_failures"] == 0.5
    assert "1.50 USD / 1" in client.get("/trials/implementer", Accept="text/html").text
    assert 'coalmine_trial_change_usd{arm="canary",template="implementer"} 1.5' in client.get("/metrics").text


def test_a_version_shows_its_price_on_pages_and_in_metrics(fleet: SteppedFleet) -> None:
    """As `version cost` has it: numerator, denominator, and what failures took; of a version, not a trial."""
    client = fleet.web
    document = client.get("/api/v1/versions/implementer@v2").json()
    expected = fleet.app.outcome_prices.of_versions("implementer")["implementer@v2"].document()
    assert document["price"] == expected
    assert (expected["changes"], expected["settled"], expected["usd"]["on_failures"]) == (1, 2, 0.5)
    versions = client.get("/api/v1/templates/implementer").json()["versions"]
    assert versions[1]["price"] == expected
    for path in ("/versions/implementer@v2", "/templates/implementer"):
        page = client.get(path, Accept="text/html").text
        assert "1.50 USD / 1" in page, path
        assert "1 of 2" in page, path
        assert page.count(">50%<") == (1 if "versions" in path else 2), path
    text = client.get("/metrics").text
    for arm in ("champion", "canary"):
        labels = f'{{arm="{arm}",template="implementer"}}'
        assert f"coalmine_change_usd{labels} 1.5" in text
        assert f"coalmine_change_seconds{labels} 120" in text
        assert f"coalmine_change_failed_share{labels} 0.5" in text
        assert f"coalmine_changes{labels} 1" in text
    fleet.app.trials.stop(fleet.app.trials.find("implementer"), by="ada")
    assert 'coalmine_change_usd{arm="canary"' not in client.get("/metrics").text, "it is on no trial"


def test_pages_do_not_compute_a_price_again_at_every_look(fleet: SteppedFleet) -> None:
    """Nor does a scrape; after a while they do, as facts come later."""
    prices = fleet.app.outcome_prices
    before = prices.lately("implementer")
    claim = fleet.claim(fleet.enqueue(repository="local:shop").job)
    fleet.spend(claim, usd=0.75, seconds=60)
    assert prices.lately("implementer") is before
    fleet.clock.forward(outcome_prices.LATELY_SECONDS)
    assert prices.lately("implementer") == prices.of_versions("implementer") != before


def test_the_price_of_pairs_is_by_the_judge_for_both_arms(redis_client: redis.Redis) -> None:
    """What became of the champion's delivered work says nothing, nor what it cost after its hand-over."""
    made = SteppedFleet(
        redis_client, draws=[0.75] * 20, judge=JudgeSettings(command="true"),
        policy=TrialPolicy(mode=Mode.SHADOW, revert_window_seconds=0.0),
    )  # fmt: skip
    made.on_trial()
    for champion_score in (1.0, 1.0, 0.0):
        pair_of(made, champion_score=champion_score, canary_score=1.0)
    champion, canary = (
        made.app.outcome_prices.of_arms(made.app.trials.find("implementer"))[arm]
        for arm in (Arm.CHAMPION, Arm.CANARY)
    )
    assert (champion.jobs[ChangeEnding.KEPT], champion.jobs[ChangeEnding.FAILED]) == (2, 1)
    assert (canary.jobs[ChangeEnding.KEPT], canary.settled) == (3, 3)
    assert (champion.prices["usd"].spent, canary.prices["usd"].spent) == (1.5, 1.5)
    assert (champion.prices["usd"].each, canary.prices["usd"].each) == (0.75, 0.5)


def test_pairs_that_cost_nothing_are_not_unknown(redis_client: redis.Redis) -> None:
    """A model of one's own may cost 0 dollars; a line of before may have a 0 that nobody said."""
    made = SteppedFleet(
        redis_client, draws=[0.75] * 20, judge=JudgeSettings(command="true"),
        policy=TrialPolicy(mode=Mode.SHADOW, revert_window_seconds=0.0),
    )  # fmt: skip
    trial = made.on_trial()
    for usd in (0.0, 0.0, None):
        pair_of(made, champion_score=1.0, canary_score=1.0, usd=usd)

    def canary(reader: SteppedFleet) -> Price:
        found = reader.app.outcome_prices.of_arms(reader.app.trials.find("implementer"))
        return found[Arm.CANARY].prices["usd"]

    assert (canary(made).spent, canary(made).each, canary(made).whole) == (0.0, 0.0, False)
    key = made.app.keys.settlements(trial.id)
    for place, line in enumerate(made.redis.lrange(key, 0, -1)):
        made.redis.lset(key, place, line.replace('"v":2', '"v":1'))
    later = canary(SteppedFleet(redis_client))
    assert (later.spent, price_cell(later, "usd")) == (None, "?")


def test_metrics_have_no_price_of_which_a_part_is_unknown(fleet: SteppedFleet) -> None:
    """The known part alone would look like the price; of the other arm all is known."""
    name = fleet.app.keys.job(
        next(each.id for each in fleet.app.jobs.newest(most=9) if each.version_id == "implementer@v2")
    )
    fleet.redis.hincrby(name, "cost:unknown", 1)
    text = fleet.web.get("/metrics").text
    assert 'coalmine_trial_change_usd{arm="canary"' not in text
    assert 'coalmine_change_usd{arm="canary"' not in text
    assert 'coalmine_change_seconds{arm="canary",template="implementer"} 120' in text
    assert 'coalmine_change_failed_share{arm="canary"' not in text, "of these dollars a part is unknown too"
    assert 'coalmine_trial_change_usd{arm="champion",template="implementer"} 1.5' in text


def test_a_guardrail_leaves_out_a_job_whose_dollars_are_unknown(fleet: SteppedFleet) -> None:
    """A program that says no dollars does not look free; its tokens count all the same."""
    claim = fleet.claim(fleet.enqueue().job)
    fleet.spend(claim, usd=None, seconds=60)
    found = fleet.app.jobs.find(claim.job.id)
    assert found.cost != NO_COST
    assert "cost_usd" not in spent(found)
    assert spent(found)["duration_seconds"] == 60
