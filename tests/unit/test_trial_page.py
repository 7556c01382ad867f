"""The page of a trial: what each verdict needs, its health, its share over time, and its replay."""

import re

import pytest
import redis

from console.pages.pictures.share_plot import share_plot, share_steps
from console.pages.trial_checks import health_lines, verdict_needs
from console.status.fleet_reading import read_open_trials
from harvest.draws.draw_ledger import Dispatched
from harvest.evidence.explanation import ExplainedUnit
from harvest.evidence.policy import TrialPolicy
from routing.jobs.signal import SignalKind
from routing.store.redis.health import Status
from routing.templates.trial import Arm
from tests.fleets.pairs import paired_fleet
from tests.fleets.stepped_fleet import SteppedFleet

POLICY = TrialPolicy(share=0.5, revert_window_seconds=0.0, guardrails=())


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A fleet on trial whose draws take turns."""
    made = SteppedFleet(redis_client, draws=[0.1, 0.9] * 100, policy=POLICY)
    made.on_trial()
    return made


def work(fleet: SteppedFleet, count: int, *, canary: SignalKind, champion: SignalKind) -> None:
    """So many jobs of both arms in turn, and a harvest."""
    for _ in range(count):
        job = fleet.enqueue().job
        fleet.end(job, canary if fleet.app.jobs.find(job).arm is Arm.CANARY else champion)
    fleet.app.harvester.harvest()


def test_a_verdict_says_what_it_still_needs(fleet: SteppedFleet) -> None:
    """At first its evidence alone is missing; a person's hold is another thing that is in its way."""
    work(fleet, 4, canary=SignalKind.FINISHED, champion=SignalKind.FINISHED)
    (status,), _ = read_open_trials(fleet.app, fleet.clock())
    back, on = verdict_needs(status)
    assert [check.done for check in back.checks] == [False, True, True]
    assert [check.done for check in on.checks] == [False, True, True, True]
    assert re.search(r"not worse: [\d.]+ of 20$", on.checks[0].said)
    fleet.app.trials.hold(status.trial, by="Ada", reason="wait")
    work(fleet, 60, canary=SignalKind.AGENT_ERRORED, champion=SignalKind.FINISHED)
    (status,), _ = read_open_trials(fleet.app, fleet.clock())
    back, on = verdict_needs(status)
    assert [check.done for check in back.checks] == [True, True, False]
    assert back.checks[-1].said == "Ada holds it"
    assert not back.is_due
    assert [check.done for check in on.checks[:2]] == [False, False], "who is worse cannot graduate"


def test_every_check_of_its_health_has_its_counts(fleet: SteppedFleet) -> None:
    """Also those that nothing happened to; one that fired holds, until a person lets it go."""
    work(fleet, 80, canary=SignalKind.UNREACHABLE, champion=SignalKind.FINISHED)
    (status,), _ = read_open_trials(fleet.app, fleet.clock())
    draws, exclusions, limits, _ = health_lines(status)
    assert (draws.events, draws.canary, draws.expected, draws.state) == (80, 40, 40.0, Status.OK)
    assert (exclusions.events, exclusions.canary, exclusions.state) == (40, 40, Status.PROBLEM)
    assert (limits.events, limits.state) == (0, Status.OK)
    fleet.app.trials.resume(status.trial, by="ada", reason="the forge was down")
    (status,), _ = read_open_trials(fleet.app, fleet.clock())
    assert health_lines(status)[1].state is Status.WARNING


def test_the_difference_is_drawn_over_jobs(fleet: SteppedFleet) -> None:
    """A band that becomes narrower, a line whose dots lead to jobs, a table of the same; in the API too."""
    assert 'class="band"' not in fleet.web.get("/trials/implementer", Accept="text/html").text
    work(fleet, 60, canary=SignalKind.FINISHED, champion=SignalKind.AGENT_ERRORED)
    page = fleet.web.get("/trials/implementer", Accept="text/html").text
    drawn = re.search(r'<svg class="plot course".*?</svg>', page, re.DOTALL)
    assert drawn is not None
    assert re.search(r'<a href="/jobs/[0-9a-f]{16}" aria-label="after 60: \+1\.00 \[', drawn[0])
    band = re.search(r'class="band" points="([^"]*)"', drawn[0])
    assert band is not None
    heights = [float(point.split(",")[1]) for point in band[1].split()]
    half = len(heights) // 2
    assert heights[:half] == sorted(heights[:half]), "the upper end only falls"
    assert heights[half:] == sorted(heights[half:]), "the lower end only rises; it is drawn from its end"
    rows = fleet.web.get("/trials/implementer?csv=Difference over jobs", Accept="text/html").text.splitlines()
    steps = fleet.web.get("/api/v1/trials/implementer/explanation").json()["difference_over_units"]
    assert len(rows) == len(steps) + 1
    assert (steps[-1]["unit"], steps[-1]["value"], steps[0]["lower"]) == (60, 1.0, -1.0)


def test_arms_say_how_often_their_jobs_were_sent_back(fleet: SteppedFleet) -> None:
    """With how many jobs that was in; to scripts as well."""
    first = fleet.enqueue().job
    fleet.redis.hset(fleet.app.keys.job(first), "fix_forwards", 2)
    arm = fleet.app.jobs.find(first).arm
    work(fleet, 5, canary=SignalKind.FINISHED, champion=SignalKind.FINISHED)
    assert arm is Arm.CANARY
    page = fleet.web.get("/trials/implementer", Accept="text/html").text
    assert re.findall(r'<td class="number">(\d) <small>in (\d)</small>', page) == [("0", "3"), ("2", "3")]
    found = fleet.web.get("/api/v1/trials/implementer/explanation").json()["fix_forwards"]
    assert found == {"champion": {"turns": 0, "jobs": 3}, "canary": {"turns": 2, "jobs": 3}}


def unit(index: int, share: float) -> ExplainedUnit:
    """A job that was drawn with a share."""
    line = Dispatched(
        index=index, job_id=f"{index:016x}", arm=Arm.CHAMPION, share=share, draw=0.99, baseline=0.5
    )
    return ExplainedUnit(dispatched=line, settlement=None, score=None)


def test_the_share_is_drawn_in_steps() -> None:
    """From which job on which share held, with that of the next draw at the end."""
    lines = [unit(number, 0.1 if number < 30 else 0.2) for number in range(40)]
    assert share_steps(lines, 0.4) == [(1, 0.1), (31, 0.2), (41, 0.4)]
    drawn = str(share_plot(lines, 0.4))
    heights = re.findall(r",([\d.]+)", re.search(r'points="([^"]*)"', drawn)[1])  # type: ignore[index]
    assert heights == sorted(heights, key=float, reverse=True), "a larger share is higher"
    assert "0.4 now, 0.1 at first, 2 changes" in drawn
    assert share_plot([], 0.1) == ""


def test_a_replay_is_made_when_it_is_asked_for(fleet: SteppedFleet) -> None:
    """It says identical, and different once the stored state was changed; the API has both states."""
    work(fleet, 6, canary=SignalKind.FINISHED, champion=SignalKind.AGENT_ERRORED)
    page = fleet.web.get("/trials/implementer", Accept="text/html").text
    assert '<a href="/trials/implementer-t1/replay">' in page
    assert "what it takes" in page
    said = fleet.web.get("/trials/implementer-t1/replay", Accept="text/html").text
    assert "identical</span>: the ledger of 6 jobs" in said
    assert fleet.web.get("/api/v1/trials/implementer/replay").json()["same"]
    key = "coalmine:trial:implementer-t1"
    stored = fleet.redis.hget(key, "evidence")
    fleet.redis.hset(key, "evidence", stored.replace('\\"settled\\":3', '\\"settled\\":2'))
    said = fleet.web.get("/trials/implementer-t1/replay", Accept="text/html").text
    assert "different</span>" in said
    assert not fleet.web.get("/api/v1/trials/implementer/replay").json()["same"]


def test_a_replay_of_pairs_is_made_when_it_is_asked_for(redis_client: redis.Redis) -> None:
    """Page and API say it of pairs, and notice a stored state that somebody changed."""
    fleet = paired_fleet(redis_client)
    said = fleet.web.get("/trials/implementer-t1/replay", Accept="text/html").text
    assert "identical</span>: the ledger of 4 pairs" in said
    found = fleet.web.get("/api/v1/trials/implementer/replay").json()
    assert (found["same"], found["stored"]["counts"]["champion_only"]) == (True, 1)
    assert found["stored"]["health"]["late"] == [2]
    key = fleet.app.keys.trial("implementer-t1")
    stored = fleet.redis.hget(key, "evidence")
    fleet.redis.hset(key, "evidence", stored.replace('\\"champion_only\\":1', '\\"champion_only\\":0'))
    assert stored != fleet.redis.hget(key, "evidence")
    assert "different</span>" in fleet.web.get("/trials/implementer-t1/replay", Accept="text/html").text
    assert not fleet.web.get("/api/v1/trials/implementer/replay").json()["same"]
