"""The page of a job: its turns and what followed, its log, and words to its agent."""

import re

import pytest
import redis
from pydantic import SecretStr

from console.details.job_timeline import MomentKind, timeline_of
from console.pages.job_log import MOST_ENTRIES, folded, shown_log
from console.pages.pictures.timeline_plot import timeline_plot
from routing.jobs.job import Job
from routing.jobs.signal import SignalKind
from routing.store.jobs.log_store import LogLine
from tasks.agents.mail.role import Role
from tasks.settings.web_settings import WebSettings
from tests.fleets.stepped_fleet import SteppedFleet
from tests.unit.test_page_decisions import Browser

TOKEN = "0123456789abcdef"  # noqa: S105 - of the test


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A fleet with one template."""
    web = WebSettings(token=SecretStr(TOKEN), read_token=SecretStr("fedcba9876543210"))
    made = SteppedFleet(redis_client, web=web)
    made.add()
    return made


def worked(fleet: SteppedFleet) -> Job:
    """A job of two turns, of which the second was for what CI found."""
    job = fleet.enqueue(title="Round totals").job
    fleet.clock.forward(60)
    claim = fleet.claim(job)
    fleet.clock.forward(300)
    fleet.spend(claim, usd=0.5, seconds=240)
    fleet.redis.hset(fleet.app.keys.job(job), "kind", "fix_forward")
    fleet.app.signals.add(job, [fleet.fact(SignalKind.CI_RED, commit="a" * 40, note="test_total")])
    fleet.clock.forward(600)
    fleet.spend(claim, usd=None, seconds=30)
    fleet.app.signals.add(job, [fleet.fact(SignalKind.CI_GREEN, commit="b" * 40)])
    fleet.clock.forward(3600)
    fleet.app.signals.add(job, [fleet.fact(SignalKind.MERGED, commit="b" * 40)])
    return fleet.app.jobs.find(job)


def test_a_job_remembers_its_turns(fleet: SteppedFleet) -> None:
    """What each was for, how long it took and what it cost; dollars that nobody said are unknown."""
    first, second = worked(fleet).ended_turns
    assert (first.number, first.kind, first.seconds, first.known_usd) == (1, "first", 240, 0.5)
    assert (second.number, second.kind, second.seconds, second.known_usd) == (2, "fix_forward", 30, None)
    assert second.at - first.at == pytest.approx(600)


def test_only_the_newest_turns_are_kept(fleet: SteppedFleet) -> None:
    """So that a record is bounded; their numbers say how many there were."""
    job = fleet.enqueue().job
    claim = fleet.claim(job)
    for _ in range(25):
        fleet.spend(claim, usd=0.1, seconds=1)
    assert [turn.number for turn in fleet.app.jobs.find(job).ended_turns] == list(range(6, 26))


def test_a_timeline_is_in_the_order_of_time(fleet: SteppedFleet) -> None:
    """Turns, CI and merge, each of its kind; the picture has the bars and marks, and the page the words."""
    job = worked(fleet)
    moments = timeline_of(job, fleet.app.signals.read(job.id), now=fleet.clock())
    kinds = [moment.kind for moment in moments]
    assert [moment.at for moment in moments] == sorted(moment.at for moment in moments)
    assert kinds.count(MomentKind.CI) == 2
    said = [moment.said for moment in moments]
    assert said[0] == "accepted for implementer@v1"
    assert said.index("turn 1: first") < said.index("CI red") < said.index("turn 2: fix forward")
    assert said[-1] == "merged"
    drawn = str(timeline_plot(moments))
    assert len(re.findall('class="turn"', drawn)) == 3  # the last is still at work
    assert 'class="bad"' in drawn
    page = fleet.web.get(f"/jobs/{job.id}", Accept="text/html").text
    assert "turn 2: fix forward" in page
    csv = fleet.web.get(f"/jobs/{job.id}?csv=What happened", Accept="text/html").text
    assert [line.split(",")[1:3] for line in csv.splitlines()[1:3]] == [
        ["accepted for implementer@v1", "job"],
        ["a worker took it after 1 min", "job"],
    ]
    document = fleet.web.get(f"/api/v1/jobs/{job.id}").json()
    assert [turn["usd"] for turn in document["ended_turns"]] == [0.5, None]
    assert "CI red" in [each["said"] for each in document["timeline"]]


def line(number: int, kind: str = "text", text: str = "said") -> LogLine:
    """An entry of a log."""
    return LogLine(id=f"{number}-0", kind=kind, text=text)


def test_what_came_of_a_call_is_folded_with_it() -> None:
    """Until something else is said; a line that says all is not folded."""
    entries = list(
        folded(
            [
                line(1), line(2, "tool", "pytest"), line(3, "result", "1 failed\n…"), line(4, "error", "no"),
                line(5), line(6, "result", "a\nb"), line(7, "tool", "git diff"), line(8, "tool", "ls"),
            ]
        )
    )  # fmt: skip
    assert [(each.kind, [inside.id for inside in each.inside]) for each in entries] == [
        ("text", []), ("tool", ["3-0", "4-0"]), ("text", []), ("result", []), ("tool", []), ("tool", []),
    ]  # fmt: skip
    assert [each.is_folded for each in entries] == [False, True, False, True, False, False]
    assert [each.is_error for each in entries] == [False, True, False, False, False, False]


def test_errors_stand_first_and_words_are_found_in_all_of_a_log() -> None:
    """Also those that are too old to be among the entries of the page."""
    lines = [line(0, "error", "No such FILE"), *[line(number) for number in range(1, MOST_ENTRIES + 50)]]
    shown = shown_log(lines)
    assert (shown.found, shown.count) == (MOST_ENTRIES, MOST_ENTRIES + 50)
    assert [each.id for each in shown.errors] == ["0-0"]
    found = shown_log(lines, words="such file")
    assert [each.id for each in found.entries] == ["0-0"]
    assert shown_log(lines, every=True).found == len(lines)


def test_a_log_is_searched_by_its_address(fleet: SteppedFleet) -> None:
    """The words stand in the field, as text, and the page says how many entries have them."""
    job = fleet.enqueue().job
    fleet.claim(job)
    for words in ("one <b>", "two", "ONE <B> more"):
        fleet.app.log_store.say(job, "text", words)
    fleet.app.log_store.flush()
    page = fleet.web.get(f"/jobs/{job}?q=One%20%3Cb%3E", Accept="text/html").text
    assert "2 of 3 entries have “One &lt;b&gt;”" in page
    assert "two" not in page.partition('<ol class="log">')[2]


def test_a_person_writes_to_the_agent_of_a_job(fleet: SteppedFleet) -> None:
    """Its mail waits for its next turn; the decision is noted with the words."""
    job = fleet.enqueue(title="Round totals").job
    ada = Browser(fleet)
    action = f"/jobs/{job}/message"
    assert action not in ada.forms(f"/jobs/{job}"), "nobody is there to read it"
    fleet.claim(job)
    agent = fleet.app.agents.register(role=Role.BUILDER, job=job).name
    answer = ada.decides(f"/jobs/{job}", action, words="Use\nport 8080.")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/jobs/{job}")
    (mail,) = fleet.app.post_office.newest(5, recipient=agent)
    assert (mail.body, mail.subject, mail.author) == ("Use\nport 8080.", "About Round totals", "Ada")
    assert "About Round totals</a> from Ada" in ada.page(f"/jobs/{job}")
    (noted,) = fleet.app.decisions.newest(1)
    assert (noted.act, noted.thing, noted.by, noted.reason) == ("job message", job, "Ada", "Use port 8080.")


def test_words_that_nobody_can_read_are_refused(fleet: SteppedFleet) -> None:
    """Of a job that has ended, or that no agent has begun, and no words at all: nothing is sent or noted."""
    job = fleet.enqueue().job
    ada = Browser(fleet)
    form = {"csrf": ada.forms(f"/jobs/{job}")[f"/jobs/{job}/cancel"]["csrf"]}
    refusals = [ada.sends(f"/jobs/{job}/message", form | {"words": "x"})]
    fleet.claim(job)
    fleet.app.agents.register(role=Role.BUILDER, job=job)
    refusals.append(ada.sends(f"/jobs/{job}/message", form | {"words": " \n"}))
    fleet.redis.hset(fleet.app.keys.job(job), "state", "succeeded")
    refusals.append(ada.sends(f"/jobs/{job}/message", form | {"words": "x"}))
    assert [answer.status_code for answer in refusals] == [409, 422, 409]
    assert fleet.app.post_office.newest(5) == []
    assert fleet.app.decisions.newest(5) == []
