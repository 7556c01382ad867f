"""The web application: who is let in, what every answer carries, and what no answer tells."""

from collections.abc import Iterator
from typing import Any

import anyio
import pytest
import redis
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from starlette.requests import Request

from console.boundary import ExitCode
from console.web.access import checked_token
from console.web.app import web_of
from console.web.error_answers import status_of
from console.web.headers import SECURITY_HEADERS
from console.web.request_limits import BodyTooLongError, BodyTooSlowError, read_body
from routing import errors
from routing.errors import CoalmineError, SettingsError
from routing.forges.registry import KINDS
from routing.http.address import is_loopback
from routing.store.redis.connection import connect
from tasks.composition.composition import compose
from tasks.settings.settings import Settings
from tasks.settings.web_settings import WebSettings
from tests.fakes.deliveries import FORGES, payload, section, sent
from tests.servers.web_client import WebClient

#: One process of the suite makes what all of these share.
pytestmark = pytest.mark.xdist_group("web")

TOKEN = "0123456789abcdef"  # noqa: S105 - of the test

#: Headers that say who sent a delivery, and what it is.
CREDENTIALS = (
    *(b"Authorization", b"X-Hub-Signature-256", b"X-GitHub-Event", b"X-Gitea-Signature"),
    *(b"X-Gitlab-Token", b"X-Gitlab-Event", b"Webhook-Id", b"Webhook-Timestamp", b"Webhook-Signature"),
)


def application(client: redis.Redis, *, token: str | None = None) -> FastAPI:
    """The application on a server."""
    return web_of(compose(Settings(forge=FORGES), redis=client), token=token)


def browser(client: redis.Redis, *, token: str | None = None) -> WebClient:
    """A client of the application."""
    return WebClient(application(client, token=token))


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/healthz", 200),
        ("GET", "/readyz", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/docs", 404),
        ("POST", "/webhook/github", 401),
        ("POST", "/webhook/bitbucket", 404),
        ("POST", "/webhook/github/", 404),
        ("GET", "/webhook/github", 405),
        ("GET", "/nothing", 404),
        ("GET", "/api/v1/nothing", 404),
    ],
)
def test_answers_to_machines_are_json_with_the_security_headers(
    redis_client: redis.Redis, method: str, path: str, status: int
) -> None:
    """Also those that refuse."""
    answer = browser(redis_client).request(method, path)
    assert answer.status_code == status
    assert answer.json()
    assert {name: answer.headers.get(name) for name in SECURITY_HEADERS} == SECURITY_HEADERS


def test_description_has_the_door(redis_client: redis.Redis) -> None:
    """OpenAPI names the kinds of forges, the body and each refusal."""
    document = browser(redis_client).get("/openapi.json").json()
    door = document["paths"]["/webhook/{forge}"]["post"]
    assert door["parameters"][0]["schema"]["enum"] == [name for name, kind in KINDS.items() if kind.webhook]
    assert {"200", "401", "413", "422", "429", "503"} <= set(door["responses"])
    assert door["requestBody"]["required"]


@pytest.mark.parametrize(
    "path", ["/readyz", "/openapi.json", "/", "/jobs", "/api/v1/status", "/metrics", "/webhook", "/healthz/x"]
)
def test_token_is_asked_for(redis_client: redis.Redis, path: str) -> None:
    """Everywhere but at the door and at /healthz, before it is known whether there is such a path."""
    client = browser(redis_client, token=TOKEN)
    for given_token in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}):
        answer = client.get(path, **given_token)
        assert (answer.status_code, answer.json()) == (401, {"detail": "Invalid or missing token"})
        assert answer.headers["X-Frame-Options"] == "DENY"
    assert client.get(path, Authorization=f"Bearer {TOKEN}").status_code != 401


def test_door_and_health_ask_for_no_token(redis_client: redis.Redis) -> None:
    """A forge has no token but its signature; a check of the process's health needs none."""
    client = browser(redis_client, token=TOKEN)
    request = sent("github", payload())
    assert client.post("/webhook/github", request.body, request.headers).status_code == 200
    assert client.get("/healthz").status_code == 200


def test_store_that_is_gone_is_reported_without_its_address() -> None:
    """503 and when to come again; the process itself is well."""
    with connect("redis://:hush@127.0.0.1:1/0", patience_seconds=0.0) as gone:
        client = browser(gone)
        request = sent("github", payload())
        for answer in (
            client.get("/readyz"),
            client.post("/webhook/github", request.body, request.headers),
        ):
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
            assert "127.0.0.1" not in answer.text
            assert "hush" not in answer.text
        assert client.get("/healthz").status_code == 200


def test_fault_of_ours_tells_nothing(redis_client: redis.Redis) -> None:
    """500, without a traceback or a word of it."""
    app = application(redis_client)

    @app.get("/broken")
    def broken() -> None:
        """Fail."""
        raise RuntimeError("hush")

    answer = WebClient(app).get("/broken")
    assert (answer.status_code, answer.json()) == (500, {"detail": "internal error"})
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_every_error_of_the_tree_has_a_status() -> None:
    """Bad input is the asker's fault, an absent server is ours for a while; so is one that locks us out."""
    said = {
        ExitCode.BAD_INPUT: 422, ExitCode.NOT_FOUND: 404, ExitCode.CONFLICT: 409, ExitCode.UNAVAILABLE: 503,
    }  # fmt: skip
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, CoalmineError):
            special: dict[type[CoalmineError], int] = {errors.SettingsError: 500, errors.LockedOutError: 503}
            expected = special.get(kind) or said.get(ExitCode(kind.exit_code), 500)
            assert status_of(kind("x")) == expected


def body_of(*chunks: bytes, **headers: str) -> Request:
    """A request whose body comes in chunks; after the last one nothing comes any more."""
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]

    async def receive() -> dict[str, Any]:
        if not messages:
            await anyio.sleep_forever()
        return messages.pop(0)

    scope = {"type": "http", "headers": [(name.encode(), value.encode()) for name, value in headers.items()]}
    return Request(scope, receive)


@pytest.mark.parametrize("length", [None, "3", "", "-1", "no", "9" * 5000])
def test_long_body_is_refused_before_it_ends(length: str | None) -> None:
    """What is read is never more than one chunk above the bound, whatever the request says of its length."""
    headers = {} if length is None else {"content-length": length}
    with pytest.raises(BodyTooLongError):
        anyio.run(lambda: read_body(body_of(b"ab", b"cd", **headers), most=3, seconds=20))


def test_length_that_is_too_much_is_refused_unread() -> None:
    """Nothing of the body has come yet, and nothing of it is waited for."""
    with pytest.raises(BodyTooLongError):
        anyio.run(lambda: read_body(body_of(**{"content-length": "4"}), most=3, seconds=0.05))


def test_slow_body_is_given_up() -> None:
    """A sender that says nothing more does not hold the door open."""
    with pytest.raises(BodyTooSlowError):
        anyio.run(lambda: read_body(body_of(b"ab"), most=3, seconds=0.05))


def test_sender_that_goes_away_is_not_our_fault() -> None:
    """A body that ends early is the sender's."""

    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    with pytest.raises(BodyTooSlowError):
        anyio.run(lambda: read_body(Request({"type": "http", "headers": []}, gone), most=3))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "localhost"])
def test_loopback_needs_no_token_unless_it_is_public(host: str) -> None:
    """A proxy in front of it makes it public; that must be said."""
    assert is_loopback(host)
    settings = WebSettings(token=SecretStr(TOKEN))
    assert checked_token(settings, host, public=False) is None
    assert checked_token(settings, host, public=True) == TOKEN


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", ""])  # noqa: S104 - refused
def test_elsewhere_must_be_said_and_needs_a_token(host: str) -> None:
    """An address that others reach is not opened by mistake."""
    assert not is_loopback(host)
    with pytest.raises(SettingsError, match="--public"):
        checked_token(WebSettings(token=SecretStr(TOKEN)), host, public=False)
    with pytest.raises(SettingsError, match="COALMINE_WEB__TOKEN"):
        checked_token(WebSettings(), host, public=True)
    assert checked_token(WebSettings(token=SecretStr(TOKEN)), host, public=True) == TOKEN


@pytest.fixture(scope="module")
def stranger() -> Iterator[WebClient]:
    """A client without a secret; the application takes deliveries of every kind, its server is away."""
    with redis.Redis(port=1) as nowhere:
        settings = Settings(forge=(*FORGES, section("gitlab")))
        yield WebClient(web_of(compose(settings, redis=nowhere), token=None))


@given(
    path=st.sampled_from(["github", "gitea", "forgejo", "gitlab", "", "%00", "../healthz"]),
    body=st.binary(max_size=200),
    headers=st.dictionaries(
        st.sampled_from(CREDENTIALS),
        st.binary(max_size=40).map(lambda text: text.replace(b"\n", b"").replace(b"\r", b"")),
    ),
)
def test_nothing_that_is_sent_is_a_fault_of_ours(
    stranger: WebClient, path: str, body: bytes, headers: dict[bytes, bytes]
) -> None:
    """Any path, body and header without a secret: never a 5xx, never let in."""
    assert stranger.post(f"/webhook/{path}", body, headers).status_code in {401, 404, 405}
