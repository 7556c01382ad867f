"""Pages of the fleet itself: queues and workers, mail and gates, settings, health; what is decided there."""

import html
import re
import threading
from datetime import UTC, datetime

import pytest
import redis
from pydantic import SecretStr

from console.details.fleet_lines import read_fleet_lines
from console.details.gate_lines import shut_gates
from console.doctor.findings import ok, problem
from console.doctor.health_board import FRESH_SECONDS, HealthBoard, health_document
from routing.errors import UnavailableError
from routing.store.redis.health import HealthFinding, Status
from tasks.agents.mail.address import Author
from tasks.agents.mail.letter import Letter
from tasks.agents.mail.mail import Mail, MailState, MailType
from tasks.agents.mail.role import Role
from tasks.composition.composition import Coalmine
from tasks.settings.web_settings import WebSettings
from tests.fleets.stepped_fleet import SteppedFleet
from tests.unit.test_page_decisions import READING, TOKEN, Browser
from tests.waiting import wait_until


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A fleet with two jobs, of which a worker has one."""
    web = WebSettings(token=SecretStr(TOKEN), read_token=SecretStr(READING))
    made = SteppedFleet(redis_client, draws=[0.9] * 50, web=web)
    made.add()
    made.claim(made.enqueue(issue="local:shop#1").job, lease_seconds=1e6)
    made.clock.forward(3600)
    made.enqueue(issue="local:shop#2")
    return made


def text_of(fleet: SteppedFleet, path: str) -> str:
    """What a page says, without its markup."""
    answer = fleet.web.get(path, Accept="text/html")
    assert answer.status_code == 200, answer.text
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", answer.text)).split())


def ask(fleet: SteppedFleet, seconds: float | None = None) -> Mail:
    """An agent sends people a gate, and waits."""
    agent = fleet.app.agents.register(role=Role.BUILDER, job=fleet.app.jobs.newest(most=1)[0].id)
    payload: dict[str, object] = {"options": ["keep", "drop"], "context": "the old table"}
    if seconds is not None:
        payload["deadline"] = datetime.fromtimestamp(fleet.clock() + seconds, tz=UTC).isoformat()
    letter = Letter.checked(to="operator", type_="decision_gate", subject="Drop the table?", payload=payload)
    (receipt,) = fleet.app.post_office.send(Author(address=agent.name), letter)
    return fleet.app.post_office.find(receipt.id)


def test_queues_and_workers_have_their_page(fleet: SteppedFleet) -> None:
    """What waits and since when, who takes it, and who runs what."""
    fleet.app.clocks.report("w1", 0.25, version="1.2.3", queues=["champion", "canary"])
    fleet.app.clocks.report("beat@a", 0.0, version="1.2.4")
    fleet.clock.forward(60)
    said = text_of(fleet, "/workers")
    assert "champion 2 1 1 min ago 1" in said
    assert "w1 1.2.3 champion, canary 0.25" in said
    assert "local:shop#1 implementer@v1 1 h ago" in said
    assert "run different versions of Coalmine: 1.2.3, 1.2.4" in said
    document = fleet.web.get("/api/v1/workers").json()
    assert [each["process"] for each in document["processes"]] == ["beat@a", "w1"]
    assert document["processes"][1]["jobs"] == [fleet.app.jobs.newest(most=2)[1].id]
    assert document["versions"] == ["1.2.3", "1.2.4"]


def test_flower_is_linked_where_its_address_is_known(redis_client: redis.Redis) -> None:
    """From the page of workers, when there are some; nowhere without the setting."""
    for address in ("", "https://flower.example.org/tasks"):
        made = SteppedFleet(redis_client, web=WebSettings(flower_address=address))
        made.app.clocks.report("w1", 0.25, version="1.2.3", queues=["champion"])
        page = made.web.get("/workers", Accept="text/html").text
        assert ('<a href="https://flower.example.org/tasks">Flower</a>' in page) == bool(address)
    for wrong in ("javascript:alert(1)", "https://a b", "flower"):
        with pytest.raises(ValueError, match="flower_address"):
            WebSettings(flower_address=wrong)


def test_a_broker_that_is_away_hides_nothing_else(fleet: SteppedFleet) -> None:
    """How many messages it has is unknown then, and not none."""
    fleet.broker.down = True
    lines = read_fleet_lines(fleet.app)
    assert [line.messages for line in lines.queues] == [None] * 4
    assert lines.queues[0].jobs == 1
    assert "champion unknown 1" in text_of(fleet, "/workers")


@pytest.mark.parametrize(
    ("process", "queues", "said"),
    [
        ("jobs@a", ["champion"], False),
        ("jobs@a", ["canary"], True),
        ("beat@a", [], True),
        ("old@a", [], False),
    ],
)
def test_a_queue_that_nobody_serves_needs_a_person(
    fleet: SteppedFleet, process: str, queues: list[str], *, said: bool
) -> None:
    """Unless a worker of an earlier release, which does not say what it serves, may serve it."""
    fleet.app.clocks.report(process, 0.0, version="1" if queues else "", queues=queues)
    assert ("Work waits in the queue champion, and no worker takes from it" in text_of(fleet, "/")) is said


def test_a_gate_is_the_first_that_needs_a_person_and_is_answered_once(fleet: SteppedFleet) -> None:
    """By the option and in words; the agent gets the answer in the thread, and the gate is open then."""
    gate = ask(fleet, 7200)
    ada = Browser(fleet)
    first = html.unescape(ada.page("/"))
    assert first.index("waits for a decision: Drop the table?") < first.index("No worker has looked")
    assert f"/mail/{gate.id}" in first
    assert "within 2 h" in first
    path = f"/mail/{gate.id}"
    assert "the old table" in ada.page(path)
    assert ada.decides(path, f"{path}/answer", option="burn").status_code == 422
    assert ada.decides(path, f"{path}/answer", option="", words=" ").status_code == 422
    token = ada.forms(path)[f"{path}/answer"]
    answer = ada.sends(f"{path}/answer", token | {"option": "drop", "words": "nobody <reads> it"})
    assert (answer.status_code, answer.headers["location"]) == (303, path)
    (sent,) = fleet.app.post_office.newest(1, recipient=gate.sender)
    assert (sent.body, sent.author, sent.reply_to) == ("drop\n\nnobody <reads> it", "Ada", gate.id)
    assert fleet.app.agents.find(gate.sender).gate == ""
    assert fleet.app.post_office.find(gate.id).state is MailState.ACKED
    again = ada.sends(f"{path}/answer", token | {"option": "keep"})
    assert again.status_code == 409
    right = {"Authorization": f"Bearer {TOKEN}"}
    assert ada.client.post(f"/api/v1{path}/answer", b'{"option": "keep"}', right).status_code == 409
    assert len(fleet.app.post_office.newest(10, recipient=gate.sender)) == 1
    noted = [(each.act, each.thing, each.reason) for each in fleet.app.decisions.newest(9)]
    assert noted == [("mail answer", gate.id, "drop")]
    assert "no longer waits at this gate" in text_of(fleet, path)
    assert shut_gates(fleet.app) == []


def test_a_gate_whose_time_is_over_is_not_answered(fleet: SteppedFleet) -> None:
    """And no longer among what needs a person."""
    gate = ask(fleet, 60)
    ada = Browser(fleet)
    token = ada.forms(f"/mail/{gate.id}")[f"/mail/{gate.id}/answer"]
    fleet.clock.forward(61)
    assert ada.sends(f"/mail/{gate.id}/answer", token | {"option": "keep"}).status_code == 409
    assert "waits for a decision" not in text_of(fleet, "/")


def test_other_mail_is_read_and_answered(fleet: SteppedFleet) -> None:
    """Looking at it does not mark it as read; a person's word does."""
    agent = fleet.app.agents.register(role=Role.BUILDER, job=fleet.app.jobs.newest(most=1)[0].id)
    letter = Letter.checked(to="operator", type_="question", subject="Which port?", body="8080?")
    (receipt,) = fleet.app.post_office.send(Author(address=agent.name), letter)
    ada, path = Browser(fleet), f"/mail/{receipt.id}"
    assert "8080?" in ada.page(path)
    assert fleet.app.post_office.find(receipt.id).state is not MailState.ACKED
    ada.decides(path, f"{path}/read")
    assert fleet.app.post_office.find(receipt.id).state is MailState.ACKED
    assert f"{path}/read" not in ada.forms(path)
    ada.decides(path, f"{path}/answer", words="Yes.")
    (sent,) = fleet.app.post_office.newest(1, recipient=agent.name)
    assert (sent.body, sent.type) == ("Yes.", MailType.QUESTION)
    assert "Which port?" in ada.page("/mail")
    assert "Yes." in ada.page(f"/mail/{sent.id}")
    assert f"/mail/{sent.id}/answer" not in ada.forms(f"/mail/{sent.id}")


def test_a_reader_answers_nothing(fleet: SteppedFleet) -> None:
    """No form is offered, and none is taken."""
    gate = ask(fleet)
    reader = Browser(fleet, READING)
    assert f"/mail/{gate.id}/answer" not in reader.forms(f"/mail/{gate.id}")
    assert reader.sends(f"/mail/{gate.id}/answer", {"option": "keep"}).status_code == 403
    assert reader.sends("/workers/drain", {"worker": "jobs@a", "reason": "x"}).status_code == 403


def test_a_worker_is_asked_to_drain(fleet: SteppedFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is there, by its name, for a reason; beat has nothing to drain."""
    asked: list[str] = []
    monkeypatch.setattr(fleet.app.app.control, "shutdown", lambda *, destination: asked.extend(destination))
    fleet.app.clocks.report("jobs@a", 0.0, version="1", queues=["champion"])
    fleet.app.clocks.report("beat@a", 0.0, version="1")
    ada = Browser(fleet)
    form = ada.forms("/workers")["/workers/drain"]
    assert form["worker"] == "jobs@a"
    assert ada.sends("/workers/drain", form).status_code == 422, "it needs a reason"
    assert ada.sends("/workers/drain", form | {"worker": "jobs@b", "reason": "new disk"}).status_code == 404
    assert ada.sends("/workers/drain", form | {"worker": "beat@a", "reason": "new disk"}).status_code == 422
    assert asked == []
    answer = ada.decides("/workers", "/workers/drain", reason="new disk")
    assert answer.headers["location"] == "/workers"
    assert asked == ["jobs@a"]
    noted = fleet.app.decisions.newest(1)[0]
    assert (noted.act, noted.thing, noted.by, noted.reason) == ("worker drain", "jobs@a", "Ada", "new disk")
    body, right = b'{"worker": "jobs@a", "reason": "again"}', {"Authorization": f"Bearer {TOKEN}"}
    assert ada.client.post("/api/v1/workers/drain", body, right).status_code == 200
    assert asked == ["jobs@a"] * 2


def test_settings_are_shown_with_where_they_come_from(
    fleet: SteppedFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Secrets are masked, on the page and over the API."""
    monkeypatch.setenv("COALMINE_WEB__TOKEN", TOKEN)
    said = text_of(fleet, "/settings")
    assert "web.token ******** environment COALMINE_WEB__TOKEN" in said
    assert "job.max_attempts" not in said
    assert "job.max_attempts" in text_of(fleet, "/settings?all=1")
    answer = fleet.web.get("/api/v1/settings")
    assert TOKEN not in answer.text
    assert READING not in answer.text
    assert answer.json()["settings"]["web.token"]["source"] == "environment"


def test_health_is_what_doctor_says(fleet: SteppedFleet) -> None:
    """The worst first, with what to do."""
    fleet.app.switch.pause("a holiday")
    said = text_of(fleet, "/health")
    assert "warning pause dispatch is paused: a holiday" in said
    assert said.index("dispatch is paused: a holiday") < said.index("ok kill-switch off")
    document = fleet.web.get("/api/v1/health").json()
    found = {each["check"]: each["status"] for each in document["findings"]}
    assert (found["pause"], found["kill-switch"]) == (Status.WARNING, Status.OK)
    assert document["asking"] == []


def test_a_check_that_hangs_holds_up_no_page() -> None:
    """It has one thread; what is known is shown with its age, and what it finds at last is there then."""
    now, gate, begun = [100.0], threading.Event(), list[float]()

    def slow() -> list[HealthFinding]:
        begun.append(now[0])
        assert gate.wait(30)
        return [problem("forge-x", "it is away", "wait")]

    board = HealthBoard(
        {"quick": lambda: [ok("git", "fine")], "forges": slow}, monotonic=lambda: now[0], wait_seconds=0.05
    )
    try:
        for _ in range(3):
            quick, forges = board.look()
            assert ([each.check for each in quick.findings], forges.findings) == (["git"], ())
            now[0] += 1
        assert (begun, forges.asking_seconds) == ([100.0], 2.0)
        assert health_document(board.look())["asking"] == ["forges"]
    finally:
        gate.set()
    wait_until(lambda: board.look()[1].asking_seconds is None, description="the check has ended")
    assert health_document(board.look())["status"] == Status.PROBLEM
    assert len(begun) == 1, "what is new is not looked for again"
    now[0] += FRESH_SECONDS
    board.look()
    wait_until(lambda: len(begun) == 2, description="what is old is looked for again")


def test_a_check_that_fails_is_a_problem_and_is_tried_again() -> None:
    """It ends no thread for good."""

    def broken() -> list[HealthFinding]:
        raise RuntimeError("a fault")

    (line,) = HealthBoard({"broken": broken}).look()
    assert (line.findings[0].status, line.asking_seconds) == (Status.PROBLEM, None)


def test_what_the_store_does_not_say_is_a_finding(fleet: SteppedFleet) -> None:
    """A page of health is there while the store is away; only its own time is unknown."""

    def away(_parts: Coalmine) -> list[HealthFinding]:
        raise UnavailableError("Redis does not answer")

    (line,) = HealthBoard({"fleet": lambda: away(fleet.app)}).look()
    assert [each.status for each in line.findings] == [Status.PROBLEM]
