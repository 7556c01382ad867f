"""The pages in Debian's Chromium, over a live web process: what people see, click and write.

With COALMINE_SCREENSHOTS set to a folder, the pictures of all pages are kept there, to be looked at.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from routing.embedded.private_server import PrivateServer
from routing.jobs.job import JobState
from tests.fleets.shown_fleet import shown_fleet
from tests.fleets.stepped_fleet import SteppedFleet
from tests.programs.browser import Chromium, chromium
from tests.programs.web_process import Console, console
from tests.waiting import wait_until

TOKEN = "0123456789abcdef"  # noqa: S105 - of the test
VARIABLES = {"COALMINE_WEB__TOKEN": TOKEN}
WIDTHS = {"phone": (360, 800), "desktop": (1440, 1000), "wall": (2560, 1440)}


@pytest.fixture
def fleet(redis_server: PrivateServer, redis_client: redis.Redis) -> SteppedFleet:
    """A fleet on a real server, with hostile texts in all of it."""
    assert redis_server.url
    return shown_fleet(redis_client)


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
        yield running


@pytest.fixture(scope="module")
def axe_script() -> str:
    """The program that judges a page, as npm has it; none of it is in this repository."""
    folder = Path(os.environ.get("REAL_PROGRAMS", ".real")).absolute() / "node_modules" / "axe-core"
    if not folder.is_dir():
        pytest.fail("axe-core is not installed; run tests/real/install.sh")
    return (folder / "axe.min.js").read_text(encoding="utf-8")


def paths(fleet: SteppedFleet) -> list[str]:
    """Every kind of page."""
    jobs = fleet.app.jobs.newest(most=100)
    issue = next(each.id for each in jobs if each.request.issue == "local:shop#99")
    return [
        "/", "/trials", "/trials/implementer", "/jobs", f"/jobs/{jobs[0].id}", f"/jobs/{issue}",
        "/issues", "/templates",
        "/templates/implementer", "/versions/implementer@v2", "/versions/implementer@v2/diff", "/accounts",
        "/events", "/audit", "/sign-in", "/jobs/0123456789abcdef", "/workers", "/mail", "/mail?of=all",
        f"/mail/{fleet.app.post_office.newest(1)[0].id}", "/settings?all=1", "/health", "/search?q=alert",
        "/backtests/reviewer", "/templates/reviewer", "/trials/implementer/replay", "/issues/graph",
        f"/jobs/{jobs[0].id}?q=alert",
    ]  # fmt: skip


#: Pictures that are small enough to be seen whole, and are wider than their place.
_HIDDEN_PARTS = """
return [...document.querySelectorAll("figure .scroll")]
  .filter((each) => each.scrollWidth > each.clientWidth + 1)
  .map((each) => each.ariaLabel);
"""


def test_every_page_is_whole_at_any_width(web: Console, fleet: SteppedFleet, browser: Chromium) -> None:
    """No word of the browser's against it, nothing asked of another host, no script run, nothing cut off."""
    host = urlsplit(web.address).netloc
    kept = os.environ.get("COALMINE_SCREENSHOTS")
    browser.asked(), browser.complaints()
    for width, (across, down) in WIDTHS.items():
        browser.size(across, down)
        for scheme in ("light", "dark"):
            browser.colours(scheme)
            for path in paths(fleet):
                browser.open(web.address + path)
                wide = browser.run("return document.documentElement.scrollWidth - window.innerWidth")
                assert wide <= 0, f"{path} is {wide} px too wide for a {width}"
                assert browser.run(_HIDDEN_PARTS) == [], f"{path}: a part of a small picture is hidden"
                scripts = browser.run("return [...document.scripts].map(each => each.src)")
                assert set(scripts) <= {f"{web.address}/static/live.js"}
                assert browser.run("return document.images.length") == 0
                if kept:
                    name = path.strip("/").replace("/", "-") or "home"
                    browser.screenshot(Path(kept) / f"{name}-{width}-{scheme}.png")
    missing = "/jobs/0123456789abcdef - Failed to load resource: the server responded with a status of 404"
    assert [line for line in browser.complaints() if missing not in line] == []
    hosts = {urlsplit(address).netloc for address in browser.asked() if not address.startswith("data:")}
    assert hosts == {host}


#: What of a page is wrong on paper: what is there to click on, what is cut off, what is too pale on white,
#: which short words of tables are broken inside.
_PAPER = """
const seen = (each) => each.checkVisibility();
const light = (part) => (part /= 255) <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
const luminance = (colour) => {
  const [red, green, blue] = colour.match(/[\\d.]+/g).map(Number);
  return 0.2126 * light(red) + 0.7152 * light(green) + 0.0722 * light(blue);
};
const name = (each) =>
  `${each.tagName} ${each.getAttribute("class") || ""} ${each.textContent.trim().slice(0, 40)}`;
const found = [];
for (const each of document.querySelectorAll("header, nav, footer, form, details.act"))
  if (seen(each)) found.push(`to click on: ${name(each)}`);
for (const each of document.querySelectorAll("main .scroll, main .markdown, main pre, main table"))
  if (seen(each) && each.scrollWidth > each.clientWidth + 1)
    found.push(`cut off: ${name(each)} ${each.scrollWidth} of ${each.clientWidth}`);
for (const each of document.querySelectorAll("main svg"))
  if (seen(each) && each.getBoundingClientRect().right > innerWidth + 1) found.push(`cut off: ${name(each)}`);
for (const each of document.querySelectorAll("main *")) {
  const says = [...each.childNodes].some((part) => part.nodeType === Node.TEXT_NODE && part.data.trim());
  const style = getComputedStyle(each);
  const colour = each instanceof SVGElement ? style.fill : style.color;
  if (says && seen(each) && colour.startsWith("rgb") && 1.05 / (luminance(colour) + 0.05) < 4.5)
    found.push(`pale: ${name(each)} ${colour}`);
}
for (const each of document.querySelectorAll("main th, main td")) {
  const walker = document.createTreeWalker(each, NodeFilter.SHOW_TEXT);
  while (seen(each) && walker.nextNode()) {
    const text = walker.currentNode;
    if (text.parentElement.closest(".id")) continue;
    for (const word of text.data.matchAll(/(?<!\\S)\\w{2,12}(?!\\S)/g)) {
      const range = document.createRange();
      range.setStart(text, word.index);
      range.setEnd(text, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map((line) => Math.round(line.top))).size > 1)
        found.push(`broken inside: ${word[0]}`);
    }
  }
}
const paper = getComputedStyle(document.body).backgroundColor;
if (paper !== "rgb(255, 255, 255)") found.push(`the page is ${paper}`);
return found;
"""

#: A4 less margins of 1 cm, in CSS pixels.
_PAPER_SIZE = (718, 1047)


def test_every_page_can_be_printed(web: Console, fleet: SteppedFleet, browser: Chromium) -> None:
    """On A4, black on white whatever the screen's colours: no control, nothing cut off, no word broken."""
    kept = os.environ.get("COALMINE_SCREENSHOTS")
    found = []
    browser.size(*_PAPER_SIZE)
    try:
        for scheme in ("light", "dark"):
            browser.colours(scheme, medium="print")
            for path in paths(fleet):
                browser.open(web.address + path)
                found += [f"{path}, {scheme}: {said}" for said in browser.run(_PAPER)]
                if kept:
                    name = path.strip("/").replace("/", "-") or "home"
                    browser.screenshot(Path(kept) / f"{name}-paper-{scheme}.png")
    finally:
        browser.colours("light")
    browser.complaints()
    assert found == []


#: How many animations run when everything on the page, and what stands before it, is to move.
_MOVING = """
const sheet = new CSSStyleSheet();
sheet.replaceSync("@keyframes move { to { opacity: .5; } } *, ::before { animation: move 9s; }");
document.adoptedStyleSheets = [sheet];
return document.getAnimations().length;
"""


def test_nothing_moves_for_those_who_ask_for_it(web: Console, fleet: SteppedFleet, browser: Chromium) -> None:
    """As it is, no page moves; with reduced motion none would, whatever a rule says."""
    browser.size(*WIDTHS["desktop"])
    try:
        browser.colours("light", motion="reduce")
        for path in paths(fleet):
            browser.open(web.address + path)
            assert browser.run("return document.getAnimations().length") == 0, path
        browser.open(web.address)
        assert browser.run(_MOVING) == 0
        browser.colours("light")
        browser.open(web.address)
        assert browser.run(_MOVING) > 0, "without the wish they do move: the test sees it"
    finally:
        browser.colours("light")
    browser.complaints()


#: What axe is asked for: the rules of WCAG 2.2, A and AA. The answer: each rule that is broken, with where.
_AXE = """
const done = arguments[arguments.length - 1];
const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
axe.run(document, {runOnly: {type: "tag", values: tags}, resultTypes: ["violations"]}).then(
  (found) => done(found.violations.map((each) =>
    `${each.impact} ${each.id}: ${each.nodes.slice(0, 3).map((one) => one.html.slice(0, 160)).join(" | ")}`)),
  (error) => done([String(error)]));
"""


def test_every_page_is_accessible(
    web: Console, fleet: SteppedFleet, browser: Chromium, axe_script: str
) -> None:
    """No rule of WCAG 2.2 AA is broken by axe's judgement, light and dark, narrow and wide."""
    found = []
    for path in paths(fleet):
        browser.open(web.address + path)
        browser.run(axe_script)
        for width, scheme in (("phone", "dark"), ("desktop", "light")):
            browser.size(*WIDTHS[width])
            browser.colours(scheme)
            found += [f"{path}, {width}, {scheme}: {said}" for said in browser.run_async(_AXE)]
    browser.complaints()
    assert found == []


def test_ctrl_k_finds_a_trial(web: Console, fleet: SteppedFleet, browser: Chromium) -> None:
    """By keys alone: the field, a word, the link below it."""
    assert fleet
    browser.size(*WIDTHS["desktop"])
    browser.open(f"{web.address}/accounts")
    browser.write("body", "\ue009k")  # Control and k
    assert browser.run("return document.activeElement.id") == "find"
    browser.write("#find", "implementer-t1")
    wait_until(lambda: "trial implementer-t1" in browser.text("#found"), description="the trial is listed")
    browser.write("#find", "\ue015")  # arrow down
    browser.run("document.activeElement.click()")
    wait_until(lambda: "Trial implementer-t1" in browser.text("h1"), description="the trial's page")


def test_a_person_answers_a_gate(web: Console, fleet: SteppedFleet, browser: Chromium) -> None:
    """From the first page on a phone: the first thing that needs them, its options, and it is gone."""
    browser.size(*WIDTHS["phone"])
    browser.open(f"{web.address}/sign-in")
    browser.write("input[name=token]", TOKEN)
    browser.write("input[name=name]", "Ada")
    browser.click("main button")
    wait_until(lambda: "Ada" in browser.text("header"), description="the page says who is signed in")
    browser.click("ul.needs li:first-child a")
    wait_until(lambda: "waits for this answer" in browser.text("main"), description="the gate's page")
    browser.click("details.act summary")
    browser.write("details.act select", "keep")
    browser.write("details.act textarea", "it is used")
    browser.click("details.act button")
    wait_until(lambda: "no longer waits" in browser.text("main"), description="the gate is open")
    (agent,) = fleet.app.agents.live()
    assert fleet.app.post_office.newest(1, recipient=agent.name)[0].body == "keep\n\nit is used"
    browser.click("header form.end button")
    wait_until(lambda: "Sign in" in browser.text("header"), description="the person is signed out")


def test_a_person_signs_in_and_decides(web: Console, fleet: SteppedFleet, browser: Chromium) -> None:
    """By clicks alone: pause dispatch with a reason, cancel a job, stop the trial; and out again."""
    browser.size(*WIDTHS["phone"])
    browser.open(f"{web.address}/jobs?state=running")
    assert "Cancel" not in browser.text()
    browser.click("header a.end")
    browser.write("input[name=token]", TOKEN)
    browser.write("input[name=name]", "Ada")
    browser.click("main button")
    wait_until(lambda: "Ada" in browser.text("header"), description="the page says who is signed in")
    browser.click("details.act summary")
    browser.write("details.act input[name=reason]", "the forge is upgraded")
    browser.click("details.act button")
    wait_until(
        lambda: "Dispatch is paused: the forge is upgraded (by Ada)" in browser.text("main"),
        description="the first page says that dispatch is paused",
    )
    running = fleet.app.jobs.newest(most=1)[0].id
    browser.open(f"{web.address}/jobs/{running}")
    browser.click("details.act summary")
    browser.click("details.act button")
    wait_until(lambda: bool(fleet.app.jobs.find(running).cancel), description="the job is to be cancelled")
    browser.open(f"{web.address}/trials/implementer")
    stop = 'details.act:has(form[action$="/stop"])'
    browser.click(f"{stop} summary")
    browser.write(f"{stop} input[name=reason]", "wrong model")
    browser.click(f"{stop} button")
    wait_until(lambda: "stopped" in browser.text("h1"), description="the trial is stopped")
    assert not fleet.app.trials.find("implementer").is_open
    browser.click("header form.end button")
    wait_until(lambda: "Sign in" in browser.text("header"), description="the person is signed out")


def test_a_dot_of_the_plot_leads_to_its_job_and_back(
    web: Console, fleet: SteppedFleet, browser: Chromium
) -> None:
    """By a click, as every other link."""
    browser.size(*WIDTHS["desktop"])
    browser.open(f"{web.address}/trials/implementer")
    browser.click("svg.plot a:last-of-type .dot")
    wait_until(lambda: "/jobs/" in browser.run("return location.pathname"), description="the job's page")
    assert browser.text("h1").split()[-1] in {state.value for state in JobState}
    browser.back()
    wait_until(lambda: "Trial implementer-t1" in browser.text("h1"), description="the trial's page again")
    assert fleet.app.trials.find("implementer").is_open


def test_the_keyboard_is_enough(web: Console, fleet: SteppedFleet, browser: Chromium) -> None:
    """The first stop leads past the menu, and what is reached is outlined."""
    assert fleet
    browser.open(web.address)
    browser.write("body", "\ue004")  # Tab
    assert browser.run("return document.activeElement.textContent") == "Skip to the page"
    assert browser.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_a_page_follows_the_fleet_without_being_loaded_again(
    web: Console, fleet: SteppedFleet, browser: Chromium
) -> None:
    """What happens is there within seconds; not while somebody is in a form, and after that at once."""
    browser.open(web.address)
    browser.run("window.kept = true")
    fleet.app.switch.pause("the first reason")
    wait_until(lambda: "the first reason" in browser.text("main"), description="the page says so", timeout=30)
    fleet.app.switch.resume("done")
    wait_until(
        lambda: "the first reason" not in browser.text("main"), description="and no longer", timeout=30
    )
    assert browser.run("return window.kept") is True, "it is the same page"


def test_a_hidden_tab_is_quiet_and_catches_up(web: Console, fleet: SteppedFleet, browser: Chromium) -> None:
    """Its stream is closed by the page, not by the server; on return it shows what happened meanwhile."""
    first = browser.tab()
    browser.network()
    browser.open(web.address)
    browser.run("window.kept = true")
    seen: list[dict[str, Any]] = []

    def streams() -> set[str]:
        seen.extend(browser.network())
        return {
            each["params"]["requestId"]
            for each in seen
            if each["method"] == "Network.requestWillBeSent"
            and urlsplit(each["params"]["request"]["url"]).path == "/live"
        }

    def closed() -> set[str]:
        known = streams()
        return known & {
            each["params"]["requestId"]
            for each in seen
            if each["method"] == "Network.loadingFailed" and each["params"].get("canceled")
        }

    wait_until(lambda: bool(streams()), description="the page follows the fleet")
    assert not closed()
    other = browser.new_tab()
    try:
        wait_until(lambda: bool(closed()), description="the hidden page has closed its stream")
        before = streams()
        fleet.app.switch.pause("while nobody looked")
        assert streams() == before, "a hidden page follows nothing"
    finally:
        browser.close_tab(other, then=first)
    wait_until(lambda: "while nobody looked" in browser.text("main"), description="it catches up", timeout=30)
    assert streams() > before
    assert browser.run("return window.kept") is True, "it is the same page"


def test_a_page_outlives_its_server(
    redis_server: PrivateServer, fleet: SteppedFleet, browser: Chromium
) -> None:
    """It says that the server is away, and goes on when it is back."""
    with console(redis_server.url, variables=VARIABLES) as web:
        port = str(urlsplit(web.address).port)
        browser.open(web.address)
        browser.run("window.kept = true")
    wait_until(
        lambda: "cannot be reached" in browser.text("main"), description="the page says so", timeout=60
    )
    fleet.app.switch.pause("while it was away")
    with console(redis_server.url, "--port", port, variables=VARIABLES):
        wait_until(
            lambda: "while it was away" in browser.text("main"), description="the page is back", timeout=60
        )
        assert "cannot be reached" not in browser.text("main")
        assert browser.run("return window.kept") is True
    browser.complaints()
