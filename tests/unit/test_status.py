"""`coalmine status`: what is read from the stores, and how it looks on a terminal."""

import json
from typing import Any

import pytest
import redis
from rich.console import Console

from console.doctor.doctor import fleet as doctor_findings
from console.doctor.doctor import kill_switch
from console.metrics.metric_list import KILLED
from console.metrics.readings import read_metrics
from console.output.trials.trial_outlook import TrialOutlook
from console.pages.needs import needs_of
from console.status.fleet_reading import read_status
from console.status.status_document import status_document
from console.status.status_view import status_view
from harvest.evidence.policy import TrialPolicy
from harvest.settling.score import Score, ScoreStatus
from routing.backlog.backlog import Backlog
from routing.backlog.settings import BacklogSettings
from routing.jobs.job import JobResult
from routing.jobs.retry import Again
from routing.jobs.signal import SignalKind
from routing.jobs.turn import Hindrance, HindranceKind
from routing.store.redis.health import Status
from tasks.agents.runtimes.agent_event import Usage
from tasks.composition.worker import Worker
from tests.fakes.issues import IssueForge, issue, ref
from tests.fleets.stepped_fleet import START, SteppedFleet
from tests.unit.test_accounts import tried
from tests.unit.test_version_starts import Fleet as StartingFleet
from tests.unit.test_version_starts import turn

#: What an agent says at length.
SAID = "I looked at all of the files and found out what is wrong with the sum"

#: A day and a half: START is a Tuesday, 22:13 UTC.
WINDOW = 129_600.0


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A fleet with an open trial whose merges count after a day and a half; the canary is drawn first."""
    policy = TrialPolicy(share=0.5, revert_window_seconds=WINDOW)
    made = SteppedFleet(redis_client, draws=[0.1, *[0.9] * 20], policy=policy)
    made.on_trial()
    return made


def shown(fleet: SteppedFleet, width: int = 80) -> str:
    """What a terminal of that width shows."""
    console = Console(width=width, color_system=None, force_terminal=True)
    with console.capture() as capture:
        for part in status_view(read_status(fleet.app)):
            console.print(part)
    return capture.get()


def document(fleet: SteppedFleet) -> dict[str, Any]:
    """The status as scripts get it."""
    made: dict[str, Any] = json.loads(json.dumps(status_document(read_status(fleet.app)), allow_nan=False))
    return made


def test_agents_at_work_are_shown_with_their_last_words_and_cost(fleet: SteppedFleet) -> None:
    """Issue, version, arm, since when, what was said last, and what it has cost, with the turn that runs."""
    job = fleet.enqueue(issue="local:shop#3", title="Sum of socks").job
    claim = fleet.claim(job)
    fleet.spend(claim, usd=0.25)
    fleet.app.log_store.say(job, "text", "looking at sum.py")
    fleet.app.log_store.say(job, "tool", "edit sum.py")
    fleet.app.log_store.spend(job, claim.fence, Usage(cost_usd=0.5).cost(0.0))
    fleet.app.log_store.flush()
    fleet.clock.forward(240)
    (agent,) = document(fleet)["agents"]
    assert (agent["issue"], agent["version"], agent["arm"]) == ("local:shop#3", "implementer@v2", "canary")
    assert (agent["last_line"], agent["cost"]["usd"], agent["spending"]["usd"]) == ("edit sum.py", 0.25, 0.5)
    text = shown(fleet, 120)
    assert "1 agent at work" in text
    for words in ("local:shop#3", "Sum of socks", "4 min", "0.75", "edit sum.py"):
        assert words in text
    assert "Spent today: 0.25 USD; 0.50 USD more by turns that run" in text


@pytest.mark.parametrize("is_on", [True, False])
def test_switches_are_shown_as_the_workers_have_them(redis_client: redis.Redis, *, is_on: bool) -> None:
    """By status, doctor and metrics, whatever the environment of who looks says."""
    working = SteppedFleet(redis_client, kill_switch=is_on, enabled=not is_on)
    looking = SteppedFleet(redis_client, kill_switch=not is_on, enabled=is_on)
    SteppedFleet(redis_client).on_trial()
    assert read_status(looking.app).killed is not is_on, "no worker has said anything yet"
    Worker(coalmine=working.app).sweep()
    assert read_status(looking.app).killed is is_on
    found = {finding.check: finding.status for finding in doctor_findings(looking.app)}
    assert kill_switch(looking.app).status is (Status.WARNING if is_on else Status.OK)
    assert found["trials"] is (Status.PROBLEM if is_on else Status.OK)
    (shown_by_metrics,) = (each for each in read_metrics(looking.app) if each.metric is KILLED)
    assert shown_by_metrics.value == is_on
    redis_client.set(looking.app.keys("switches"), "[]")
    assert read_status(looking.app).killed is not is_on, "what another release says"


def test_closed_accounts_are_shown_with_a_countdown(fleet: SteppedFleet) -> None:
    """Nothing is said of them while all are open."""
    assert "Closed accounts" not in shown(fleet)
    fleet.app.breakers.close("claude:a", "*", until=fleet.clock() + 600, words="the bill", by="ada")
    fleet.clock.forward(200)
    (closed,) = document(fleet)["closed_accounts"]
    assert (closed["account"], closed["seconds_left"], closed["words"]) == ("claude:a", 400, "the bill")
    text = shown(fleet, 120)
    for words in ("Closed accounts", "claude:a/*", "in 6 min 40 s", "a person closed it", "the bill"):
        assert words in text


def test_a_version_that_does_not_start_is_not_an_account(redis_client: redis.Redis) -> None:
    """It has a table of its own, and the command that goes on is never cut, however much its agents say."""
    starts = StartingFleet(redis_client)
    fleet, jobs = starts.stepped, starts.jobs(3)
    said = "the model of that name is not known to this program, " * 5
    assert [starts.run(job, turn(output_tail=said)) for job in jobs] == [False, False, True]
    for job in jobs:
        tried(fleet, job)
    assert [each["what"] for each in document(fleet)["held"]] == ["waits"] * 3, "one word for one thing"
    for width in (80, 120):
        text = " ".join(shown(fleet, width).split())
        assert "Closed accounts" not in text
        _, versions = text.split("Versions that do not start")
        assert "implementer@v1" in versions
        assert "3 jobs wait for a version that does not start: `coalmine resume` once" in text
        assert text.count("tries again)") == 3, "each job's reason has its end"
    (need,) = [need for need in needs_of(read_status(fleet.app), [], ()) if need.link == "/accounts"]
    assert need.what.startswith("Agents of implementer@v1 fail as soon as they start")


def test_merged_work_says_when_it_counts(fleet: SteppedFleet) -> None:
    """Each merge counts when its revert window has passed; work without an outcome is counted beside it."""
    jobs = [fleet.enqueue().job for _ in range(3)]
    for job, later in zip(jobs[:2], (0.0, 3600.0), strict=True):
        fleet.clock.now = START + later
        fleet.app.jobs.pushed(fleet.claim(job), JobResult(commit="c1", branch="b"), reason="pushed")
        kinds = (SignalKind.CI_GREEN, SignalKind.MERGED)
        fleet.app.signals.add(job, [fleet.fact(kind, commit="c1") for kind in kinds])
    fleet.app.harvester.harvest()
    (trial,) = document(fleet)["trials"]
    assert trial["outlook"] == {
        "merged": 2,
        "first_counts_at": "2023-11-16T10:13:20.000Z",
        "last_counts_at": "2023-11-16T11:13:20.000Z",
        "working": 1,
    }
    assert "2 merged, they count from Thursday 10:13Z to Thursday 11:13Z; 1 without" in " ".join(
        shown(fleet).split()
    )
    fleet.clock.now = START + WINDOW + 60
    fleet.app.harvester.harvest()
    (trial,) = document(fleet)["trials"]
    assert (trial["arms"]["canary"]["settled"], trial["outlook"]["merged"]) == (1, 1)


def test_what_is_held_is_named_with_its_reason(fleet: SteppedFleet) -> None:
    """A pause, an issue for people, and a job that waits."""
    backlog = Backlog(
        fleet.app.backlog_store, forges={"local": IssueForge()}, settings=BacklogSettings(),
        escalation_label="ready-for-human",
    )  # fmt: skip
    backlog.accept(issue(3, "", labels=["ready-for-human"]), requested_by="ada")
    claim = fleet.claim(fleet.enqueue(issue="local:shop#4", title="Count the hats").job)
    hindrance = Hindrance(
        kind=HindranceKind.UNABLE, since=START, seen_at=START, words="this worker has no secret API_KEY"
    )
    again = Again(wait_seconds=1.0, counts=False)
    fleet.app.jobs.hindered(claim, again, reason="it waits", hindrance=hindrance)
    fleet.app.switch.pause("the forge is being upgraded")
    found = document(fleet)
    assert found["paused"] == "the forge is being upgraded"
    held = {each["name"]: (each["what"], each["why"]) for each in found["held"]}
    assert held["local:shop#4"] == ("unable", "this worker has no secret API_KEY")
    assert held[str(ref(3))][0] == "for a person"
    text = shown(fleet)
    assert "Dispatch is paused: the forge is being upgraded" in text
    assert "coalmine issue resume" in text


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal(fleet: SteppedFleet, width: int) -> None:
    """Columns go, titles end with whole words, and ids stay in one piece."""
    title = "Sum of the socks, with a title that is longer than any terminal that people have"
    job = fleet.enqueue(issue="local:shop#3", title=title).job
    fleet.claim(job)
    fleet.app.log_store.say(job, "text", SAID)
    fleet.app.log_store.flush()
    lines = shown(fleet, width).splitlines()
    assert max(map(len, lines)) <= width
    (row,) = [line for line in lines if line.startswith("local:shop#3")]
    words = {*title.replace(",", " ").split(), *SAID.split()}
    cells = [cell for cell in row.split("  ") if "…" in cell]
    assert cells
    for cell in cells:
        assert {*cell.strip().rstrip("…").replace(",", " ").split()} <= words


@pytest.mark.parametrize(
    ("outlook", "words"),
    [
        (TrialOutlook(), ""),
        (TrialOutlook(working=3), "3 without an outcome yet"),
        (
            TrialOutlook(merged=1, first_counts_at=START, last_counts_at=START),
            "1 merged, it counts from 22:13Z",
        ),
        (
            TrialOutlook(merged=12, first_counts_at=START - 86_400, last_counts_at=START - 86_390, working=1),
            "12 merged, they count from Monday 22:13Z; 1 without an outcome yet",
        ),
    ],
)
def test_outlook_in_words(outlook: TrialOutlook, words: str) -> None:
    """Days of this week by name; one time where all count within a minute."""
    assert outlook.words(START) == words


def test_settled_work_is_not_awaited() -> None:
    """Provisional scores can still be taken away, so they are awaited like merges."""
    scores = [
        Score(status=ScoreStatus.SETTLED, value=1.0, reason="x", until=5.0),
        Score(status=ScoreStatus.EXCLUDED, reason="x"),
        Score(status=ScoreStatus.PROVISIONAL, value=1.0, reason="merged", until=7.0),
        Score(status=ScoreStatus.OPEN, until=9.0),
    ]
    assert TrialOutlook.of(scores) == TrialOutlook(
        merged=1, first_counts_at=7.0, last_counts_at=7.0, working=1
    )


def test_a_fleet_that_nobody_looks_after_says_so(fleet: SteppedFleet) -> None:
    """No sweep, or none for minutes: no worker runs."""
    assert "No worker has looked after this fleet yet." in shown(fleet)
    fleet.app.ticks.beat()
    assert "No worker" not in shown(fleet)
    fleet.clock.forward(600)
    assert "No worker looks after this fleet: the last one did 22:13Z." in shown(fleet)
