"""How jobs ended, hour by hour: counted in the step that ends a job, and drawn as bars."""

import re

import pytest
import redis

from console.decisions.job_decisions import cancel_job, retry_job
from console.pages.pictures.drawing import even_steps
from console.pages.pictures.outcome_bars import PATTERNS, outcome_bars
from harvest.evidence.policy import TrialPolicy
from routing.jobs.job import JobState
from routing.jobs.signal import SignalKind
from routing.store.jobs.outcome_store import ENDS, HOURS, HourOutcomes
from routing.templates.trial import Mode
from tasks.settings.settings import JudgeSettings
from tests.fleets.stepped_fleet import SteppedFleet

SUCCEEDED, ESCALATED, CANCELLED = JobState.SUCCEEDED, JobState.ESCALATED, JobState.CANCELLED


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A fleet with one template, at the beginning of an hour."""
    made = SteppedFleet(redis_client)
    made.clock.now -= made.clock.now % 3600
    made.add()
    return made


def ended(fleet: SteppedFleet, hours: int = 24) -> list[dict[JobState, int]]:
    """What each of the last hours counts, the last first, without zeros."""
    found = reversed(fleet.app.outcomes.lately(hours))
    return [{state: count for state, count in hour.ended.items() if count} for hour in found]


def test_each_end_counts_in_its_hour(fleet: SteppedFleet) -> None:
    """Also of a job that never ran; one that is tried again counts when it ends again."""
    fleet.end(fleet.enqueue().job)
    fleet.clock.forward(3600)
    failed = fleet.enqueue().job
    fleet.end(failed, SignalKind.AGENT_ERRORED)
    cancel_job(fleet.app, fleet.enqueue().job, by="ada")
    assert ended(fleet, 3) == [{ESCALATED: 1, CANCELLED: 1}, {SUCCEEDED: 1}, {}]
    fleet.clock.forward(2 * 3600)
    retry_job(fleet.app, failed, by="ada")
    fleet.end(failed)
    assert ended(fleet, 4) == [{SUCCEEDED: 1}, {}, {ESCALATED: 1, CANCELLED: 1}, {SUCCEEDED: 1}]


def test_the_counts_never_grow(fleet: SteppedFleet) -> None:
    """An hour takes the place of the one two days before it, whose counts are gone; idle hours are empty."""
    sizes = set()
    for number in range(2 * HOURS + 3):
        kind = SignalKind.FINISHED if number % 2 else SignalKind.AGENT_ERRORED
        fleet.end(fleet.enqueue().job, kind)
        sizes.add(fleet.redis.hlen("coalmine:outcomes"))
        fleet.clock.forward(3600)
    assert max(sizes) == 2 * HOURS
    assert ended(fleet, 3) == [{}, {ESCALATED: 1}, {SUCCEEDED: 1}]
    fleet.clock.forward(HOURS * 3600)
    assert not any(ended(fleet, HOURS))
    assert 0 < fleet.redis.ttl("coalmine:outcomes") <= HOURS * 3600


def test_shadows_are_not_counted(redis_client: redis.Redis) -> None:
    """Their work is judged and delivered to nobody; its pair's other job counts."""
    policy, judge = TrialPolicy(mode=Mode.SHADOW), JudgeSettings(command="true")
    fleet = SteppedFleet(redis_client, policy=policy, draws=[0.1, 0.1], judge=judge)
    fleet.on_trial()
    fleet.enqueue(repository="shop")
    pair = fleet.app.jobs.newest(most=2)
    assert sorted(job.shadow for job in pair) == [False, True]
    for job in pair:
        fleet.end(job.id)
    assert ended(fleet, 1) == [{SUCCEEDED: 1}]


def hour(begins_at: int = 0, **counts: int) -> HourOutcomes:
    """An hour with so many ends of each state."""
    return HourOutcomes(begins_at=begins_at, ended={state: counts.get(state.value, 0) for state in ENDS})


def test_bars_are_as_high_as_the_numbers() -> None:
    """One part a state, stacked without a gap; its title says the number, and states differ by pattern."""
    drawn = str(outcome_bars([hour(succeeded=3, failed=1), hour(3600), hour(7200, succeeded=4)]))
    parts = re.findall(
        r'class="part (\w+)" x="([\d.]+)" y="([\d.]+)" width="[\d.]+" height="([\d.]+)"', drawn
    )
    (first, x, top, high), (second, same_x, above, low), (_, _, level, _) = parts
    assert (first, second, x == same_x) == ("succeeded", "failed", True)
    assert float(high) == pytest.approx(3 * float(low), abs=0.3)
    assert float(above) + float(low) == pytest.approx(float(top), abs=0.2)
    assert level == above
    assert "00:00 UTC: 3 succeeded of 4" in drawn
    assert "Jobs that ended in the last 3 hours: 7 succeeded, 1 failed" in drawn
    assert set(PATTERNS) == set(ENDS)
    assert len(set(PATTERNS.values())) == len(PATTERNS)


def test_no_bars_are_drawn_for_nothing() -> None:
    """The page says in words that no job ended."""
    assert outcome_bars([hour(), hour(3600)]) == ""
    assert outcome_bars([]) == ""


@pytest.mark.parametrize(
    ("most", "steps"), [(1, [0, 1]), (3, [0, 1, 2, 3]), (7, [0, 2, 4, 6, 8]), (100, [0, 50, 100])]
)
def test_marks_of_an_axis_are_round(most: int, steps: list[int]) -> None:
    """And the last is not below the largest value."""
    assert even_steps(most) == steps


def test_the_first_page_has_bars_and_table(fleet: SteppedFleet) -> None:
    """And the API the same numbers."""
    assert "No job ended in the last 24 hours" in fleet.web.get("/", Accept="text/html").text
    fleet.end(fleet.enqueue().job)
    page = fleet.web.get("/", Accept="text/html").text
    assert 'class="plot bars"' in page
    table = fleet.web.get("/?csv=Outcomes", Accept="text/html").text.splitlines()
    assert table[0] == "hour (UTC),succeeded,escalated,failed,blocked,cancelled"
    assert [line.partition(",")[2] for line in table[1:]] == ["1,0,0,0,0"]
    hours = fleet.web.get("/api/v1/status").json()["outcomes"]
    assert len(hours) == 24
    assert hours[-1] == {"hour": hours[-1]["hour"], "succeeded": 1, "failed": 0, "blocked": 0, "cancelled": 0,
                         "escalated": 0}  # fmt: skip
