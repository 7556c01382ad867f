"""Versions beside each other on their template's page, and one that is proposed there."""

import random
import re

import pytest
import redis
from pydantic import SecretStr

from console.pages.pictures.version_plot import VersionReading, version_plot
from console.pages.rendering import STATIC
from harvest.settling.outcome_price import LEVEL, mean_score
from routing.jobs.signal import SignalKind
from tasks.settings.web_settings import WebSettings
from tests.fleets.stepped_fleet import QUICK, SteppedFleet
from tests.unit.test_page_decisions import Browser

TOKEN = "0123456789abcdef"  # noqa: S105 - of the test


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A fleet with a template of one version."""
    web = WebSettings(token=SecretStr(TOKEN), read_token=SecretStr("fedcba9876543210"))
    made = SteppedFleet(redis_client, web=web, policy=QUICK, draws=[0.9] * 50)
    made.add()
    return made


def ends(scores: list[float | None]) -> tuple[float, float]:
    """Of the interval of a mean; 0 and 1 where they are not known."""
    found = mean_score(scores)
    assert found is not None
    assert found.value == pytest.approx(0.5)
    return found.lower or 0.0, found.upper or 1.0


def test_the_mean_score_has_an_interval() -> None:
    """That narrows with each job; an open job counts at its worst, at both ends, and a cut one has none."""
    few, many = ends([1.0, 0.0] * 20), ends([1.0, 0.0] * 200)
    assert few[0] < many[0] < 0.5 < many[1] < few[1]
    waits = ends([None] * 20 + [1.0, 0.0] * 200)
    assert waits[0] < many[0]
    assert waits[1] > many[1]
    cut = mean_score([1.0, 0.0] * 200, is_cut=True)
    assert cut is not None
    assert (cut.lower, cut.upper) == (None, None)
    assert mean_score([None, None]) is None


def test_an_end_is_seldom_wrong_however_often_one_looks() -> None:
    """Of runs whose true mean is known, each end passes it in fewer than it promises, at all looks."""
    chance, runs, wrong = random.Random(5), 60, 0
    for _ in range(runs):
        scores: list[float | None] = []
        missed = False
        for look in range(1, 81):
            scores.append(float(chance.random() < 0.7))
            if look % 8 == 0:
                found = mean_score(scores)
                assert found is not None
                missed = missed or (found.lower or 0.0) > 0.7 or (found.upper or 1.0) < 0.7
        wrong += missed
    assert wrong <= runs * 2 * LEVEL


def reading(number: int, value: float, lower: float | None, upper: float | None) -> VersionReading:
    """Of a version."""
    return VersionReading(
        version=f"i@v{number}", value=value, lower=lower, upper=upper, said=f"v{number}: {value}"
    )


def test_a_plot_has_a_dot_and_its_interval_for_each_version() -> None:
    """A higher value is higher; one without ends has a dot alone, without an upper one it reaches the top."""
    drawn = str(
        version_plot(
            [reading(1, 1.0, 0.5, 2.0), reading(2, 2.0, 1.0, None), reading(3, 1.5, None, None)], "USD"
        )
    )
    heights = [float(each) for each in re.findall(r'<circle[^>]*cy="([\d.]+)"', drawn)]
    assert heights[1] < heights[2] < heights[0]
    assert drawn.count('class="whisker"') == 2
    assert re.findall(r'href="/versions/([^"]*)"', drawn) == ["i@v1", "i@v2", "i@v3"]
    assert version_plot([], "USD") == ""


def test_what_is_said_of_all_pictures_comes_before_what_is_said_of_some() -> None:
    """Rules of the style sheet that weigh the same count by their order: a small picture stays small."""
    sheet = STATIC["coalmine.css"][1].decode()
    rules = [match[1] for match in re.finditer(r"svg\.(\w+)[^{}]*\{[^}]*m(?:in|ax)-width", sheet)]
    assert {"plot", "versions", "graph"} == set(rules)
    assert rules == sorted(rules, key=lambda name: name != "plot")


def test_a_template_shows_its_versions_beside_each_other(fleet: SteppedFleet) -> None:
    """The picture of scores, the table with the same numbers, and the API."""
    for number in range(12):
        job = fleet.enqueue(repository="local:shop").job
        fleet.end(job, SignalKind.FINISHED if number % 3 else SignalKind.AGENT_ERRORED)
    fleet.app.harvester.harvest()
    page = fleet.web.get("/templates/implementer", Accept="text/html").text
    assert "implementer@v1: 0.67 of 12 jobs" in page
    (line,) = fleet.web.get("/templates/implementer?csv=Scores", Accept="text/html").text.splitlines()[1:]
    assert line.startswith("implementer@v1,12,0.67,")
    score = fleet.web.get("/api/v1/templates/implementer").json()["versions"][0]["price"]["score"]
    assert score["jobs"] == 12
    assert score["lower"] < 8 / 12 < (score["upper"] or 1.0)


def test_a_version_is_proposed_on_the_page_of_its_template(fleet: SteppedFleet) -> None:
    """With the champion's content but for what is new; it leads to the version, and is noted."""
    ada = Browser(fleet)
    page, action = "/templates/implementer", "/templates/implementer/propose"
    answer = ada.decides(page, action, prompt="Read the tests\r\nfirst.", model="large", reason="tests first")
    assert (answer.status_code, answer.headers["location"]) == (303, "/versions/implementer@v2")
    version = fleet.app.templates.find("implementer@v2")
    champion = fleet.app.templates.champion("implementer")
    assert version.snapshot == champion.snapshot.model_copy(
        update={"prompt": "Read the tests\nfirst.", "model": "large"}
    )
    assert (version.note, version.state.value) == ("tests first", "pending")
    (noted,) = fleet.app.decisions.newest(5)
    assert (noted.act, noted.thing, noted.by, noted.reason) == (
        "template propose", "implementer", "Ada", "tests first",
    )  # fmt: skip
    again = ada.decides(page, action, prompt="Read the tests\r\nfirst.", model="large", reason="again")
    assert again.headers["location"] == "/versions/implementer@v2"
    assert len(fleet.app.decisions.newest(5)) == 1, "it was there already"


def test_what_no_version_may_have_is_refused(fleet: SteppedFleet) -> None:
    """Nothing is stored: no note, too long a name of a model, no such template."""
    ada = Browser(fleet)
    action = "/templates/implementer/propose"
    form = {"csrf": ada.forms("/templates/implementer")[action]["csrf"], "prompt": "x", "model": ""}
    refused = [
        ada.sends(action, form),
        ada.sends(action, form | {"reason": "why", "model": "m" * 9_000}),
        ada.sends("/templates/nobody/propose", form | {"reason": "why"}),
    ]
    assert [answer.status_code for answer in refused] == [422, 422, 404]
    assert [version.id for version in fleet.app.templates.versions("implementer")] == ["implementer@v1"]
