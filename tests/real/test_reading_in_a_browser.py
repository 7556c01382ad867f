"""What people unfold, search, follow and come back to, in Debian's Chromium."""

import time
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
import redis

from routing.backlog.backlog import Backlog
from routing.backlog.settings import BacklogSettings
from routing.embedded.private_server import PrivateServer
from routing.jobs.job import JobState
from tests.fakes.issues import IssueForge, issue
from tests.fleets.shown_fleet import shown_fleet
from tests.fleets.stepped_fleet import SteppedFleet
from tests.programs.browser import Chromium, chromium
from tests.programs.web_process import Console, console
from tests.real.test_decisions_in_a_browser import VARIABLES, sign_in
from tests.waiting import wait_until


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A fleet at work, of which one agent has called tools, and issues that wait for each other."""
    made = shown_fleet(redis_client)
    running = running_job(made)
    said = [
        ("tool", "Bash pytest"),
        ("result", "F\n1 failed"),
        ("error", "exit code 1\nTraceback"),
        ("text", "now I know"),
    ]
    for kind, text in said:
        made.app.log_store.say(running, kind, text)
    made.app.log_store.flush()
    made.clock.now = time.time()  # the web process goes by the server's clock
    made.end(made.enqueue(title="ended just now").job)
    backlog = Backlog(
        made.app.backlog_store, forges={"local": IssueForge()}, settings=BacklogSettings(),
        escalation_label="ready-for-human",
    )  # fmt: skip
    for number, body in (
        (501, ""),
        (502, "Blocked by: #501"),
        (503, "Blocked by: #504"),
        (504, "Blocked by: #503"),
    ):
        backlog.accept(issue(number, body, labels=[]), requested_by="ada")
    return made


def running_job(fleet: SteppedFleet) -> str:
    """The job whose agent is at work."""
    (found,) = fleet.app.jobs.newest(most=1, states=frozenset([JobState.RUNNING]))
    return found.id


@pytest.fixture
def web(redis_server: PrivateServer, fleet: SteppedFleet) -> Iterator[Console]:
    """A web process of that fleet."""
    assert fleet
    with console(redis_server.url, variables=VARIABLES) as running:
        yield running


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """One browser for all tests here."""
    with chromium(tmp_path_factory.mktemp("browser")) as running:
        running.size(1440, 1000)
        yield running


def test_a_log_is_searched_and_left_again(web: Console, fleet: SteppedFleet, browser: Chromium) -> None:
    """The address has the words, so it can be sent to others; the back button leads to the whole log."""
    running = running_job(fleet)
    browser.open(f"{web.address}/jobs/{running}")
    assert "now I know" in browser.text("ol.log")
    browser.write("form.filters input[name=q]", "TRACEBACK")
    browser.click("form.filters button")
    wait_until(lambda: "1 of " in browser.text("main"), description="one entry has the word")
    address = browser.run("return location.href")
    assert "q=TRACEBACK" in address
    assert "now I know" not in browser.text("ol.log")
    browser.back()
    wait_until(lambda: "now I know" in browser.text("ol.log"), description="the whole log")
    browser.open(address)  # as somebody who was sent it
    assert "exit code 1" in browser.text("ol.log")
    assert [line for line in browser.complaints() if web.address in line] == [], (
        "others are of servers that ended"
    )


def test_an_error_leads_to_its_place_in_the_log(web: Console, fleet: SteppedFleet, browser: Chromium) -> None:
    """Which is folded with the call that it came of, and unfolds."""
    running = running_job(fleet)
    browser.open(f"{web.address}/jobs/{running}")
    assert "Traceback" not in browser.text("ol.log"), "it is folded"
    browser.click("ul.errors a")
    wait_until(lambda: "Traceback" in browser.text("ol.log"), description="the call is unfolded")


def test_what_is_unfolded_stays_so_while_the_page_follows(
    web: Console, fleet: SteppedFleet, browser: Chromium
) -> None:
    """The numbers of the bars, read by somebody while things happen; the page is not loaded again."""
    browser.open(web.address)
    browser.run("window.kept = true")
    browser.click("#outcomes summary")
    assert "succeeded" in browser.text("#outcomes")
    fleet.app.switch.pause("somebody reads")
    wait_until(lambda: "somebody reads" in browser.text("main"), description="the page follows", timeout=30)
    assert browser.run("return document.getElementById('outcomes').open") is True
    assert browser.run("return document.activeElement.parentElement.id") == "outcomes", "the focus stays"
    assert browser.run("return window.kept") is True


def test_a_hold_is_seen_in_another_tab(web: Console, fleet: SteppedFleet, browser: Chromium) -> None:
    """By itself; there the trial is resumed, which the first tab shows."""
    sign_in(browser, web.address)
    first = browser.tab()
    browser.open(f"{web.address}/trials/implementer")
    second = browser.new_tab()
    browser.open(f"{web.address}/trials/implementer")
    browser.click('details.act:has(form[action$="/hold"]) summary')
    browser.write('form[action$="/hold"] [name=reason]', "flaky tests")
    browser.click('form[action$="/hold"] button')
    wait_until(lambda: "Ada holds the trial: flaky tests" in browser.text("main"), description="it is held")
    browser.switch(first)
    wait_until(
        lambda: "Ada holds the trial: flaky tests" in browser.text("main"), description="here too", timeout=30
    )
    browser.click('details.act:has(form[action$="/resume"]) summary')
    browser.write('form[action$="/resume"] [name=reason]', "repaired")
    browser.click('form[action$="/resume"] button')
    wait_until(lambda: fleet.app.trials.find("implementer").hold is None, description="it goes on")
    browser.switch(second)
    wait_until(
        lambda: "Ada holds the trial" not in browser.text("main"), description="the other tab", timeout=30
    )
    browser.close_tab(second, then=first)


def test_a_table_is_sorted_by_its_headings_and_stays_so(
    web: Console, fleet: SteppedFleet, browser: Chromium
) -> None:
    """A click sorts, the next turns it round, the back button undoes one; what happens does not change it."""
    browser.open(f"{web.address}/templates/implementer?sort=version")
    first = 'div[aria-label="Versions"] tbody tr'
    heading = 'div[aria-label="Versions"] th[aria-sort]'
    assert browser.text(first).startswith("implementer@v1")
    browser.click(f"{heading} a")
    wait_until(lambda: browser.text(first).startswith("implementer@v2"), description="the newest is first")
    assert (
        browser.run(f"return document.querySelector('{heading}').getAttribute('aria-sort')") == "descending"
    )
    fleet.propose(prompt="three")
    fleet.enqueue(title="something happens, so pages look again")
    wait_until(lambda: browser.text(first).startswith("implementer@v3"), description="a new one is seen")
    browser.back()
    wait_until(lambda: browser.text(first).startswith("implementer@v1"), description="the oldest is first")


def test_a_replay_is_asked_for_and_left(web: Console, fleet: SteppedFleet, browser: Chromium) -> None:
    """Its page says identical; the back button leads to the trial."""
    assert fleet
    browser.open(f"{web.address}/trials/implementer")
    browser.click('main a[href$="/replay"]')
    wait_until(lambda: "identical" in browser.text("main"), description="the ledger gives the stored state")
    browser.back()
    wait_until(lambda: "Trial implementer-t1" in browser.text("h1"), description="the trial again")


def test_the_graph_leads_to_issues_and_what_is_around_them(
    web: Console, fleet: SteppedFleet, browser: Chromium
) -> None:
    """By clicks; a cycle is said in words, and drawn with another frame."""
    assert fleet
    browser.open(f"{web.address}/issues")
    browser.click('main a[href="/issues/graph"]')
    wait_until(lambda: "wait for each other in cycles" in browser.text("main"), description="the graph")
    assert browser.run("return document.querySelectorAll('svg.graph .node.cycle').length") == 2
    browser.click('svg.graph a[aria-label^="local:shop#502"] text')
    wait_until(lambda: "Waits for" in browser.text("main"), description="the page of an issue")
    browser.click('main a[href*="around="]')
    wait_until(lambda: "around local:shop#502" in browser.text("h1"), description="its neighbourhood")
    assert browser.run("return document.querySelectorAll('svg.graph .node').length") == 2
    browser.back()
    browser.back()
    wait_until(lambda: "in cycles" in browser.text("main"), description="the whole graph again")
    assert [line for line in browser.complaints() if web.address in line] == [], (
        "others are of servers that ended"
    )


def test_times_are_exact_in_the_viewers_zone(web: Console, fleet: SteppedFleet, browser: Chromium) -> None:
    """On hover, also after the page has followed the fleet."""
    ask = "const it = document.querySelector('main time'); return [it.title, it.dateTime]"
    browser.zone("Asia/Tokyo")
    try:
        browser.open(f"{web.address}/jobs")
        for _ in range(2):
            title, exact = browser.run(ask)
            at = datetime.fromisoformat(exact).astimezone(ZoneInfo("Asia/Tokyo"))
            assert f"{at:%I:%M:%S}".lstrip("0") in title, (title, exact)
            assert "GMT+9" in title
            browser.run("document.querySelector('main time').title = 'as it was read'")
            fleet.app.switch.pause("something happens")
            wait_until(lambda: browser.run(ask)[0] != "as it was read", description="it follows", timeout=30)
    finally:
        browser.zone("")
