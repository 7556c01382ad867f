"""`POST /api/v1/…`: programs decide what people decide on the pages; each is noted."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from pydantic import SecretStr

from console.decisions.issue_decisions import AS_LABELLED
from console.web.api.act_routes import ACTS
from console.web.api.acting import MOST_BYTES, PriorityAct, ReasonedAct
from console.web.people.decision_routes import STEPS, act_of
from routing.backlog.backlog import Backlog
from routing.backlog.settings import BacklogSettings
from routing.errors import StoreAwayError
from routing.issues.stated_words import PRIORITIES, priority_in
from routing.jobs.job import JobState
from routing.jobs.signal import SignalKind
from routing.store.events.decision_store import DecisionStore, NotedDecision
from routing.templates.trial import TrialState
from routing.templates.version import VersionState
from tasks.agents.mail.address import Author
from tasks.agents.mail.letter import Letter
from tasks.agents.mail.role import Role
from tasks.settings.web_settings import WebSettings
from tests.fakes.issues import IssueForge, issue
from tests.fleets.backtests import held_backtest
from tests.fleets.stepped_fleet import SteppedFleet
from tests.fleets.walks import Walk
from tests.unit.test_page_decisions import READING, TOKEN, Browser


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


def sends(fleet: SteppedFleet, path: str, document: Any = None, **headers: str) -> httpx.Response:
    """The answer to a POST below `/api/v1` with the acting token."""
    content = b"" if document is None else json.dumps(document).encode()
    given = {
        "Authorization": f"Bearer {TOKEN}",
        **{name.replace("_", "-"): headers[name] for name in headers},
    }
    return fleet.web.post(f"/api/v1{path}", content, given)


def done(fleet: SteppedFleet, path: str, document: Any = None, **headers: str) -> dict[str, Any]:
    """What is answered to a call that must succeed."""
    answer = sends(fleet, path, document, **headers)
    assert answer.status_code in {200, 201}, answer.text
    found: dict[str, Any] = answer.json()
    return found


def noted(fleet: SteppedFleet) -> list[tuple[str, str, str, str]]:
    """What was noted, oldest first."""
    found = reversed(fleet.app.decisions.newest(100))
    return [(each.act, each.thing, each.by, each.reason) for each in found]


def test_the_api_has_every_decision_of_the_pages() -> None:
    """What a person can do there, a program can; each under the words of a command."""
    assert set(ACTS) == set(STEPS)
    assert {act_of(path) for path in ACTS} == {
        "pause", "resume", "job cancel", "job retry", "job thumb", "job message", "issue pause",
        "issue resume", "issue priority", "trial stop", "trial hold", "trial resume", "backtest stop",
        "backtest resume", "trial open", "template propose", "template promote", "template reject",
        "template revert", "account close", "account reopen", "mail answer", "mail read", "worker drain",
    }  # fmt: skip


def test_dispatch_is_paused_and_goes_on(fleet: SteppedFleet) -> None:
    """With a reason, and who; the answer is what holds then."""
    paused = done(fleet, "/fleet/pause", {"by": "ada\x1b[2J", "reason": "the forge\nis upgraded"})
    assert paused["paused"]
    assert fleet.app.switch.reason() == paused["reason"] == "the forge is upgraded (by ada)"
    assert done(fleet, "/fleet/resume") == {"paused": False, "reason": None}
    assert noted(fleet) == [
        ("pause", "", "ada", "the forge is upgraded"),
        ("resume", "", "token", ""),
    ]


def test_a_job_is_cancelled_tried_again_and_judged(fleet: SteppedFleet) -> None:
    """Each answers with the job as it is then."""
    waiting, failed = (job.id for job in fleet.app.jobs.newest(most=2))
    assert done(fleet, f"/jobs/{waiting}/cancel", {"by": "ada"})["state"] == "cancelled"
    assert done(fleet, f"/jobs/{failed}/retry")["state"] == "queued"
    done(fleet, f"/jobs/{failed}/thumb", {"thumb": "down", "by": "ada"})
    assert fleet.app.jobs.find(waiting).state is JobState.CANCELLED
    facts = fleet.app.signals.read(failed)
    assert [fact.note for fact in facts if fact.kind is SignalKind.THUMB_DOWN] == ["by ada"]
    assert [line[:3] for line in noted(fleet)] == [
        ("job cancel", waiting, "ada"), ("job retry", failed, "token"), ("job thumb", failed, "ada"),
    ]  # fmt: skip


def test_words_are_sent_to_the_agent_of_a_job(fleet: SteppedFleet) -> None:
    """They are its mail; of a job that nobody works on, or without words, nothing is sent."""
    job = fleet.app.jobs.newest(most=1)[0].id
    assert sends(fleet, f"/jobs/{job}/message", {"words": "x"}).status_code == 409
    fleet.claim(job)
    agent = fleet.app.agents.register(role=Role.BUILDER, job=job).name
    assert sends(fleet, f"/jobs/{job}/message", {"words": ""}).status_code == 422
    assert done(fleet, f"/jobs/{job}/message", {"words": "Use port 8080.", "by": "ada"})["id"] == job
    (mail,) = fleet.app.post_office.newest(5, recipient=agent)
    assert (mail.body, mail.author) == ("Use port 8080.", "ada")
    assert noted(fleet) == [("job message", job, "ada", "Use port 8080.")]


def test_a_trial_is_stopped_opened_and_its_version_promoted(fleet: SteppedFleet) -> None:
    """The steps of a version, with their reasons in its reviews."""
    why = {"by": "ada", "reason": "wrong model"}
    assert done(fleet, "/trials/implementer/stop", why)["state"] == TrialState.STOPPED
    assert done(fleet, "/versions/implementer@v2/open")["state"] == TrialState.OPEN
    assert done(fleet, "/versions/implementer@v2/promote", why)["state"] == VersionState.CHAMPION
    assert done(fleet, "/versions/implementer/revert", why)["state"] == VersionState.CHAMPION
    assert fleet.app.templates.champion("implementer").id == "implementer@v1"
    assert fleet.app.templates.reviews("implementer")[-1]["by"] == "ada"
    acts = ["trial stop", "trial open", "template promote", "template revert"]
    assert [line[0] for line in noted(fleet)] == acts
    done(fleet, "/versions/implementer/revert", why | {"reason": "again"})
    acts.append("template revert")
    refused = sends(fleet, "/versions/implementer@v1/reject", why)
    assert refused.status_code == 409
    assert [line[0] for line in noted(fleet)] == acts, "what was refused was not decided"


def test_a_way_is_begun_and_stopped(redis_client: redis.Redis, tmp_path: Path) -> None:
    """While it is in a backtest there is no trial to answer with, but the template with its way."""
    web = WebSettings(token=SecretStr(TOKEN), read_token=SecretStr(READING))
    fleet = Walk(redis_client, tmp_path / "cases", cases=3, web=web).fleet
    begun = done(fleet, "/versions/implementer@v2/open", {"by": "ada"})
    assert (begun["trial"], begun["way"]["run"]) == (None, "implementer-b1")
    ended = done(fleet, "/trials/implementer/stop", {"by": "ada", "reason": "wrong cases"})
    assert (ended["way"], fleet.app.backtest_opening.find("implementer-b1").reason) == (None, "wrong cases")
    assert [line[:3] for line in noted(fleet)] == [
        ("trial open", "implementer@v2", "ada"), ("trial stop", "implementer", "ada"),
    ]  # fmt: skip
    assert sends(fleet, "/trials/implementer:reviews/stop", {"reason": "x"}).status_code == 422


def test_a_backtest_that_is_held_decides_again_and_is_stopped(redis_client: redis.Redis) -> None:
    """Each answers with its report; a reason is asked for, and nothing is done twice."""
    made = held_backtest(redis_client, WebSettings(token=SecretStr(TOKEN), read_token=SecretStr(READING)))
    path, ada = f"/backtests/{made.run.id}", {"by": "ada", "reason": "its host was full"}
    assert sends(made.fleet, f"{path}/resume", {"by": "ada"}).status_code == 422
    assert made.now.alarms == ("exclusions",)
    for _ in range(2):
        shown = done(made.fleet, f"{path}/resume", ada)["backtest"]
        assert (shown["held_by"], shown["released"]) == ([], ["exclusions"])
    assert done(made.fleet, f"{path}/stop", ada)["backtest"]["state"] == "stopped"
    assert sends(made.fleet, f"{path}/resume", ada).status_code == 409
    assert [act for act, *_ in noted(made.fleet)] == ["backtest resume", "backtest stop"]


def test_an_issue_leaves_the_queue_and_goes_back(fleet: SteppedFleet) -> None:
    """By its name in the body."""
    backlog = Backlog(
        fleet.app.backlog_store, forges={"local": IssueForge()}, settings=BacklogSettings(),
        escalation_label="ready-for-human",
    )  # fmt: skip
    backlog.accept(issue(3, "", labels=[]), requested_by="ada")
    assert done(fleet, "/issue/pause", {"ref": "local:shop#3"})["state"] == "cancelled"
    assert done(fleet, "/issue/resume", {"ref": "local:shop#3"})["state"] == "ready"
    urgent = done(fleet, "/issue/priority", {"ref": "local:shop#3", "priority": "0"})
    assert urgent["metadata"]["priority"] == {"value": 0, "source": "person"}
    assert [line[:2] for line in noted(fleet)] == [
        ("issue pause", "local:shop#3"), ("issue resume", "local:shop#3"),
        ("issue priority", "local:shop#3"),
    ]  # fmt: skip


def test_a_job_is_made_once_by_its_key(fleet: SteppedFleet) -> None:
    """201 with its draw; the same key again is 200, the same job, and no second draw or note."""
    asked = {
        "template": "implementer",
        "task": "Make it pass",
        "title": "Sums",
        "priority": "high",
        "by": "ada",
    }
    first = sends(fleet, "/jobs", asked, Idempotency_Key="k1")
    made = fleet.app.jobs.find(first.json()["job"])
    assert (first.status_code, made.request.title, made.draw) == (201, "Sums", 0.9)
    draws = fleet.generator.asked
    again = sends(fleet, "/jobs", asked, Idempotency_Key="k1")
    assert (again.status_code, again.json()["job"], again.json()["created"]) == (200, made.id, False)
    assert fleet.generator.asked == draws
    assert noted(fleet) == [("enqueue", made.id, "ada", "")]
    assert sends(fleet, "/jobs", asked).json()["job"] != made.id


@pytest.mark.parametrize(
    ("path", "content", "status", "says"),
    [
        ("/fleet/pause", b"{}", 422, "reason"),
        ("/fleet/pause", b'{"reason": " \\u001b "}', 422, "reason"),
        ("/fleet/pause", b'{"reason": "%s"}' % (b"x" * 501), 422, "reason"),
        ("/fleet/pause", b'{"reason": "x", "else": 1}', 422, "else"),
        ("/fleet/pause", b"[1]", 422, "body"),
        ("/fleet/pause", b"\xff\x00", 422, "body"),
        ("/fleet/pause", b" " * (MOST_BYTES + 1), 413, "longer"),
        ("/jobs", b'{"template": "implementer", "task": " "}', 422, "task"),
        ("/jobs", b'{"template": "nobody", "task": "x"}', 404, "nobody"),
        ("/jobs/0123456789abcdef/cancel", b"", 404, "0123456789abcdef"),
        ("/jobs/x/cancel", b"", 422, "job id"),
        ("/trials/nobody/stop", b'{"reason": "x"}', 404, "nobody"),
        ("/issue/pause", b'{"ref": "x"}', 422, "FORGE"),
        ("/mail", b'{"to": "nobody", "body": "x"}', 404, "nobody"),
        ("/mail/0123456789abcdef/reply", b'{"body": "x"}', 404, "0123456789abcdef"),
    ],
)
def test_bad_calls_are_problems_and_change_nothing(
    fleet: SteppedFleet, path: str, content: bytes, status: int, says: str
) -> None:
    """problem+json, with what is wrong in words."""
    before = fleet.everything()
    answer = fleet.web.post(f"/api/v1{path}", content, {"Authorization": f"Bearer {TOKEN}"})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert says in json.dumps(answer.json()["detail"])
    assert fleet.everything() == before


def test_nobody_else_can_act(fleet: SteppedFleet) -> None:
    """Not without a token, with a wrong one, with the reading one, nor with a browser's session."""
    ada, web = Browser(fleet), fleet.web
    before = fleet.everything()
    body = b'{"reason": "x", "ref": "local:shop#1", "template": "implementer", "task": "x"}'
    rights: list[dict[str, str]] = [
        {},
        {"Authorization": "Bearer " + "x" * 16},
        {"Authorization": f"Bearer {READING}"},
        {"Cookie": ada.cookie, "Origin": "http://127.0.0.1"},
        {"Cookie": ada.cookie, "Authorization": f"Bearer {READING}"},
    ]
    for path in (*ACTS, "/jobs", "/mail", "/mail/{thing}/reply"):
        answers = [web.post(f"/api/v1{path.format(thing='implementer')}", body, given) for given in rights]
        assert [answer.status_code for answer in answers] == [403] * len(rights), path
        assert "web.token" in answers[0].json()["detail"], path
        assert fleet.everything() == before, path


def test_a_gate_is_answered(fleet: SteppedFleet) -> None:
    """An agent asks, and waits; its mail is listed, and the answer is taken once by its key."""
    agent = fleet.app.agents.register(role=Role.BUILDER, job="0123456789abcdef").name
    payload = {"options": ["keep", "drop"], "context": "the old table"}
    letter = Letter.checked(to="operator", type_="decision_gate", subject="Drop it?", payload=payload)
    fleet.app.post_office.send(Author(address=agent), letter)
    (asked,) = fleet.web.get("/api/v1/mail").json()["mails"]
    assert (asked["type"], asked["subject"]) == ("decision_gate", "Drop it?")
    assert fleet.app.agents.waits_for_person(agent)
    path, answer = f"/mail/{asked['id']}/reply", {"body": "keep", "by": "ada"}
    (sent,) = done(fleet, path, answer, Idempotency_Key="k")["sent"]
    (again,) = done(fleet, path, answer, Idempotency_Key="k")["sent"]
    assert (sent["created"], again["created"], sent["id"]) == (True, False, again["id"])
    assert not fleet.app.agents.waits_for_person(agent)
    mail = fleet.app.post_office.find(sent["id"])
    assert (mail.body, mail.recipient, mail.reply_to) == ("keep", agent, asked["id"])
    done(fleet, "/mail", {"to": agent, "subject": "Port", "body": "8080"})
    assert [line[:3] for line in noted(fleet)] == [
        ("mail reply", asked["id"], "ada"), ("mail send", agent, "token"),
    ]  # fmt: skip


def test_decisions_of_pages_and_programs_stand_in_one_list(fleet: SteppedFleet) -> None:
    """The audit page and the API have both, the newest first, with names as text."""
    ada = Browser(fleet)
    ada.decides("/", "/fleet/pause", reason="lunch <b>")
    ada.decides("/", "/fleet/resume")
    waiting = fleet.app.jobs.newest(most=1)[0].id
    done(fleet, f"/jobs/{waiting}/cancel", {"by": "<script>", "reason": "twice"})
    listed = fleet.web.get("/api/v1/decisions?limit=2").json()
    assert [(each["act"], each["by"], each["way"]) for each in listed["decisions"]] == [
        ("job cancel", "<script>", "api"), ("resume", "Ada", "page"),
    ]  # fmt: skip
    rest = fleet.web.get(f"/api/v1/decisions?after={listed['next']}").json()
    assert [each["reason"] for each in rest["decisions"]] == ["lunch <b>"]
    assert rest["next"] is None
    page = ada.page("/audit")
    assert "&lt;script&gt;" in page
    assert "lunch &lt;b&gt;" in page
    assert f'<a href="/jobs/{waiting}">' in page
    assert page.index("twice") < page.index("lunch")


def test_a_job_that_is_gone_has_no_link(fleet: SteppedFleet) -> None:
    """Decisions are kept for longer than jobs are; what was decided about one is still said."""
    waiting, failed = (job.id for job in fleet.app.jobs.newest(most=2))
    for job in (waiting, failed):
        done(fleet, f"/jobs/{job}/thumb", {"thumb": "down"})
    fleet.app.redis.delete(fleet.app.keys.job(failed))
    page = Browser(fleet).page("/audit")
    assert f'<a href="/jobs/{waiting}">' in page
    assert f"<td>{failed}</td>" in page
    assert page.count('<td class="text">down</td>') == 2


def test_an_empty_audit_says_what_to_do(fleet: SteppedFleet) -> None:
    """Nothing was decided yet."""
    assert "acting token" in Browser(fleet).page("/audit")


def test_a_decision_holds_although_it_cannot_be_noted(
    fleet: SteppedFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was carried out, so it is answered as such; the log has it."""

    def away(*_: object) -> None:
        message = "away"
        raise StoreAwayError(message)

    monkeypatch.setattr(DecisionStore, "note", away)
    assert done(fleet, "/fleet/pause", {"reason": "x"})["paused"]


def test_what_is_noted_is_bounded(fleet: SteppedFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream is trimmed at each write."""
    monkeypatch.setattr("routing.store.events.decision_store.MOST_KEPT", 5)
    for number in range(300):
        decision = NotedDecision(act="pause", thing=str(number), by="ada", way="api")
        fleet.app.decisions.note(decision)
    assert len(fleet.app.decisions.newest(1000)) < 300
    assert fleet.app.decisions.newest(1)[0].thing == "299"


def test_every_act_is_described(fleet: SteppedFleet) -> None:
    """OpenAPI has each with its body and its refusals."""
    paths = fleet.web.get("/openapi.json").json()["paths"]
    ours = {
        path: each["post"] for path, each in paths.items() if path.startswith("/api/v1") and "post" in each
    }
    assert len(ours) == len(ACTS) + 3
    for path, each in ours.items():
        assert each["summary"], path
        assert each["requestBody"]["content"]["application/json"]["schema"]["type"] == "object"
        assert {"403", "404", "409", "422", "503"} <= set(each["responses"]), path
        named = [one["name"] for one in each.get("parameters", []) if one["in"] == "path"]
        assert len(named) == path.count("{"), path


def test_what_needs_a_reason_says_so_in_its_description() -> None:
    """Also where a form is of two kinds; the server refuses a call without one."""
    asked = {path: act.form for path, act in ACTS.items() if issubclass(act.form, ReasonedAct)}
    assert "/accounts/close" in asked
    assert [
        path for path, form in asked.items() if "reason" not in form.model_json_schema()["required"]
    ] == []


def test_the_priorities_are_one_list_everywhere(fleet: SteppedFleet) -> None:
    """What the API takes, what a page offers, and what a label may say."""
    pattern = PriorityAct.model_json_schema()["properties"]["priority"]["pattern"]
    tried = [str(number) for number in range(12)] + [AS_LABELLED, ""]
    names = [str(number) for number in PRIORITIES]
    assert [each for each in tried if re.search(pattern, each)] == [*names, AS_LABELLED]
    assert [each for each in range(12) if priority_in([f"priority:{each}"]) is not None] == list(PRIORITIES)
    backlog = Backlog(
        fleet.app.backlog_store, forges={"local": IssueForge()}, settings=BacklogSettings(),
        escalation_label="ready-for-human",
    )  # fmt: skip
    backlog.accept(issue(7, "", labels=[]), requested_by="ada")
    ada = Browser(fleet)
    page = ada.page("/issue?ref=local%3Ashop%237")
    assert re.findall(r"<option(?: [^>]*)?>([^<]*)<", page) == [*names, "as its labels say"]
