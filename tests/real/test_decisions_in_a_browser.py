"""Every decision that a page offers, made in Debian's Chromium; two tabs, and pages without their store."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from console.web.people.decision_routes import STEPS
from routing.backlog.backlog import Backlog
from routing.backlog.settings import BacklogSettings
from routing.embedded.private_server import PrivateServer
from routing.jobs.signal import SignalKind
from routing.store.fleet.clock_store import ClockStore
from tasks.agents.mail.address import Author
from tasks.agents.mail.letter import Letter
from tasks.agents.mail.role import Role
from tasks.settings.settings import JudgeSettings
from tests.fakes.issues import IssueForge, issue
from tests.fleets.backtests import SteppedBacktest
from tests.fleets.stepped_fleet import QUICK, SteppedFleet
from tests.programs.browser import Chromium, chromium
from tests.programs.web_process import Console, console
from tests.servers.private_server import plain_client, private_server
from tests.waiting import wait_until

TOKEN = "0123456789abcdef"  # noqa: S105 - of the test
VARIABLES = {"COALMINE_WEB__TOKEN": TOKEN}


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A fleet in which everything that can be decided is open."""
    judge = JudgeSettings(command="make test")
    made = SteppedFleet(redis_client, draws=[0.9, 0.1] * 200, policy=QUICK, judge=judge)
    made.on_trial()
    for number in range(80):  # no work of the canary ever counts: the trial holds itself
        job = made.enqueue(title=f"job {number}").job
        made.end(job, SignalKind.UNREACHABLE if number % 2 else SignalKind.AGENT_ERRORED)
    made.enqueue(title="waits")
    made.app.harvester.harvest()
    made.add("reviewer")
    made.propose(name="reviewer")
    made.add("tester")
    made.propose(name="tester")
    SteppedBacktest(made, template="tester").hold()
    backlog = Backlog(
        made.app.backlog_store, forges={"local": IssueForge()}, settings=BacklogSettings(),
        escalation_label="ready-for-human",
    )  # fmt: skip
    backlog.accept(issue(3, "", labels=[]), requested_by="ada")
    claimed = made.enqueue(title="runs").job
    made.claim(claimed, lease_seconds=1e9)
    agent = made.app.agents.register(role=Role.BUILDER, job=claimed)
    asked = {"options": ["keep"], "context": "it is old"}
    for kind, subject, payload in (("status", "Done", {}), ("decision_gate", "Keep it?", asked)):
        letter = Letter.checked(to="operator", type_=kind, subject=subject, body="", payload=payload)
        made.app.post_office.send(Author(address=agent.name), letter)
    ClockStore(redis_client, made.app.keys).report("jobs@here", 0.0, version="0.1.0", queues=["champion"])
    return made


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


def sign_in(browser: Chromium, address: str) -> None:
    """As Ada, with the acting token."""
    browser.open(f"{address}/sign-in")
    browser.write("input[name=token]", TOKEN)
    browser.write("input[name=name]", "Ada")
    browser.click("main button")
    wait_until(lambda: "Ada" in browser.text("header"), description="the page says who is signed in")


#: A decision: the page with its form, where the form is sent, a hidden value that tells it from others to the
#: same place, and what the page then says, which it did not before; or says no longer, after "not: ".
Act = tuple[str, str, str, str]


def acts(fleet: SteppedFleet) -> list[Act]:
    """One for each decision there is, in an order in which each is possible."""
    by_title = {job.request.title: job.id for job in fleet.app.jobs.newest(most=100)}
    waits, failed = f"/jobs/{by_title['waits']}", f"/jobs/{by_title['job 0']}"
    runs = f"/jobs/{by_title['runs']}"
    mails = {each.subject: f"/mail/{each.id}" for each in fleet.app.post_office.newest(10)}
    issue_page, trial = "/issue?ref=local%3Ashop%233", "/trials/implementer-t1"
    second, first = "/versions/reviewer@v2", "/versions/reviewer@v1"
    backtest = "/backtests/tester-b1"
    return [
        ("/", "/fleet/pause", "", "Dispatch is paused: the reason (by Ada)"),
        ("/", "/fleet/resume", "", "Pause dispatch"),
        (waits, f"{waits}/cancel", "", "cancelled"),
        (waits, f"{waits}/retry", "", "queued"),
        (failed, f"{failed}/thumb", "up", "thumb up"),
        (runs, f"{runs}/message", "", "About runs from Ada"),
        (issue_page, "/issue/pause", "", "Put it back into the queue"),
        (issue_page, "/issue/resume", "", "Take it out of the queue"),
        (issue_page, "/issue/priority", "", "Priority 1, set by a person"),
        (trial, f"{trial}/resume", "", "let go on"),
        (trial, f"{trial}/hold", "", "Ada holds the trial: the reason."),
        (trial, f"{trial}/resume", "", "not: Ada holds the trial"),
        (trial, f"{trial}/stop", "", "stopped"),
        (backtest, f"{backtest}/resume", "", "not: Checks of its health hold it"),
        (backtest, f"{backtest}/stop", "", "stopped"),
        ("/templates/tester", "/templates/tester/propose", "", "tester@v3 pending"),
        (second, f"{second}/open", "", "Trial reviewer-t1"),
        (second, f"{second}/promote", "", "reviewer@v2 champion"),
        (first, f"{first}/revert", "", "reviewer@v1 champion"),
        ("/versions/implementer@v2", "/versions/implementer@v2/reject", "", "rejected"),
        ("/accounts", "/accounts/close", "", "Reopen"),
        ("/accounts", "/accounts/reopen", "", "not: Reopen"),
        (mails["Done"], f"{mails['Done']}/read", "", "state\nread"),
        (mails["Keep it?"], f"{mails['Keep it?']}/answer", "", "no longer waits"),
        ("/workers", "/workers/drain", "jobs@here", "not: Decide"),
    ]


def test_every_decision_is_made_by_clicks(web: Console, fleet: SteppedFleet, browser: Chromium) -> None:
    """The form of each is on its page, does what it says, and is noted; the browser has no complaint."""
    sign_in(browser, web.address)
    browser.complaints()
    done = set[str]()
    for known, (path, action, value, then) in enumerate(acts(fleet), start=1):
        browser.open(web.address + path)
        form = f'form[action="{action}"]'
        assert action == "/workers/drain" or not _says(browser, then), (action, browser.text("main"))
        chosen = f'{form} input[value="{value}"]' if value else form
        browser.click(f"details.act:has({chosen}) summary")
        if browser.run(f"return document.querySelector('details[open] {form} [name=reason]') !== null"):
            browser.write(f"details[open] {form} [name=reason]", "the reason")
        if action.endswith("/propose"):
            browser.write(f"details[open] {form} [name=prompt]", " And test it.")
        if action.endswith("/message"):
            browser.write(f"details[open] {form} [name=words]", "Use port 8080.")
        if action.endswith("/priority"):
            browser.write(f"details[open] {form} [name=priority]", "1")
        browser.click(f"details[open] {form} button")
        wait_until(
            lambda known=known: len(fleet.app.decisions.newest(50, before="")) == known,  # type: ignore[misc]
            description=f"{action} is noted",
        )
        wait_until(lambda then=then: _says(browser, then), description=f"the page after {action}")  # type: ignore[misc]
        done |= {step for step in STEPS if _matches(step, action)}
    assert done == set(STEPS), "a decision that no page offers, or that was not tried here"
    assert browser.complaints() == []


def _says(browser: Chromium, words: str) -> bool:
    text = browser.text("main")
    return words.removeprefix("not: ") not in text if words.startswith("not: ") else words in text


def _matches(step: str, action: str) -> bool:
    begin, _, end = step.partition("{thing}")
    return action.startswith(begin) and action.endswith(end) and (bool(end) or action == step)


def test_two_tabs_of_a_person_show_the_same(web: Console, fleet: SteppedFleet, browser: Chromium) -> None:
    """What is decided in one is in the other by itself; a decision that came later changes nothing."""
    sign_in(browser, web.address)
    first = browser.tab()
    second = browser.new_tab()
    page = f"{web.address}/trials/implementer"
    form = 'form[action="/trials/implementer-t1/stop"]'
    browser.open(page)
    browser.click(f"details.act:has({form}) summary")
    browser.write(f"{form} [name=reason]", "of the second tab")
    browser.switch(first)
    browser.open(page)
    browser.click(f"details.act:has({form}) summary")
    browser.write(f"{form} [name=reason]", "of the first tab")
    browser.click(f"{form} button")
    wait_until(lambda: "stopped" in browser.text("h1"), description="the trial is stopped")
    browser.switch(second)
    assert browser.run(f"return document.querySelector('{form} [name=reason]').value") == "of the second tab"
    browser.click(f"{form} button")
    wait_until(lambda: "stopped" in browser.text("h1"), description="the other tab says so")
    assert fleet.app.trials.find("implementer").reason == "of the first tab"
    browser.open(web.address)
    browser.switch(first)
    browser.open(web.address)
    fleet.app.switch.pause("seen in both")
    for tab in (first, second):
        browser.switch(tab)
        wait_until(lambda: "seen in both" in browser.text("main"), description=f"{tab} follows", timeout=30)
    browser.close_tab(second, then=first)


def test_a_page_outlives_its_store(tmp_path: Path, browser: Chromium) -> None:
    """It says at once that the store is away, also to one who loads it, and goes on when it is back."""
    with private_server(tmp_path) as server, plain_client(server.url) as client:
        SteppedFleet(client).add()
        with console(server.url, variables=VARIABLES) as web:
            browser.open(f"{web.address}/templates")
            browser.run("window.kept = true")
            server.stop()
            wait_until(
                lambda: "store does not answer" in browser.text("main"), description="says so", timeout=60
            )
            assert "implementer" in browser.text("main"), "what was read is still there"
            assert web.client.get("/jobs", headers={"Accept": "text/html"}).status_code == 503
            server.start_again()
            wait_until(
                lambda: "store does not answer" not in browser.text("main"), description="is back", timeout=60
            )
            assert browser.run("return window.kept") is True, "it is the same page"
            browser.open(f"{web.address}/templates")
            assert "implementer" in browser.text("main")
    browser.complaints()
