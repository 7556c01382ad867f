"""One contract for everything that notifications are sent to, against a server that misbehaves."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from tasks.notify.notification import Notification, NotificationKind
from tasks.notify.settings import NotifySettings
from tasks.notify.sink import Sink, UndeliveredError
from tests.fleets.stepped_fleet import START
from tests.servers.sink_server import SinkServer, Word, sink_server

SECRET, PREVIOUS = "the-present-secret", "the-previous-secret"
HTTP = ("webhook", "slack")

NOTIFICATION = Notification(
    id="1700000000000-0:needs-human",
    kind=NotificationKind.NEEDS_HUMAN,
    subject="4f1d0c2ab39e8876",
    title="local:shop#3 escalated: a person is needed",
    words="no commit",
    at=START,
    fields={"issue": "local:shop#3", "version": "implementer@v2"},
)


@pytest.fixture
def server() -> Iterator[SinkServer]:
    """A receiver."""
    with sink_server() as made:
        yield made


def sink(name: str, server: SinkServer, **settings: object) -> Sink:
    """A sink that sends to the receiver."""
    made = NotifySettings.model_validate(
        {
            "answer_seconds": 0.5,
            "log": {"enabled": name == "log"},
            "webhook": {"url": server.address, "secret": SECRET, **settings} if name == "webhook" else {},
            "slack": {"url": server.address} if name == "slack" else {},
        }
    )
    ((found, kinds),) = made.configured(lambda: START)
    assert kinds == tuple(NotificationKind)
    return found


def refused(name: str, server: SinkServer, word: Word) -> UndeliveredError:
    """What a sink says of an answer that it does not take for a yes."""
    server.always = word
    with pytest.raises(UndeliveredError) as caught:
        sink(name, server).send(NOTIFICATION)
    return caught.value


@pytest.mark.parametrize("name", ["log", *HTTP])
def test_a_sink_says_everything_that_matters(name: str, server: SinkServer) -> None:
    """Kind, title, reason and version arrive."""
    with capture_logs() as logs:
        sink(name, server).send(NOTIFICATION)
    said = json.dumps(logs) if name == "log" else server.deliveries[0].body.decode()
    for word in ("needs-human", "local:shop#3 escalated", "no commit", "implementer@v2"):
        assert word in said


@pytest.mark.parametrize("name", HTTP)
@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_yes_is_one(name: str, status: int, server: SinkServer) -> None:
    """Receivers answer with what they like above 199."""
    server.always = Word(status=status, body=b"" if status == 204 else b"<b>thanks</b>")
    sink(name, server).send(NOTIFICATION)
    assert len(server.deliveries) == 1


@pytest.mark.parametrize("name", HTTP)
@pytest.mark.parametrize(
    "word",
    [
        *(Word(status=status) for status in (408, 425, 429, 500, 502, 503)),
        Word(drop=True),
        Word(hang=True),
        Word(headers={"Content-Type": "text/html"}, body=b"<!DOCTYPE html><title>Sign in</title>"),
    ],
    ids=lambda word: f"{word.status}{'drop' * word.drop}{'hang' * word.hang}",
)
def test_what_may_pass_is_worth_another_attempt(name: str, word: Word, server: SinkServer) -> None:
    """Too many requests, faults of the server, silence, and a sign-in page in place of the receiver."""
    assert not refused(name, server, word).final


@pytest.mark.parametrize("name", HTTP)
@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 410, 413])
def test_a_definite_no_is_final(name: str, status: int, server: SinkServer) -> None:
    """Sending the same again would end the same way."""
    assert refused(name, server, Word(status=status, body=b"no_service")).final


@pytest.mark.parametrize("name", HTTP)
def test_a_redirect_is_not_followed(name: str, server: SinkServer) -> None:
    """Only the address of the settings is posted to."""
    elsewhere = server.address.replace("/path", "/elsewhere")
    error = refused(name, server, Word(status=302, headers={"Location": elsewhere}))
    assert [delivery.path for delivery in server.deliveries] == ["/services/T000SECRET/path"]
    assert "redirects" in str(error)


@pytest.mark.parametrize("name", HTTP)
@pytest.mark.parametrize(
    ("status", "header", "seconds"),
    [
        (429, "120", 120.0),
        (503, "7", 7.0),
        (429, "Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        (429, "86400000", 3600.0),
        (429, "soon", 60.0),
        (500, "7", None),
    ],
)
def test_the_wish_to_be_left_alone_is_heard(
    name: str, status: int, header: str, seconds: float | None, server: SinkServer
) -> None:
    """`Retry-After` in seconds or as a date, an hour at the most; a minute for 429 without one."""
    error = refused(name, server, Word(status=status, headers={"Retry-After": header}))
    assert error.again_at == (None if seconds is None else START + seconds)


@pytest.mark.parametrize("name", HTTP)
def test_nobody_there_is_worth_another_attempt(name: str) -> None:
    """A receiver that is being restarted."""
    with sink_server() as server:
        made = sink(name, server)
    with pytest.raises(UndeliveredError) as caught:
        made.send(NOTIFICATION)
    assert not caught.value.final
    assert "T000SECRET" not in str(caught.value)


@pytest.mark.parametrize("name", HTTP)
@pytest.mark.parametrize("status", [404, 500])
def test_the_address_is_in_no_error(name: str, status: int, server: SinkServer) -> None:
    """Servers repeat the path in their answers, and anybody who knows it can write to the channel."""
    page = b"Cannot POST /services/T000SECRET/path, nor T000SECRET" + b"\x1b[31m" + b"x" * 5_000_000
    error = refused(name, server, Word(status=status, body=page))
    assert "127.0.0.1 answered" in str(error)
    assert "Cannot POST" in str(error)
    assert "T000SECRET" not in str(error)
    assert "\x1b" not in str(error)
    assert len(str(error)) < 400
    assert error.__cause__ is None
    assert error.__context__ is None or "T000SECRET" not in str(error.__context__)


@pytest.mark.parametrize("name", HTTP)
def test_proxies_and_passwords_of_the_environment_are_not_used(
    name: str, server: SinkServer, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    """A delivery goes to its address, and takes no credentials of ~/.netrc along."""
    netrc = f"{tmp_path}/netrc"
    with open(netrc, "w", encoding="utf-8") as file:  # noqa: PTH123 - one line
        file.write("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", netrc)
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    sink(name, server).send(NOTIFICATION)
    assert "authorization" not in server.deliveries[0].headers


def signature(secret: bytes, headers: dict[str, str], body: bytes) -> str:
    """What the standard says, computed here by itself."""
    content = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
    return "v1," + base64.b64encode(hmac.digest(secret, content, hashlib.sha256)).decode()


def test_a_webhook_is_signed_over_its_raw_body() -> None:
    """Id, time and body are under the signature; the id is the notification's."""
    with sink_server() as server:
        sink("webhook", server).send(NOTIFICATION)
    (delivery,) = server.deliveries
    headers = dict(delivery.headers)
    assert headers["webhook-id"] == NOTIFICATION.id
    assert headers["webhook-timestamp"] == str(int(START))
    assert headers["content-type"] == "application/json"
    assert headers["webhook-signature"] == signature(SECRET.encode(), headers, delivery.body)
    assert json.loads(delivery.body)["id"] == NOTIFICATION.id


def test_a_secret_that_is_changed_signs_beside_the_new_one() -> None:
    """A receiver that knows either of them accepts the delivery."""
    given = "whsec_" + base64.b64encode(b"twenty-four bytes of key").decode()
    with sink_server() as server:
        sink("webhook", server, secret=given, previous_secret=PREVIOUS).send(NOTIFICATION)
    (delivery,) = server.deliveries
    headers = dict(delivery.headers)
    assert headers["webhook-signature"].split(" ") == [
        signature(b"twenty-four bytes of key", headers, delivery.body),
        signature(PREVIOUS.encode(), headers, delivery.body),
    ]


def test_a_title_calls_nobody_in_slack() -> None:
    """No mention, no link and no line of its own comes out of an issue's title."""
    evil = "<!channel> <@U123> @here @all [click](https://evil.example) & \x1b[31mred\n[done] all is well"
    bad = NOTIFICATION.model_validate(NOTIFICATION.model_dump() | {"title": evil, "fields": {"title": evil}})
    with sink_server() as server:
        sink("slack", server).send(bad)
    document = json.loads(server.deliveries[0].body)
    text = document["text"]
    assert not {"<", ">"} & set(text)
    assert "&lt;!channel&gt;" in text
    assert "&amp;" in text
    assert "@here" not in text
    assert "@all" not in text
    assert "](" not in text
    assert "\x1b" not in text
    assert not [line for line in text.split("\n") if line.startswith("[done]")]
    assert document["mrkdwn"] is False
