"""Guardrails as tiles: their state in words, both arms with what they are computed from, and the limit."""

import html
import re

import pytest
import redis

from console.output.trials.guardrail_spending import GuardrailSpending, Spent, spent_of
from console.pages.guardrail_tiles import guardrail_tiles
from console.pages.trial_page import progress
from harvest.evidence.explanation import ExplainedUnit
from harvest.evidence.policy import Guardrail, TrialPolicy
from harvest.pairs.pair_ledger import PairSettlement
from routing.jobs.job import JobResult, JobState
from routing.jobs.signal import SignalKind
from routing.templates.trial import Arm
from tests.fleets.stepped_fleet import SteppedFleet

GUARDED = TrialPolicy(
    share=0.5, revert_window_seconds=0.0,
    guardrails=(
        Guardrail(name="cost_usd", cap=4.0, margin=0.25), Guardrail(name="duration_seconds", cap=600),
    ),
)  # fmt: skip


def spending(evidence: float, champion: Spent, canary: Spent, guardrail: Guardrail) -> GuardrailSpending:
    """A guardrail with a threshold of 20."""
    spent = {Arm.CHAMPION: champion, Arm.CANARY: canary}
    return GuardrailSpending(guardrail=guardrail, evidence=evidence, threshold=20, spent=spent)


@pytest.mark.parametrize(
    ("evidence", "known", "state", "said"),
    [
        (1.0, False, "pending", "nothing is known yet"),
        (1.0, True, "ok", "not shown to spend more"),
        (4.4, True, "ok", "not shown to spend more"),
        (4.5, True, "warning", "evidence grows that it spends more"),
        (20.0, True, "problem", "the canary spends more"),
    ],
)
def test_a_tile_says_its_state_in_words(evidence: float, state: str, said: str, *, known: bool) -> None:
    """Half of the way to the threshold, on its logarithmic scale, is a warning."""
    canary = Spent(total=6.0, jobs=2) if known else Spent()
    found = spending(evidence, Spent(total=3.0, jobs=2), canary, GUARDED.guardrails[0])
    (tile,) = guardrail_tiles([found], progress, unit="job")
    assert (tile.state, tile.said) == (state, said)
    assert tile.arms[1].mean == ("3.00 USD" if known else "-")


@pytest.mark.parametrize(
    ("guardrail", "mean", "counted", "limit"),
    [
        (Guardrail(name="cost_usd", cap=4.0, margin=0.25), "1.50 USD", "3.00 USD in 2 pairs",
         "The canary may spend 1.00 USD more a job; what a job spends counts up to 4.00 USD."),
        (Guardrail(name="tokens", cap=50_000), "2", "3 in 2 pairs",
         "The canary may not spend more than the champion; what a job spends counts up to 50,000."),
        (Guardrail(name="duration_seconds", cap=600), "1.5 s", "3.0 s in 2 pairs",
         "The canary may not spend more than the champion; what a job spends counts up to 10 min."),
        (Guardrail(name="fix_forwards", cap=3), "1.5", "3 in 2 pairs",
         "The canary may not spend more than the champion; what a job spends counts up to 3."),
    ],
)  # fmt: skip
def test_a_tile_has_the_unit_of_its_amount(guardrail: Guardrail, mean: str, counted: str, limit: str) -> None:
    """The mean with its numerator and denominator, and what the test holds the canary to."""
    spent = Spent(total=3.0, jobs=2)
    (tile,) = guardrail_tiles([spending(1.0, spent, spent, guardrail)], progress, unit="pair")
    assert (tile.arms[0].arm, tile.arms[0].mean, tile.arms[0].counted) == ("champion", mean, counted)
    assert tile.limit == limit


def test_the_page_of_a_trial_has_a_tile_for_each(redis_client: redis.Redis) -> None:
    """With the amounts of the jobs that the evidence counts; the explanation of the API has the same."""
    fleet = SteppedFleet(redis_client, draws=[0.1, 0.9] * 60, policy=GUARDED)
    fleet.on_trial()
    for _ in range(40):
        claim = fleet.claim(fleet.enqueue().job)
        is_canary = claim.job.arm is Arm.CANARY
        fleet.spend(claim, usd=3.0 if is_canary else 1.0, seconds=60)
        fact = fleet.fact(SignalKind.FINISHED)
        fleet.app.jobs.end(claim, JobState.SUCCEEDED, reason="", result=JobResult(), signals=[fact])
    fleet.app.harvester.harvest()
    page = html.unescape(fleet.web.get("/trials/implementer-t1", Accept="text/html").text)
    tile = r'<section class="tile guardrail (\w+)" aria-label="([^"]*)">(.*?)</section>'
    tiles = re.findall(tile, page, re.DOTALL)
    assert [(state, name) for state, name, _ in tiles] == [("warning", "Dollars a job"), ("ok", "Time a job")]
    assert "<b>1.00 USD</b> <small>20.00 USD in 20 jobs</small>" in tiles[0][2]
    assert "<b>3.00 USD</b> <small>60.00 USD in 20 jobs</small>" in tiles[0][2]
    found = fleet.web.get("/api/v1/trials/implementer-t1/explanation").json()["guardrails"]
    assert [each["name"] for each in found] == ["cost_usd", "duration_seconds"]
    champion, canary = found[0]["arms"]["champion"], found[0]["arms"]["canary"]
    assert champion == {"total": 20.0, "jobs": 20, "mean": 1.0}
    assert canary == {"total": 60.0, "jobs": 20, "mean": 3.0}


def test_a_pair_counts_when_both_amounts_are_known() -> None:
    """As in the evidence, which compares both halves; what is excluded or open counts nowhere."""

    def pair(champion: dict[str, float], canary: dict[str, float], *, settled: bool = True) -> ExplainedUnit:
        score = 1.0 if settled else None
        found = PairSettlement(
            index=0, kind="settled" if settled else "excluded", champion=score, canary=score,
            champion_spent=champion, canary_spent=canary,
        )  # fmt: skip
        return ExplainedUnit(dispatched=None, settlement=found, score=score)

    lines = [
        pair({"cost_usd": 1.0}, {"cost_usd": 2.5}),
        pair({"cost_usd": 8.0}, {}),
        pair({"cost_usd": 16.0}, {"cost_usd": 16.0}, settled=False),
        ExplainedUnit(dispatched=None, settlement=None, score=None),
    ]
    assert spent_of("cost_usd", lines) == {
        Arm.CHAMPION: Spent(total=1.0, jobs=1),
        Arm.CANARY: Spent(total=2.5, jobs=1),
    }
