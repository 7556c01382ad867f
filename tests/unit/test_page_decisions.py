"""What people decide on the pages: each decision does what the command does, and nobody else can send one."""

import html
import json
import re
import threading
from pathlib import Path

import anyio
import httpx
import pytest
import redis
from pydantic import SecretStr
from starlette.requests import Request

from console.web.bounded_protocol import PHASE_SECONDS
from console.web.error_answers import _ours
from console.web.open_connections import Phase
from console.web.people.decision_routes import STEPS, Decided, SentDecision
from console.web.people.session import COOKIE, Right, WebAccess
from console.web.request_limits import (
    CALL_SECONDS,
    DECISION_SECONDS,
    DecisionTimeoutError,
    decided_in_thread,
)
from routing.accounts.breaker import version_breaker
from routing.backlog.backlog import Backlog
from routing.backlog.settings import BacklogSettings
from routing.jobs.job import JobState
from routing.jobs.signal import SignalKind
from routing.store.backtests.backtest_store import BacktestState
from routing.templates.trial import TrialState
from routing.templates.version import VersionState
from tasks.composition.composition import Coalmine
from tasks.settings.web_settings import WebSettings
from tests.fakes.issues import IssueForge, issue
from tests.fleets.backtests import held_backtest
from tests.fleets.stepped_fleet import SteppedFleet
from tests.fleets.walks import Walk

TOKEN, READING = "0123456789abcdef", "fedcba9876543210"
ORIGIN = {"Origin": "http://127.0.0.1"}


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A fleet on trial with an open job and one that failed."""
    web = WebSettings(token=SecretStr(TOKEN), read_token=SecretStr(READING))
    made = SteppedFleet(redis_client, draws=[0.9] * 50, web=web)
    made.on_trial()
    made.enqueue(title="failed")
    made.end(made.app.jobs.newest(most=1)[0].id, SignalKind.AGENT_ERRORED)
    made.clock.forward(1)
    made.enqueue(title="open")
    return made


class Browser:
    """Somebody at a browser, who sends the forms that a page offers."""

    def __init__(self, fleet: SteppedFleet, token: str = TOKEN) -> None:
        self.client = fleet.web
        body = str(httpx.QueryParams({"token": token, "name": "Ada", "to": "/"})).encode()
        answer = self.client.post("/sign-in", body, ORIGIN)
        self.cookie = answer.headers["set-cookie"].partition(";")[0]

    def page(self, path: str) -> str:
        """A page as this person gets it."""
        answer = self.client.get(path, Cookie=self.cookie, Accept="text/html")
        assert answer.status_code == 200, answer.text
        return answer.text

    def forms(self, path: str) -> dict[str, dict[str, str]]:
        """The hidden fields of each form of a page, by where it is sent; the last of several to one place."""
        found = re.findall(r'<form class="act"[^>]*action="([^"]*)">(.*?)</form>', self.page(path), re.DOTALL)
        fields = re.compile(r'type="hidden" name="([^"]*)" value="([^"]*)"')
        return {html.unescape(action): dict(fields.findall(inner)) for action, inner in found}

    def decides(self, path: str, action: str, **given: str) -> httpx.Response:
        """Send the form of a page; its answer, which leads back to a page when it was done."""
        return self.sends(action, self.forms(path)[action] | given)

    def sends(
        self, action: str, form: dict[str, str], headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """Send any form."""
        sent = (ORIGIN if headers is None else headers) | {"Cookie": self.cookie}
        return self.client.post(action, str(httpx.QueryParams(form)).encode(), sent)


def test_dispatch_is_paused_and_goes_on(fleet: SteppedFleet) -> None:
    """With the reason and the name of the person, as everybody sees on the first page."""
    ada = Browser(fleet)
    answer = ada.decides("/", "/fleet/pause", reason="the forge is <upgraded>")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert fleet.app.switch.reason() == "the forge is <upgraded> (by Ada)"
    assert "the forge is &lt;upgraded&gt; (by Ada)" in ada.page("/")
    ada.decides("/", "/fleet/resume")
    assert fleet.app.switch.reason() is None


def test_a_version_that_did_not_start_is_tried_again(fleet: SteppedFleet) -> None:
    """The first page offers it, also while dispatch is not paused, and does what `coalmine resume` does."""
    ada = Browser(fleet)
    assert "/fleet/resume" not in ada.forms("/")
    breaker = version_breaker("implementer@v1")
    for job in ("a", "b", "c"):
        fleet.app.breakers.failed(breaker, alike="no program", words="not found", job=job)
    assert "Try implementer@v1 again" in ada.page("/")
    ada.decides("/", "/fleet/resume")
    assert fleet.app.breakers.closed() == []
    (noted,) = fleet.app.decisions.newest(1)
    assert (noted.act, noted.by) == ("resume", "Ada")
    assert "/fleet/resume" not in ada.forms("/")


def test_a_job_is_cancelled_tried_again_and_judged(fleet: SteppedFleet) -> None:
    """Each is offered where it can be done."""
    ada = Browser(fleet)
    waiting, failed = (job.id for job in fleet.app.jobs.newest(most=2))
    assert f"/jobs/{waiting}/retry" not in ada.forms(f"/jobs/{waiting}")
    ada.decides(f"/jobs/{waiting}", f"/jobs/{waiting}/cancel")
    assert fleet.app.jobs.find(waiting).state is JobState.CANCELLED
    assert "Ada" in fleet.app.jobs.find(waiting).reason
    answer = ada.decides(f"/jobs/{failed}", f"/jobs/{failed}/retry")
    assert answer.headers["location"] == f"/jobs/{failed}"
    assert fleet.app.jobs.find(failed).state is JobState.QUEUED
    ada.sends(f"/jobs/{failed}/thumb", ada.forms(f"/jobs/{failed}")[f"/jobs/{failed}/thumb"])
    thumbs = [fact for fact in fleet.app.signals.read(failed) if fact.kind is SignalKind.THUMB_DOWN]
    assert [fact.note for fact in thumbs] == ["by Ada"]
    before = fleet.everything()
    assert ada.decides(f"/jobs/{failed}", f"/jobs/{failed}/thumb").status_code == 303
    assert fleet.everything() == before, "the same thumb twice is one decision"


def test_a_way_is_stopped_where_no_trial_is_open(redis_client: redis.Redis, tmp_path: Path) -> None:
    """In a backtest the page of the template offers it."""
    web = WebSettings(token=SecretStr(TOKEN), read_token=SecretStr(READING))
    walk = Walk(redis_client, tmp_path / "cases", cases=3, web=web)
    page = "/templates/implementer"
    assert "/trials/implementer/stop" not in Browser(walk.fleet).forms(page)
    walk.tick()
    answer = Browser(walk.fleet).decides(page, "/trials/implementer/stop", reason="wrong cases")
    assert (answer.status_code, answer.headers["location"], walk.way) == (303, page, "")


def test_a_backtest_that_is_held_decides_again_and_is_stopped(redis_client: redis.Redis) -> None:
    """On its own page, to which the first one leads while it is held; each once."""
    web = WebSettings(token=SecretStr(TOKEN), read_token=SecretStr(READING))
    made = held_backtest(redis_client, web)
    page = f"/backtests/{made.run.id}"
    ada = Browser(made.fleet)
    assert "Checks of its health hold it" in ada.page(page)
    assert f'href="{page}"' in ada.page("/")
    assert set(ada.forms(page)) == {f"{page}/stop", f"{page}/resume"}
    answer = ada.decides(page, f"{page}/resume", reason="its host was full")
    assert (answer.status_code, answer.headers["location"]) == (303, page)
    assert (made.now.alarms, made.now.released) == ((), ("exclusions",))
    (event,) = made.fleet.events("backtest.resumed")
    assert (event.data["by"], event.data["reason"]) == ("Ada", "its host was full")
    assert (f'href="{page}"' in ada.page("/"), set(ada.forms(page))) == (False, {f"{page}/stop"})
    ada.decides(page, f"{page}/stop", reason="wrong cases")
    assert (made.now.state, made.now.reason) == (BacktestState.STOPPED, "wrong cases")
    assert ada.forms(page) == {}
    assert ada.page("/audit").count(f'href="{page}"') == 2


def test_an_issue_leaves_the_queue_and_goes_back(fleet: SteppedFleet) -> None:
    """From its own page, with who did it."""
    backlog = Backlog(
        fleet.app.backlog_store, forges={"local": IssueForge()}, settings=BacklogSettings(),
        escalation_label="ready-for-human",
    )  # fmt: skip
    backlog.accept(issue(3, "", labels=[]), requested_by="ada")
    ada, page = Browser(fleet), "/issue?ref=local%3Ashop%233"
    answer = ada.decides(page, "/issue/pause")
    assert (answer.status_code, answer.headers["location"]) == (303, page)
    assert "Ada" in ada.page(page)
    assert set(ada.forms(page)) == {"/issue/resume", "/issue/priority"}
    ada.decides(page, "/issue/resume")
    assert set(ada.forms(page)) == {"/issue/pause", "/issue/priority"}


def test_an_issue_is_given_a_priority(fleet: SteppedFleet) -> None:
    """From its own page, noted with the number; another word than those offered changes nothing."""
    backlog = Backlog(
        fleet.app.backlog_store, forges={"local": IssueForge()}, settings=BacklogSettings(),
        escalation_label="ready-for-human",
    )  # fmt: skip
    backlog.accept(issue(3, "", labels=["P7"]), requested_by="ada")
    ada, page, ref = Browser(fleet), "/issue?ref=local%3Ashop%233", issue(3).ref
    answer = ada.decides(page, "/issue/priority", priority="1")
    assert (answer.status_code, answer.headers["location"]) == (303, page)
    assert backlog.find(ref).metadata.priority == 1
    assert "<option selected>1</option>" in ada.page(page)
    assert "Priority 1, set by a person" in ada.page(page)
    assert ada.decides(page, "/issue/priority", priority="10").status_code == 422
    ada.decides(page, "/issue/priority", priority="labels")
    assert backlog.find(ref).metadata.priority == 7
    found = [(each.act, each.by, each.reason) for each in fleet.app.decisions.newest(9)]
    assert found == [("issue priority", "Ada", "labels"), ("issue priority", "Ada", "1")]


def test_a_trial_is_stopped_with_a_reason(fleet: SteppedFleet) -> None:
    """Without one nothing is done; a second time changes nothing."""
    ada = Browser(fleet)
    stop = "/trials/implementer-t1/stop"
    form = ada.forms("/trials/implementer")[stop]
    for reason in ("", " \x1b[2J ", "x" * 501):
        assert ada.sends(stop, form | {"reason": reason}).status_code == 422
    assert fleet.app.trials.find("implementer").is_open
    assert ada.sends(stop, form | {"reason": "wrong model"}).status_code == 303
    trial = fleet.app.trials.find("implementer")
    assert (trial.state, trial.reason) == (TrialState.STOPPED, "wrong model")
    before = fleet.everything()
    assert ada.sends(stop, form | {"reason": "again"}).status_code == 303
    assert fleet.everything() == before
    assert stop not in ada.forms("/trials/implementer")


def test_versions_are_rejected_opened_promoted_and_reverted(fleet: SteppedFleet) -> None:
    """What a template went through is in its decisions, with who and why."""
    ada = Browser(fleet)
    page = "/versions/implementer@v2"
    ada.decides(page, f"{page}/reject", reason="it forgets tests")
    assert fleet.app.templates.find("implementer@v2").state is VersionState.REJECTED
    third = fleet.propose("three")
    page = f"/versions/{third.id}"
    opened = ada.decides(page, f"{page}/open")
    assert opened.headers["location"] == "/trials/implementer-t2"
    assert fleet.app.trials.find("implementer").canary_id == third.id
    ada.decides(page, f"{page}/promote", reason="reviewed by hand")
    assert fleet.app.templates.champion("implementer").id == third.id
    first = "/versions/implementer@v1"
    ada.decides(first, f"{first}/revert", reason="it was better")
    assert fleet.app.templates.champion("implementer").number == 1
    shown = ada.page("/templates/implementer")
    for words in ("it forgets tests", "reviewed by hand", "it was better", "Ada"):
        assert words in shown


def test_an_account_is_closed_and_reopened(fleet: SteppedFleet) -> None:
    """One that nobody has is not found."""
    ada = Browser(fleet)
    ada.decides("/accounts", "/accounts/close", reason="the bill")
    (closed,) = [each for each in fleet.app.breakers.all() if not each.is_open]
    assert closed.words == "the bill"
    ada.decides("/accounts", "/accounts/reopen")
    assert all(each.is_open for each in fleet.app.breakers.all())
    form = ada.forms("/accounts")["/accounts/close"] | {"account": "claude:nobody", "reason": "x"}
    assert ada.sends("/accounts/close", form).status_code == 404


def test_reopening_the_default_model_leaves_the_others_closed(fleet: SteppedFleet) -> None:
    """Each row of the accounts is one breaker, and its form is about that one."""
    ada = Browser(fleet)
    for model in ("", "opus"):
        fleet.app.breakers.close("claude:default", model, until=None, words="used up", by="Bob")
    rows = re.findall(
        r'<form class="act"[^>]*action="/accounts/reopen">(.*?)</form>', ada.page("/accounts"), re.DOTALL
    )
    (form,) = [row for row in rows if 'name="model" value=""' in row]
    fields = dict(re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', form))
    assert ada.sends("/accounts/reopen", fields).status_code == 303
    assert [each.model for each in fleet.app.breakers.all() if not each.is_open] == ["opus"]


def test_a_decision_has_longer_than_a_page(fleet: SteppedFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forge that it asks may be slower than the store."""

    def slow(parts: Coalmine, decision: SentDecision) -> Decided:
        threading.Event().wait(0.5)
        return Decided(f"/{decision.by}/{parts.switch.reason()}")

    monkeypatch.setitem(STEPS, "/fleet/pause", slow)
    ada = Browser(fleet)
    form = ada.forms("/")["/fleet/pause"]
    monkeypatch.setattr("console.web.request_limits.CALL_SECONDS", 0.1)
    answer = ada.sends("/fleet/pause", form | {"reason": "x"})
    assert (answer.status_code, answer.headers.get("location")) == (303, "/Ada/None")


def test_a_decision_that_takes_too_long_may_still_be_made() -> None:
    """One that asks a forge may: the answer says so, and what to do."""
    began, goes_on = threading.Event(), threading.Event()

    def ask() -> str:
        began.set()
        goes_on.wait(30)
        return "/"

    async def decide(seconds: float) -> str:
        return await decided_in_thread(ask, seconds=seconds)

    try:
        for seconds in (0.1, 1.0, 10.0):  # a loaded machine may not have begun after the first
            with pytest.raises(DecisionTimeoutError, match="may still be"):
                anyio.run(decide, seconds)
            if began.is_set():
                break
        assert began.is_set()
    finally:
        goes_on.set()
    answer = anyio.run(
        _ours, Request({"type": "http", "path": "/x", "headers": []}), DecisionTimeoutError("may")
    )
    assert (answer.status_code, json.loads(bytes(answer.body))) == (503, {"detail": "may"})
    assert DECISION_SECONDS > 3 * CALL_SECONDS
    assert PHASE_SECONDS[Phase.ANSWER] > DECISION_SECONDS, "the answer comes before its connection is closed"


def test_what_cannot_be_done_changes_nothing(fleet: SteppedFleet) -> None:
    """The answer says why, as a page."""
    ada = Browser(fleet)
    waiting = fleet.app.jobs.newest(most=1)[0].id
    csrf = ada.forms(f"/jobs/{waiting}")[f"/jobs/{waiting}/cancel"]
    before = fleet.everything()
    headers = ORIGIN | {"Accept": "text/html"}
    answer = ada.sends(f"/jobs/{waiting}/retry", csrf, headers)
    assert (answer.status_code, "only a job that ended without success" in answer.text) == (409, True)
    assert ada.sends("/jobs/0123456789abcdef/cancel", csrf, headers).status_code == 404
    assert ada.sends(f"/jobs/{waiting}/thumb", csrf | {"thumb": "sideways"}, headers).status_code == 422
    assert ada.sends("/issue/pause", csrf, headers).status_code == 422
    assert fleet.everything() == before


def test_nobody_else_can_decide(fleet: SteppedFleet) -> None:
    """Not without a session, without its CSRF token, from another page, nor with the reading token."""
    ada, reader = Browser(fleet), Browser(fleet, READING)
    form = ada.forms("/")["/fleet/pause"] | {
        "reason": "x",
        "ref": "local:shop#1",
        "account": "a",
        "model": "*",
    }
    body = str(httpx.QueryParams(form)).encode()
    before = fleet.everything()
    stranger = WebAccess(acting_token="y" * 16).cookie_for("Eve", Right.ACT)
    for path in STEPS:
        action = path.format(thing="implementer-t1")
        attempts = [
            ada.client.post(action, body, ORIGIN),
            ada.client.post(action, body, ORIGIN | {"Cookie": f"{COOKIE}={stranger}"}),
            ada.client.post(action, body, ORIGIN | {"Authorization": f"Bearer {TOKEN}"}),
            ada.sends(action, form | {"csrf": ""}),
            ada.sends(action, form | {"csrf": "0" * 64}),
            ada.sends(action, form, {}),
            ada.sends(action, form, {"Origin": "http://evil.example"}),
            ada.sends(action, form, ORIGIN | {"Sec-Fetch-Site": "cross-site"}),
            reader.sends(action, form),
        ]
        assert [answer.status_code for answer in attempts] == [403] * len(attempts), action
        assert ada.client.get(action, Cookie=ada.cookie).status_code in {404, 405}, action
        assert fleet.everything() == before, action


def test_forms_are_offered_to_those_who_may_decide(fleet: SteppedFleet) -> None:
    """A reader, and one who has not signed in, get none."""
    reader = Browser(fleet, READING)
    assert reader.forms("/") == {}
    assert 'class="act"' not in reader.client.get("/", Accept="text/html").text
    assert set(Browser(fleet).forms("/")) == {"/fleet/pause"}
