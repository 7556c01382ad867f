"""Links of notifications: to pages, and to one answer of an agent that asks, without signing in."""

import html
import json
import re
from collections.abc import Mapping

import httpx
import pytest
import redis
from pydantic import SecretStr, ValidationError

from console.web.app import web_of
from tasks.agents.mail.address import Author
from tasks.agents.mail.letter import Letter
from tasks.agents.mail.mail import Mail
from tasks.agents.mail.role import Role
from tasks.composition.notify_parts import links_of
from tasks.notify.links import ANSWER_SECONDS, LinkedSink, Links
from tasks.notify.log_sink import LogSink
from tasks.notify.notification import Notification
from tasks.notify.slack_sink import payload
from tasks.notify.translation import translated
from tasks.settings.web_settings import WebSettings
from tests.fleets.stepped_fleet import SteppedFleet
from tests.servers.web_client import WebClient

TOKEN, SECRET, ADDRESS = "0123456789abcdef", "of-the-links-0123", "https://coalmine.example.org"
ORIGIN = {"Origin": "http://127.0.0.1", "Accept": "text/html"}


class KeptNotifications:
    """A sink that keeps what it was sent."""

    name = "inbox"

    def __init__(self) -> None:
        self.got: list[Notification] = []

    def send(self, notification: Notification) -> None:
        """Keep it."""
        self.got.append(notification)


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A fleet whose pages others reach by an address, with a secret for links."""
    web = WebSettings(token=SecretStr(TOKEN), address=f"{ADDRESS}/", link_secret=SecretStr(SECRET))
    made = SteppedFleet(redis_client, draws=[0.9] * 9, web=web)
    made.add()
    return made


@pytest.fixture
def client(fleet: SteppedFleet) -> WebClient:
    """Somebody who has not signed in, at a server that asks for a token."""
    return WebClient(web_of(fleet.app, token=TOKEN))


def ask(fleet: SteppedFleet) -> Mail:
    """An agent sends people a gate, and waits."""
    job = fleet.enqueue().job
    agent = fleet.app.agents.register(role=Role.BUILDER, job=job)
    asked = {"options": ["keep", "drop"], "context": "the <old> table"}
    letter = Letter.checked(to="operator", type_="decision_gate", subject="Drop it?", payload=asked)
    (receipt,) = fleet.app.post_office.send(Author(address=agent.name), letter)
    return fleet.app.post_office.find(receipt.id)


def sent(fleet: SteppedFleet) -> Notification:
    """The newest notification as a sink that people read gets it."""
    found = [made for event in fleet.events() if (made := translated(event)) is not None]
    inbox = KeptNotifications()
    LinkedSink(inbox, links_of(fleet.app.settings)).send(found[-1])
    return inbox.got[0]


def key_of(link: str) -> str:
    """The key in a link."""
    return str(httpx.URL(link).params["key"])


def posted(
    client: WebClient, mail: str, form: Mapping[str, str], headers: Mapping[str, str] = ORIGIN
) -> httpx.Response:
    """Send the form of a link's page."""
    return client.post(f"/answer/{mail}", str(httpx.QueryParams(dict(form))).encode(), dict(headers))


def test_a_gate_is_answered_by_its_link_once(fleet: SteppedFleet, client: WebClient) -> None:
    """Out of a message in Slack's form; opening it changes nothing, and who answered is noted."""
    gate = ask(fleet)
    text = json.loads(payload(sent(fleet)))["text"]
    assert f"\nPage: {ADDRESS}/mail/{gate.id}\n" in text
    (link,) = re.findall(r"^Answer once: (\S+)$", text, re.MULTILINE)
    assert link.startswith(f"{ADDRESS}/answer/{gate.id}?key=")
    before = fleet.everything()
    shown = client.get(link.removeprefix(ADDRESS), **ORIGIN)
    assert (shown.status_code, shown.headers["referrer-policy"]) == (200, "same-origin")
    assert "the &lt;old&gt; table" in shown.text
    assert "<script" not in shown.text, "nothing follows the fleet for one who may not look at it"
    assert fleet.everything() == before
    form = {"key": html.unescape(re.findall(r'name="key" value="([^"]*)"', shown.text)[0])}
    done = posted(client, gate.id, form | {"name": "Ada", "option": "drop", "words": "nobody reads it"})
    assert (done.status_code, "Answered by Ada" in done.text) == (200, True)
    (answer,) = fleet.app.post_office.newest(5, recipient=gate.sender)
    assert (answer.body, answer.author) == ("drop\n\nnobody reads it", "Ada")
    (noted,) = fleet.app.decisions.newest(5)
    assert (noted.act, noted.thing, noted.by, noted.way) == ("mail answer", gate.id, "Ada", "link")
    assert posted(client, gate.id, form | {"name": "Eve", "option": "keep"}).status_code == 409
    assert len(fleet.app.post_office.newest(5, recipient=gate.sender)) == 1
    assert "no longer waits" in client.get(link.removeprefix(ADDRESS), **ORIGIN).text


def test_a_link_that_is_not_right_answers_nothing(fleet: SteppedFleet, client: WebClient) -> None:
    """Another mail's, another secret's, one that ended, none; from another page; without a name."""
    other, gate = ask(fleet), ask(fleet)
    key = key_of(sent(fleet).fields["answer"])
    until = key.partition(".")[0]
    elsewhere = key_of(Links(address=ADDRESS, secret="x" * 16).answer(gate.id, until=int(until)))
    form = {"name": "Eve", "option": "drop"}
    before = fleet.everything()
    wrong = ["", ".", key[:-1], f"{int(until) + 9}{key[len(until) :]}", elsewhere, "9" * 150, f"²{key}"]
    assert [posted(client, gate.id, form | {"key": each}).status_code for each in wrong] == [403] * len(wrong)
    assert client.get(f"/answer/{gate.id}", **ORIGIN).status_code == 403
    assert posted(client, other.id, form | {"key": key}).status_code == 403
    assert posted(client, gate.id, form | {"key": key}, {"Origin": "http://evil.example"}).status_code == 403
    assert posted(client, gate.id, form | {"key": key}, {}).status_code == 403
    assert posted(client, gate.id, {"key": key, "option": "drop"}).status_code == 422
    assert posted(client, gate.id, form | {"key": key, "option": "burn"}).status_code == 422
    fleet.clock.forward(ANSWER_SECONDS + 1)
    assert posted(client, gate.id, form | {"key": key}).status_code == 403
    assert fleet.everything() == before


def test_a_link_opens_nothing_else(fleet: SteppedFleet, client: WebClient) -> None:
    """Its key signs nobody in: all other pages ask for a token as before."""
    gate = ask(fleet)
    key = key_of(sent(fleet).fields["answer"])
    for path in (f"/mail/{gate.id}", "/", "/answer", f"/jobs?key={key}", f"/answer/../jobs?key={key}"):
        assert client.get(path).status_code in {401, 403, 404}, path


def test_no_log_and_no_fleet_without_a_secret_gets_an_answer(
    fleet: SteppedFleet, capsys: pytest.CaptureFixture[str]
) -> None:
    """A log has the page alone; without the secret no link answers, and without an address there is none."""
    ask(fleet)
    asked = [made for event in fleet.events() if (made := translated(event)) is not None][-1]
    LinkedSink(LogSink(), Links(address=ADDRESS, secret=SECRET)).send(asked)
    said = capsys.readouterr()
    assert f"{ADDRESS}/mail/" in said.out + said.err
    assert "/answer/" not in said.out + said.err
    bare = Links(address=ADDRESS)
    assert set(bare.added(asked, answers=True).fields) - set(asked.fields) == {"link"}
    assert not bare.allows("m", key_of(bare.answer("m", until=9)), now=1.0)
    assert Links(address="").added(asked, answers=True) == asked
    with pytest.raises(ValidationError, match="link_secret needs address"):
        WebSettings(link_secret=SecretStr(SECRET))


@pytest.mark.parametrize(
    ("fields", "page"),
    [
        ({"job": "4f1d", "issue": "local:shop#3", "version": "implementer@v2"}, "/jobs/4f1d"),
        ({"issue": "github:acme/shop#3"}, "/issue?ref=github%3Aacme%2Fshop%233"),
        ({"version": "implementer@v2", "champion": "implementer@v1"}, "/versions/implementer@v2"),
        ({"account": "claude:default"}, "/accounts"),
        ({"backtest": "implementer-b1", "version": "implementer@v2"}, "/backtests/implementer-b1"),
        ({"forge": "github"}, ""),
    ],
)
def test_a_notification_links_to_the_page_of_its_thing(fields: dict[str, str], page: str) -> None:
    """The most particular of those that it names."""
    made = Notification(id="1", kind="done", subject="x", title="x", at=0.0, fields=fields)
    linked = Links(address=ADDRESS).added(made, answers=True)
    assert linked.fields.get("link", "") == (ADDRESS + page if page else "")
