"""The pages: what they show, that text from outside stays text, and who is let in."""

import html
import re
from dataclasses import replace
from html.parser import HTMLParser

import anyio
import httpx
import pytest
import redis
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.datastructures import Headers

from console.output.trials.trial_attention import asks_person
from console.pages.job_log import MOST_CHARACTERS
from console.pages.needs import needs_of
from console.pages.pictures.drawing import MOST_POINTS, thinned
from console.pages.rendering import visible
from console.pages.trial_page import to_go
from console.status.fleet_reading import read_status
from console.web.app import web_of
from console.web.headers import PAGE_POLICY
from console.web.people.live_routes import NewestEvent, live_routes
from console.web.people.session import COOKIE, SESSION_SECONDS, Right, WebAccess
from harvest.evidence.policy import TrialPolicy
from routing.errors import SettingsError
from routing.issues.issue import IssueRef
from routing.jobs.signal import SignalKind
from routing.store.events.decision_store import NotedDecision
from routing.store.redis.connection import connect
from routing.templates.trial import TrialState
from routing.templates.version import VersionState
from tasks.agents.mail.address import Author
from tasks.agents.mail.letter import Letter
from tasks.agents.mail.role import Role
from tasks.composition.composition import compose
from tasks.settings.settings import Settings
from tasks.settings.web_settings import WebSettings
from tests.fleets.stepped_fleet import SteppedFleet
from tests.servers.web_client import WebClient

#: What an issue, an agent or a person may write to get out of a page.
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> \x1b[31mred\x07 \u202egnp.exe"

TOKEN, READING = "0123456789abcdef", "fedcba9876543210"
WEB = WebSettings(token=SecretStr(TOKEN), read_token=SecretStr(READING))


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A fleet on trial whose every text from outside is hostile."""
    made = SteppedFleet(redis_client, draws=[0.1, *[0.9] * 50], web=WEB)
    made.on_trial()
    first = made.enqueue(issue="local:shop#1", title=EVIL, task=EVIL).job
    made.end(first, SignalKind.AGENT_ERRORED, tail=EVIL)
    running = made.enqueue(issue="local:shop#2", title=EVIL).job
    made.claim(running)
    made.app.log_store.say(running, "text", EVIL)
    made.app.log_store.say(running, EVIL, EVIL)
    made.app.log_store.flush()
    made.app.signals.add(first, [made.fact(SignalKind.THUMB_DOWN, note=EVIL)])
    made.app.breakers.close("claude:default", "*", until=None, words=EVIL, by="ada")
    made.app.templates.propose("implementer", made.app.templates.find("implementer").snapshot.model_copy(
        update={"prompt": EVIL}))  # fmt: skip
    agent = made.app.agents.register(role=Role.BUILDER, job=running, task=EVIL)
    asked = {"options": [EVIL[:100], "drop"], "context": EVIL}
    made.app.post_office.send(
        Author(address=agent.name),
        Letter.checked(to="operator", type_="decision_gate", subject=EVIL, body=EVIL, payload=asked),
    )
    made.app.clocks.report(EVIL.replace("\t", " "), 0.0, version=EVIL, queues=["control"])
    made.app.switch.pause(EVIL)
    for act in ("pause", "job cancel", "mail send", "account close"):
        decision = NotedDecision(act=act, thing=EVIL, by=EVIL, way="page", reason=EVIL)
        made.app.decisions.note(decision)
    made.app.harvester.harvest()
    return made


def paths(fleet: SteppedFleet) -> list[str]:
    """Every page of a fleet."""
    jobs = [f"/jobs/{job.id}" for job in fleet.app.jobs.newest(most=10)]
    return [
        "/", "/trials", "/trials/implementer", "/trials/implementer-t1?all=1", "/jobs", "/jobs?state=running",
        "/issues", "/issues?state=escalated", "/templates", "/templates/implementer",
        "/versions/implementer@v3", "/versions/implementer@v3/diff", "/accounts", "/events", "/audit",
        "/events?kind=job.*", "/sign-in", "/workers", "/mail", "/mail?of=all",
        f"/mail/{fleet.app.post_office.newest(1)[0].id}", "/settings?all=1", "/health",
        "/search?q=alert", "/search?q=%3Cscript%3E", "/trials/implementer/replay", "/issues/graph",
        *jobs, *(f"{job}?q=%3Cscript%3E" for job in jobs),
    ]  # fmt: skip


class Links(HTMLParser):
    """What a page links to, and what it would load or run."""

    def __init__(self) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.loads: set[str] = set()
        self.faults: list[str] = []
        self.headings = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        self.headings += tag == "h1"
        if tag == "script" and dict(attrs) != {"src": "/static/live.js", "defer": None}:
            self.faults.append(f"script {attrs}")
        for name, value in attrs:
            if name.startswith("on") or name == "style" or tag in {"img", "iframe"}:
                self.faults.append(f"{tag} {name}={value}")
            if name in {"href", "src", "action"} and value:
                (self.loads if tag in {"link", "script"} else self.links).add(value)


def parsed(text: str) -> Links:
    """A page, read as a browser does."""
    found = Links()
    found.feed(text)
    return found


def test_text_from_outside_stays_text(fleet: SteppedFleet) -> None:
    """On no page does it become a tag, an attribute or a control character; it is there to be read."""
    client = fleet.web
    shown = 0
    for path in paths(fleet):
        answer = client.get(path, Accept="text/html")
        assert answer.status_code == 200, (path, answer.text)
        assert parsed(answer.text).faults == [], path
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e]", answer.text), path
        shown += "alert(1)&lt;/script&gt;" in answer.text
    assert shown >= 7


def test_every_link_leads_to_a_page(fleet: SteppedFleet) -> None:
    """From the first page on, to pages and documents of this server and to no other host."""
    client = fleet.web
    waiting, seen = {"/"}, set[str]()
    while waiting:
        path = waiting.pop()
        seen.add(path)
        answer = client.get(path.partition("#")[0], Accept="text/html")
        known = answer.status_code == 200 or "not in the backlog" in answer.text
        assert known, (path, answer.status_code)
        if "text/html" in answer.headers["content-type"]:
            found = parsed(answer.text)
            assert found.headings == 1, path
            assert found.loads - {"/static/live.js"} == {"data:,", "/static/coalmine.css"}, path
            links = {path.partition("?")[0] + link if link.startswith("?") else link for link in found.links}
            assert all(link.startswith(("/", "#")) for link in links), path
            waiting |= {link for link in links if link.startswith("/") and "sort=" not in link}
            waiting -= seen | {"/sign-out"}
    assert len(seen) > 20


def test_a_stream_says_when_something_happened(fleet: SteppedFleet) -> None:
    """The id of the newest event at once; a stream ends by itself; a store that is away is a 503."""
    app = FastAPI()
    app.include_router(live_routes(fleet.app, seconds=0.0))
    answer = WebClient(app).get("/live")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.startswith("retry: ")
    assert answer.text.endswith(f"data: {fleet.app.events.newest(1)[0].id}\n\n")
    with connect("redis://127.0.0.1:1/0", patience_seconds=0.0) as gone:
        assert WebClient(web_of(compose(Settings(), redis=gone))).get("/live").status_code == 503


def test_all_streams_together_ask_the_store_once_a_second() -> None:
    """However many there are."""
    now, asked = [100.0], list[float]()

    def read() -> str:
        asked.append(now[0])
        return f"{len(asked)}-0"

    async def ask_often() -> list[str]:
        newest = NewestEvent(read, lambda: now[0])
        found = [await newest() for _ in range(50)]
        now[0] += 1
        return [*found, await newest()]

    assert anyio.run(ask_often) == ["1-0"] * 50 + ["2-0"]


def test_a_page_may_load_nothing_but_files_of_this_server(fleet: SteppedFleet) -> None:
    """By its policy, and nobody may frame it."""
    client = fleet.web
    answer = client.get("/", Accept="text/html")
    assert answer.headers["Content-Security-Policy"] == PAGE_POLICY
    assert "unsafe" not in PAGE_POLICY
    assert "frame-ancestors 'none'" in PAGE_POLICY
    assert answer.headers["Referrer-Policy"] == "same-origin"  # else a browser's forms say `Origin: null`
    assert client.get("/static/coalmine.css").headers["content-type"].startswith("text/css")


def test_the_first_page_says_what_needs_a_person(fleet: SteppedFleet) -> None:
    """Paused dispatch, a closed account, nobody at work: each with a link and what to do."""
    text = html.unescape(fleet.web.get("/", Accept="text/html").text)
    assert "Dispatch is paused" in text
    assert "Account claude:default" in text
    assert "No worker has looked after this fleet yet" in text


def test_needs_of_a_fleet_that_is_well_are_none(redis_client: redis.Redis) -> None:
    """And a page that says so."""
    fleet = SteppedFleet(redis_client)
    status = replace(read_status(fleet.app), swept_at=fleet.clock())
    assert needs_of(status, [], ()) == []


def test_expired_and_contradicted_trials_need_a_person(fleet: SteppedFleet) -> None:
    """The most urgent first."""
    trial = replace(fleet.app.trials.find("implementer"), contradicted=True)
    found = [
        need
        for need in needs_of(read_status(fleet.app), [trial], {trial.id})
        if need.link.startswith("/trials")
    ]
    assert [need.what for need in found][-1].startswith("Signals after the verdict")
    assert found[-1].link == f"/trials/{trial.id}"


@pytest.mark.parametrize(
    ("state", "contradicted", "canary", "champion", "asks"),
    [
        (TrialState.EXPIRED, False, VersionState.PENDING, 1, True),
        (TrialState.EXPIRED, False, VersionState.REJECTED, 1, False),
        (TrialState.EXPIRED, False, VersionState.CHAMPION, 2, False),
        (TrialState.EXPIRED, False, None, None, True),  # cannot be read
        (TrialState.GRADUATED, True, VersionState.CHAMPION, 2, True),
        (TrialState.GRADUATED, True, VersionState.SUPERSEDED, 1, False),  # reverted
        (TrialState.GRADUATED, False, VersionState.CHAMPION, 2, False),
        (TrialState.ROLLED_BACK, True, VersionState.REJECTED, 1, True),
        (TrialState.ROLLED_BACK, True, VersionState.REJECTED, 3, False),
    ],
)
def test_a_person_is_asked_while_a_decision_is_missing(
    fleet: SteppedFleet, state: TrialState, champion: int | None, canary: VersionState | None,
    *, contradicted: bool, asks: bool,
) -> None:  # fmt: skip
    """Not any longer: what was promoted, rejected or reverted since is decided."""
    trial = replace(fleet.app.trials.find("implementer"), state=state, contradicted=contradicted)
    assert asks_person(trial, canary=canary, champion=champion) is asks


def test_an_expired_trial_asks_nobody_once_its_version_is_decided(fleet: SteppedFleet) -> None:
    """On the first page, when somebody has rejected the version."""
    fleet.app.trials.stop(fleet.app.trials.find("implementer"), by="ada")
    fleet.redis.hset(fleet.app.keys.trial("implementer-t1"), "state", "expired")
    client = fleet.web
    assert "ended without a verdict" in client.get("/", Accept="text/html").text
    fleet.app.templates.reject("implementer@v2", by="ada")
    assert "ended without a verdict" not in client.get("/", Accept="text/html").text


@pytest.mark.parametrize("damage", [("share", "much"), ("state", "lost"), ("evidence", "{"), ("policy", "{")])
def test_a_damaged_trial_is_shown_with_its_key(fleet: SteppedFleet, damage: tuple[str, str]) -> None:
    """And the rest of the pages is as it was: other trials, jobs, and what needs a person."""
    app, key = fleet.app, fleet.app.keys.trial("implementer-t1")
    app.templates.add("reviewer", app.templates.find("implementer").snapshot)
    reviewer = app.templates.find("reviewer").snapshot
    other = app.templates.propose("reviewer", reviewer.model_copy(update={"prompt": "other"})).version
    app.proposals.open(other, TrialPolicy(), by="ada")
    fleet.redis.hset(key, *damage)
    client = WebClient(web_of(app))
    home = client.get("/", Accept="text/html")
    assert home.status_code == 200
    assert f"The trial implementer-t1 is damaged (key {key})" in html.unescape(home.text)
    assert "reviewer@v2 against reviewer@v1" in home.text
    (damaged,) = client.get("/api/v1/status").json()["damaged_trials"]
    assert (damaged["id"], damaged["state"], damaged["key"]) == ("implementer-t1", "damaged", key)
    listed = client.get("/trials", Accept="text/html")
    assert (listed.status_code, "reviewer-t1" in listed.text) == (200, True)
    found = {each["id"]: each["state"] for each in client.get("/api/v1/trials").json()["trials"]}
    assert found["reviewer-t1"] == "open"
    if damage[0] in {"share", "state"}:
        assert (found["implementer-t1"], key in listed.text) == ("damaged", True)


def test_a_trial_is_one_sentence_a_plot_and_a_ledger(fleet: SteppedFleet) -> None:
    """The canary's failure speaks against it; each dot of the plot is a link to its job."""
    text = fleet.web.get("/trials/implementer", Accept="text/html").text
    assert "implementer@v2 against implementer@v1: the evidence that the canary is worse is" in text
    assert "it is rolled back at 20" in text
    assert text.count('class="dot') == 2 * len(fleet.app.jobs.newest(most=10))
    assert "worse: decides at 20" in text
    assert "no result after" not in text


def test_a_trial_has_its_difference_by_repository(redis_client: redis.Redis) -> None:
    """With its interval, as a sentence and by group, on its page and in its explanation."""
    fleet = SteppedFleet(redis_client, draws=[0.1, 0.9] * 20)
    fleet.on_trial()
    for place in range(20):
        repository = "local:shop" if place % 4 < 2 else "local:bank"
        job = fleet.enqueue(repository=repository).job
        fleet.end(job, SignalKind.FINISHED if place % 2 else SignalKind.AGENT_ERRORED)
    fleet.app.harvester.harvest()
    client = fleet.web
    text = html.unescape(client.get("/trials/implementer", Accept="text/html").text)
    assert "The canary's mean score less the champion's is -1.00 so far, and really between -1.00 and" in text
    assert "Difference by repository" in text
    groups = client.get("/api/v1/trials/implementer/explanation").json()["groups"]["repository"]
    assert {each["name"]: each["units"] for each in groups} == {"local:shop": 10, "local:bank": 10}
    (listed,) = client.get("/api/v1/trials").json()["trials"]
    assert listed["difference"]["upper"] <= 0  # it was rolled back
    assert "-1.00 [-1.00, " in client.get("/trials", Accept="text/html").text
    assert "no group has an interval" not in text
    fleet.redis.delete(fleet.app.keys.job(fleet.app.jobs.newest(most=1)[0].id))  # as when it expires
    again = client.get("/api/v1/trials/implementer/explanation").json()["groups"]["repository"]
    assert again == groups, "what was known when the trial moved last is kept"
    client = WebClient(web_of(SteppedFleet(redis_client).app))  # a process that knows nothing of before
    groups = client.get("/api/v1/trials/implementer/explanation").json()["groups"]["repository"]
    assert [each["difference"]["lower"] for each in groups] == [None, None]
    assert "no group has an interval" in client.get("/trials/implementer", Accept="text/html").text


def test_a_long_line_is_thinned_and_keeps_its_extremes() -> None:
    """At most so many points, the first and the last among them, and the peak that decided."""
    values = [float(place % 7) for place in range(5000)]
    values[1234] = 99.0
    kept = thinned(values)
    assert len(kept) <= MOST_POINTS
    assert {0, 1234, 4999} <= set(kept)
    assert kept == sorted(kept)
    assert thinned([1.0, 2.0]) == [0, 1]


def test_control_characters_are_made_visible() -> None:
    """Tabs and newlines stay; nothing else that could not be seen does."""
    assert visible("a\x1b[31mb\tc\r\nd\u202ee\u200bf\x7f") == (
        "a⟨U+001B⟩[31mb\tc\nd⟨U+202E⟩e⟨U+200B⟩f⟨U+007F⟩"
    )


def test_a_browser_gets_errors_as_pages(fleet: SteppedFleet) -> None:
    """What, where and what to do; a program gets JSON."""
    client = fleet.web
    answer = client.get("/jobs/0123456789abcdef", Accept="text/html")
    assert (answer.status_code, parsed(answer.text).headings) == (404, 1)
    assert "no job has the id 0123456789abcdef" in answer.text
    assert client.get("/jobs/0123456789abcdef").json()["detail"].startswith("no job has the id")
    assert client.get("/jobs?after=<b>", Accept="text/html").status_code == 422


def test_a_record_that_cannot_be_read_hides_no_other(fleet: SteppedFleet) -> None:
    """Lists have its name and why; its own page says what is damaged and what to do, also to programs."""
    fleet.add("reviewer")
    fleet.redis.hset(fleet.app.keys.versions("reviewer"), "1", "{")
    client = fleet.web
    listed = client.get("/templates", Accept="text/html")
    assert listed.status_code == 200
    assert "cannot be read: the stored record of reviewer@v1 cannot be read" in listed.text
    assert "implementer@v1" in listed.text
    broken, whole = sorted(
        client.get("/api/v1/templates").json()["templates"], key=lambda each: each["champion"] or ""
    )
    assert (broken["template"], broken["champion"], whole["champion"]) == ("reviewer", None, "implementer@v1")
    page = client.get("/templates/reviewer", Accept="text/html")
    assert page.status_code == 500
    assert "the stored record of reviewer@v1 cannot be read" in page.text
    assert "restore it from a backup" in page.text
    assert "a fault in Coalmine" not in page.text
    assert "reviewer@v1 cannot be read" in client.get("/api/v1/templates/reviewer").json()["detail"]


def test_a_long_log_is_cut_to_its_end(fleet: SteppedFleet) -> None:
    """By its characters as well as by its entries; the rest is a link away."""
    job = fleet.app.jobs.newest(most=1)[0].id
    for number in range(200):
        fleet.app.log_store.say(job, "text", f"<{number}>" + "x" * 1900)
    fleet.app.log_store.flush()
    client = fleet.web
    page = client.get(f"/jobs/{job}", Accept="text/html").text
    assert len(page) < 1.5 * MOST_CHARACTERS
    assert "&lt;199&gt;" in page
    assert "&lt;99&gt;" not in page
    assert "&lt;0&gt;" in client.get(f"/jobs/{job}?all=1", Accept="text/html").text


def test_a_store_that_is_away_is_said_at_once() -> None:
    """A page with 503, and nothing of the server's address."""
    with connect("redis://:hush@127.0.0.1:1/0", patience_seconds=0.0) as gone:
        answer = WebClient(web_of(compose(Settings(), redis=gone))).get("/", Accept="text/html")
    assert answer.status_code == 503
    assert "does not answer" in answer.text
    assert "hush" not in answer.text


def test_a_page_of_another_name_cannot_read_ours(fleet: SteppedFleet) -> None:
    """A host name that leads to loopback (DNS rebinding) gets nothing; webhooks may come under any name."""
    client = fleet.web
    for path in ("/", "/api/v1/status", "/metrics", "/readyz"):
        assert client.get(path, Host="evil.example").status_code == 421
        for name in ("localhost:8321", "127.0.0.1", "[::1]:8321"):
            assert client.get(path, Host=name).status_code == 200
    assert client.get("/healthz", Host="probe.example").status_code == 200
    assert client.post("/webhook/nobody", b"", {"Host": "tunnel.example"}).status_code == 404


def public(fleet: SteppedFleet) -> WebClient:
    """A client of a console that others can reach."""
    return WebClient(web_of(fleet.app, token=TOKEN))


def signed_in(client: WebClient, token: str, *, name: str = "Ada", to: str = "/jobs") -> httpx.Response:
    """Send the form of the sign-in page, as a browser does."""
    body = str(httpx.QueryParams({"token": token, "name": name, "to": to})).encode()
    return client.post("/sign-in", body, {"Origin": "http://127.0.0.1"})


def test_a_browser_is_asked_to_sign_in(fleet: SteppedFleet) -> None:
    """And then goes where it wanted to; a program gets 401."""
    client = public(fleet)
    answer = client.get("/jobs?state=failed", Accept="text/html")
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        "/sign-in?to=%2Fjobs%3Fstate%3Dfailed",
    )
    assert client.get("/jobs").status_code == 401
    assert client.get("/sign-in").status_code == 200
    assert client.get("/static/coalmine.css").status_code == 200


@pytest.mark.parametrize(("token", "says"), [(TOKEN, "Ada"), (READING, "Ada, reads")])
def test_a_token_becomes_a_session(fleet: SteppedFleet, token: str, says: str) -> None:
    """In a cookie that scripts and other sites do not get; the page says who looks."""
    client = public(fleet)
    answer = signed_in(client, token)
    assert (answer.status_code, answer.headers["location"]) == (303, "/jobs")
    cookie = answer.headers["set-cookie"]
    assert {"httponly", "samesite=strict"} <= {part.strip().lower() for part in cookie.split(";")}
    assert token not in cookie
    page = client.get("/jobs", Cookie=cookie.partition(";")[0])
    assert page.status_code == 200
    assert f"{says}</span>" in page.text


def test_what_we_did_not_sign_opens_nothing(fleet: SteppedFleet) -> None:
    """A wrong token, a cookie that was changed, one of other tokens, one that has ended."""
    client = public(fleet)
    assert signed_in(client, "x" * 16).status_code == 403
    assert signed_in(client, TOKEN, name=" \x1b ").status_code == 403
    now = [1000.0]
    access = WebAccess(acting_token=TOKEN, reading_token=READING, clock=lambda: now[0])
    cookie = access.cookie_for("Ada", Right.READ)
    forged = WebAccess(acting_token="y" * 16, clock=lambda: now[0]).cookie_for("Ada", Right.ACT)
    for value in (cookie[:-1] + "0", forged, "a.b", "", "." + cookie.partition(".")[2], '"', "\xff"):
        assert access.viewer(carrying(value)).right is Right.NOTHING
    assert access.viewer(carrying(cookie)).right is Right.READ
    now[0] += SESSION_SECONDS
    assert access.viewer(carrying(cookie)).right is Right.NOTHING


@pytest.mark.parametrize("access", [WebAccess(is_open=True), WebAccess(is_open=True, reading_token=READING)])
def test_where_nobody_may_decide_no_cookie_lets_one(access: WebAccess) -> None:
    """Neither one that was made without a token, nor one that a reader signs with theirs."""
    forgers = [WebAccess(), WebAccess(reading_token=READING), WebAccess(acting_token=READING)]
    for forger in forgers:
        try:
            cookie = forger.cookie_for("mallory", Right.ACT)
        except SettingsError:
            continue
        assert access.viewer(carrying(cookie)).right is Right.READ
        assert access.viewer(carrying(cookie)).name == ""
    with pytest.raises(SettingsError, match="no token"):
        WebAccess().cookie_for("mallory", Right.ACT)


def test_a_reader_signs_for_nobody_who_decides() -> None:
    """What a reader knows gives no acting cookie, and a reader's cookie tells nothing of the acting token."""
    access = WebAccess(acting_token=TOKEN, reading_token=READING, clock=lambda: 1000.0)
    known = WebAccess(reading_token=READING, clock=lambda: 1000.0)
    assert known.cookie_for("Ada", Right.READ) == access.cookie_for("Ada", Right.READ)
    payload, _, _ = access.cookie_for("Ada", Right.ACT).partition(".")
    own = known._mac(Right.READ, payload)  # noqa: SLF001 - the right of the payload, under the reader's key
    assert access.viewer(carrying(f"{payload}.{own}")).right is Right.NOTHING


@pytest.mark.parametrize("other", ["{a}=1; ", "x=y z; ", "a b=c; ", 'k="1; ', "é=1; "])
def test_malformed_cookies_of_others_hide_none_of_ours(other: str) -> None:
    """All programs at 127.0.0.1 share their cookies, whatever they write into them."""
    access = WebAccess(acting_token=TOKEN)
    cookie = access.cookie_for("Ada", Right.ACT)
    headers = Headers({"cookie": f"{other}{COOKIE}={cookie}"})
    assert access.viewer(headers).may_act


@pytest.mark.parametrize(("origin", "secure"), [("https://127.0.0.1", True), ("http://127.0.0.1", False)])
def test_a_cookie_is_for_tls_where_the_browser_speaks_it(
    fleet: SteppedFleet, origin: str, *, secure: bool
) -> None:
    """Also where a proxy ends it, so that we are asked over http."""
    client = public(fleet)
    body = str(httpx.QueryParams({"token": TOKEN, "name": "Ada", "to": "/"})).encode()
    made = client.post("/sign-in", body, {"Origin": origin}).headers["set-cookie"]
    sent = {"Origin": origin, "Cookie": made.partition(";")[0]}
    for cookie in (made, client.post("/sign-out", b"", sent).headers["set-cookie"]):
        assert ("secure" in {part.strip().lower() for part in cookie.split(";")}) is secure


def carrying(value: str) -> Headers:
    """Headers of a request with a cookie."""
    return Headers({"cookie": f"{COOKIE}={value}"})


def test_signing_in_leads_to_no_other_host(fleet: SteppedFleet) -> None:
    """A link that says where to go on is followed within this server alone."""
    for to in ("https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "/a\n"):
        assert signed_in(public(fleet), TOKEN, to=to).headers["location"] == "/"


@pytest.mark.parametrize(
    "headers",
    [{}, {"Origin": "http://evil.example"}, {"Origin": "null"},
     {"Origin": "http://127.0.0.1", "Sec-Fetch-Site": "cross-site"}],
)  # fmt: skip
def test_a_form_of_another_page_is_refused(fleet: SteppedFleet, headers: dict[str, str]) -> None:
    """Nobody can be signed in, or out, from elsewhere."""
    body = str(httpx.QueryParams({"token": TOKEN, "name": "Ada"})).encode()
    assert public(fleet).post("/sign-in", body, headers).status_code == 403
    assert fleet.web.post("/sign-out", b"", headers).status_code == 403


def test_an_issue_has_its_page(fleet: SteppedFleet) -> None:
    """By its name in the address, whatever is in it."""
    client = fleet.web
    assert client.get("/issue?ref=local:shop%2377", Accept="text/html").status_code == 404
    assert str(IssueRef.parse("local:shop#77")) == "local:shop#77"
    assert client.get("/issue?ref=%3Cscript%3E", Accept="text/html").status_code == 422


def test_looking_changes_nothing(fleet: SteppedFleet) -> None:
    """However often one looks."""
    before = fleet.everything()
    client = fleet.web
    for path in paths(fleet):
        client.get(path, Accept="text/html")
    assert fleet.everything() == before


@pytest.mark.parametrize(
    ("value", "settled", "said"),
    [
        (4.47, 60, "about 60 jobs to go"),  # half of the way, as evidence is a product
        (19.0, 200, "about 5 jobs to go"),
        (2.0, 400, "about 1350 jobs to go"),
        (1.4, 100, ""),  # too little
        (4.0, 9, ""),  # too few
        (1.6, 900, ""),  # too many to say
        (20.0, 60, ""),  # answered
        (float("inf"), 60, ""),
    ],
)
def test_what_is_to_go_is_said_where_it_can_be(value: float, settled: int, said: str) -> None:
    """By how evidence grew so far, rounded; and nothing where that says too little."""
    assert to_go(value, 20.0, settled, "job") == said


@pytest.mark.parametrize(
    ("page", "document"),
    [
        ("/jobs?state=failed&template=implementer", "/api/v1/jobs?state=failed&template=implementer"),
        ("/events?kind=trial.*", "/api/v1/events?kind=trial.%2A"),
        ("/audit?after=1-1", "/api/v1/decisions?after=1-1"),
    ],
)
def test_the_document_of_a_page_is_filtered_as_it_is(fleet: SteppedFleet, page: str, document: str) -> None:
    """By its link, as the CSV is."""
    footer = fleet.web.get(page, Accept="text/html").text.partition("<footer>")[2]
    (link,) = re.findall(r'<a href="(/api/[^"]*)"', footer)
    assert html.unescape(link) == document
    assert fleet.web.get(html.unescape(link)).status_code == 200
