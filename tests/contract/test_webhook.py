"""What every kind of forge gets to hear at its door, over HTTP."""

from typing import Any

import httpx
import pytest
import redis

from console.web.app import door_of, looks_of, make_web
from routing.forges.config import RemoteConfig
from tasks.composition.composition import compose
from tasks.settings.settings import Settings
from tasks.settings.web_settings import WebSettings
from tests.fakes.deliveries import FORGES, WEBHOOK_KINDS, SentDelivery, dialect_of, forges, payload, sent
from tests.servers.web_client import WebClient


class DoorClient:
    """Sends deliveries of one kind to an application in this process."""

    def __init__(self, kind: str, client: redis.Redis) -> None:
        self.kind = kind
        self.redis: Any = client
        self._http: WebClient
        self.open()

    def open(self, given: tuple[RemoteConfig, ...] = FORGES, **changes: Any) -> None:
        """The door of a fleet with these settings; its pages, of which a test knows nothing, are left out."""
        parts = compose(Settings(forge=given, **changes), redis=self.redis)
        web = make_web(door=door_of(parts), ask_store=parts.job_store.ping, accepted=looks_of(parts))
        self._http = WebClient(web)

    def post(self, request: SentDelivery) -> httpx.Response:
        """Send a request."""
        return self._http.post(f"/webhook/{request.kind}", request.body, request.headers)

    def send(self, document: object, *, event: str = "issues", delivery: str = "") -> httpx.Response:
        """Send a signed body."""
        return self.post(sent(self.kind, document, event=event, delivery=delivery))


@pytest.fixture(params=WEBHOOK_KINDS)
def door(request: pytest.FixtureRequest, redis_client: redis.Redis) -> DoorClient:
    """The door of each kind in turn."""
    return DoorClient(request.param, redis_client)


def test_accepted(door: DoorClient) -> None:
    """200, with action and number, and the name under which the issue is known here."""
    answer = door.send(payload("assigned", 161), delivery="d1")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "success", "action": "assigned", "issue_number": 161, "repository": "acme/shop",
        "issue": f"{door.kind}:acme/shop#161",
    }  # fmt: skip
    assert door.redis.zrange("coalmine:intake", 0, -1) == [f"{door.kind}:acme/shop#161"]


def test_work_is_reported(door: DoorClient) -> None:
    """200, and looked at in the next tick, however often it is said; it waits in no intake."""
    body = {
        "action": "closed", "sender": {"login": "ada"}, "repository": {"full_name": "acme/shop"},
        "pull_request": {"head": {"ref": "coalmine/0123456789abcdef", "repo": {"full_name": "acme/shop"}}},
    }  # fmt: skip
    for _ in range(2):
        answer = door.send(body, event="pull_request", delivery="d1")
        assert answer.json() == {"status": "success", "action": "closed", "repository": "acme/shop"}
    assert door.redis.smembers("coalmine:looks") == {f"{door.kind}:acme/shop coalmine/0123456789abcdef"}
    assert door.redis.ttl("coalmine:looks") > 0
    assert not door.redis.exists("coalmine:intake")


def test_duplicate(door: DoorClient) -> None:
    """The same delivery again is 200 and says so."""
    door.send(payload(), delivery="d1")
    answer = door.send(payload(), delivery="d1")
    assert (answer.status_code, answer.json()["status"]) == (200, "duplicate")


def test_headers_of_event_and_delivery_may_be_absent(door: DoorClient) -> None:
    """The body says what it is, and its hash tells it from others."""
    assert door.send(payload(), event="").json()["status"] == "success"
    assert door.send(payload(), event="").json()["status"] == "duplicate"


@pytest.mark.parametrize(
    ("document", "event", "said"),
    [
        (payload("pinned"), "issues", "'pinned'"),
        (payload("created", comment={"user": {"login": "agentbot"}}), "issue_comment", "our own comment"),
        (payload(repository={"full_name": "acme/other"}), "issues", "'acme/other'"),
        ({"zen": "Design for failure."}, "ping", "ping"),
    ],
)
def test_ignored_with_its_reason(door: DoorClient, document: object, event: str, said: str) -> None:
    """200, so that the forge does not count it as a failure, and nothing written."""
    answer = door.send(document, event=event)
    assert (answer.status_code, answer.json()["status"]) == (200, "ignored")
    assert said in answer.json()["reason"]
    assert door.redis.keys() == []


def test_kill_switch_and_pause(door: DoorClient) -> None:
    """Both are 200 and ignored."""
    door.redis.set("coalmine:paused", "lunch")
    assert "paused" in door.send(payload()).json()["reason"]
    door.open(kill_switch=True)
    assert "kill switch" in door.send(payload()).json()["reason"]


@pytest.mark.parametrize("signature", [None, "", "sha256=", "0" * 64, "sha256=" + "0" * 64, "\xff"])
def test_bad_signature(door: DoorClient, signature: str | None) -> None:
    """401 in the documented words, whether it is missing or wrong."""
    request = sent(door.kind, payload())
    headers: dict[str, Any] = {
        name: value for name, value in request.headers.items() if name not in dialect_of(door.kind).signature
    }
    if signature is not None:
        headers[dialect_of(door.kind).signature[0]] = signature.encode("latin-1")
    answer = door.post(SentDelivery(kind=door.kind, headers=headers, body=request.body))
    assert (answer.status_code, answer.json()) == (401, {"detail": "Invalid or missing signature"})


def test_secret_can_be_changed_without_a_gap(door: DoorClient) -> None:
    """Both are accepted while both are set; then the old one is not."""
    old, new = (sent(door.kind, payload(number=n)).signed_with(s) for n, s in ((1, "old"), (2, "new")))
    door.open(forges(webhook_secret="new", previous_webhook_secret="old"))  # noqa: S106 - of the test
    assert [door.post(request).status_code for request in (old, new)] == [200, 200]
    door.open(forges(webhook_secret="new"))  # noqa: S106 - of the test
    assert [door.post(request).status_code for request in (old, new)] == [401, 200]


def test_without_a_secret_the_door_is_shut(door: DoorClient) -> None:
    """503, which says what to set."""
    door.open(())
    answer = door.send(payload())
    assert answer.status_code == 503
    assert f"forge.{door.kind}.webhook_secret" in answer.json()["detail"]


def test_wrong_shape_names_the_field(door: DoorClient) -> None:
    """422, with the place of each fault, and without what was sent."""
    answer = door.send(payload(issue={"number": "hush"}))
    assert answer.status_code == 422
    (fault,) = answer.json()["detail"]
    assert fault["loc"] == ["body", "issue", "number"]
    assert "hush" not in answer.text


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_no_json(door: DoorClient, body: bytes) -> None:
    """422, about the body as a whole."""
    answer = door.send(body)
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body"])


def test_too_long(door: DoorClient) -> None:
    """413 for one byte too many; exactly so many are read."""
    room = WebSettings().delivery_bytes
    assert door.send(b" " * (room + 1)).status_code == 413
    assert door.send(b" " * room).status_code == 422
