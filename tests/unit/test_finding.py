"""Finding jobs, issues, versions and trials by their ids and by words."""

import html

import pytest
import redis

from console.details.finding import LOOKED_AT, FoundKind, find
from routing.backlog.backlog import Backlog
from routing.backlog.settings import BacklogSettings
from tests.fakes.issues import IssueForge, issue
from tests.fleets.stepped_fleet import SteppedFleet


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A trial, two jobs and an issue."""
    made = SteppedFleet(redis_client, draws=[0.9] * 50)
    made.on_trial()
    made.enqueue(issue="local:shop#1", title="Repair the Checkout button")
    made.enqueue(title="Paint it red")
    backlog = Backlog(
        made.app.backlog_store, forges={"local": IssueForge()}, settings=BacklogSettings(),
        escalation_label="ready-for-human",
    )  # fmt: skip
    backlog.accept(issue(7, "", labels=[]), requested_by="ada")
    return made


def names(fleet: SteppedFleet, question: str) -> list[tuple[str, str]]:
    """What a question leads to."""
    return [(each.kind.value, each.name) for each in find(fleet.app, question).things]


def test_what_is_named_whole_is_the_first(fleet: SteppedFleet) -> None:
    """And a browser is led to its page at once."""
    job = fleet.app.jobs.newest(most=1)[0].id
    client = fleet.web
    for question, kind, link in (
        (job, FoundKind.JOB, f"/jobs/{job}"),
        ("implementer@v2", FoundKind.VERSION, "/versions/implementer@v2"),
        ("implementer-t1", FoundKind.TRIAL, "/trials/implementer-t1"),
        ("local:shop#7", FoundKind.ISSUE, "/issue?ref=local%3Ashop%237"),
    ):
        exact = find(fleet.app, question).exact
        assert exact is not None, question
        assert (exact.kind, exact.link) == (kind, link)
        answer = client.get(f"/search?q={question.replace('#', '%23')}", Accept="text/html")
        assert (answer.status_code, answer.headers["location"]) == (303, link)
        assert client.get(link, Accept="text/html").status_code == 200
        found = client.get(f"/api/v1/search?q={question.replace('#', '%23')}").json()["found"]
        assert found[0]["link"] == link


def test_words_and_beginnings_find_too(fleet: SteppedFleet) -> None:
    """All words, in any case, of a title, a version, a state; a number is an issue's."""
    red, button = (job.id for job in fleet.app.jobs.newest(most=2))
    if "red" not in fleet.app.jobs.find(red).request.title:
        red, button = button, red
    assert ("job", button) in names(fleet, "CHECKOUT repair")
    assert names(fleet, "red paint") == [("job", red)]
    assert ("job", red) in names(fleet, red[:6])
    assert ("issue", "local:shop#7") in names(fleet, "#7")
    assert ("issue", "local:shop#7") in names(fleet, "7")
    assert {kind for kind, _ in names(fleet, "implementer")} == {"version", "trial", "job"}
    assert names(fleet, "nothing-has-this") == []
    for question in (
        "",
        "   ",
        "\x00",
        "#",
        "@",
        "a@b@c",
        "x" * 600,
        "%",
        "0123456789abcdef",
        "*",
        "a#99999999999",
    ):
        assert find(fleet.app, question).exact is None, question


def test_a_page_says_what_it_looked_at(fleet: SteppedFleet) -> None:
    """It works without a script, from a field that every page has; what was asked stays text."""
    client = fleet.web
    said = html.unescape(client.get("/search?q=%3Cb%3E", Accept="text/html").text)
    assert f"The {LOOKED_AT} newest jobs" in said
    assert "<b>" not in client.get("/search?q=%3Cb%3E", Accept="text/html").text
    assert 'action="/search"' in client.get("/jobs", Accept="text/html").text
    assert client.get(f"/search?q={'x' * 601}", Accept="text/html").status_code == 422


def test_a_damaged_record_hides_no_other(fleet: SteppedFleet) -> None:
    """What cannot be read is not found, and the rest is."""
    fleet.add("reviewer")
    fleet.redis.hset(fleet.app.keys.versions("reviewer"), "1", "{")
    fleet.redis.hset(fleet.app.keys.trial("implementer-t1"), "share", "much")
    assert find(fleet.app, "reviewer@v1").things == []
    assert ("version", "implementer@v1") in names(fleet, "implementer")
