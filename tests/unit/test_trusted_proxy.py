"""A proxy that signs people in: its header counts from it alone, and gives no more than was set."""

from ipaddress import ip_network

import httpx
import pytest
import redis
from pydantic import SecretStr, ValidationError
from starlette.datastructures import Headers

from console.web.app import web_of
from console.web.people.session import LONGEST_NAME, Right, TrustedProxy, WebAccess
from tasks.settings.web_settings import WebSettings
from tests.fleets.stepped_fleet import SteppedFleet
from tests.servers.web_client import WebClient

TOKEN = "0123456789abcdef"  # noqa: S105 - of the test
HEADER = "X-Forwarded-User"


def access(right: Right = Right.READ) -> WebAccess:
    """A public console after a proxy at 10.0.0.7 or in one IPv6 network."""
    proxy = TrustedProxy(
        header=HEADER, networks=(ip_network("10.0.0.7/32"), ip_network("fd00::/8")), right=right
    )
    return WebAccess(acting_token=TOKEN, proxy=proxy)


@pytest.mark.parametrize("client", ["10.0.0.7", "fd00::1"])
def test_whom_the_proxy_names_is_let_in(client: str) -> None:
    """With the right that was set, and a form token of their own."""
    viewer = access().viewer(Headers({HEADER: "ada@example.org"}), client)
    assert (viewer.name, viewer.right, viewer.by_proxy) == ("ada@example.org", Right.READ, True)
    acting = access(Right.ACT)
    ada, bob = (acting.viewer(Headers({HEADER: name}), client) for name in ("ada", "bob"))
    assert ada.may_act
    assert ada.csrf
    assert ada.csrf != bob.csrf
    assert acting.viewer(Headers({HEADER: "ada"}), client).csrf == ada.csrf
    assert access(Right.ACT).viewer(Headers({HEADER: "ada"}), client).csrf != ada.csrf, "of another process"


@pytest.mark.parametrize(
    "client", ["10.0.0.8", "127.0.0.1", "::1", "fe80::1", "", "testclient", "10.0.0.7.x"]
)
def test_the_header_of_others_is_nothing(client: str) -> None:
    """All others who can connect may write what they want there."""
    viewer = access(Right.ACT).viewer(Headers({HEADER: "ada"}), client)
    assert (viewer.name, viewer.right, viewer.csrf) == ("", Right.NOTHING, "")


def test_an_odd_header_names_nobody_or_in_plain_words() -> None:
    """One that came twice, or is empty; a name has no control characters and is not long."""
    for raw in ([(HEADER, "ada"), (HEADER, "eve")], [(HEADER, "")], [(HEADER, " \t ")], []):
        pairs = [(name.lower().encode(), value.encode()) for name, value in raw]
        assert access(Right.ACT).viewer(Headers(raw=pairs), "10.0.0.7").right is Right.NOTHING
    odd = Headers(raw=[(HEADER.lower().encode(), b"a\x1b[31m\xff" + b"x" * 200)])
    name = access().viewer(odd, "10.0.0.7").name
    assert "\x1b" not in name
    assert len(name) <= LONGEST_NAME


def test_it_is_off_unless_it_is_set(redis_client: redis.Redis) -> None:
    """And its people decide by forms with their token and origin, as all others do."""
    plain = WebSettings(token=SecretStr(TOKEN))
    fleet = SteppedFleet(redis_client, web=plain)
    asked = {HEADER: "Ada"}
    assert WebClient(web_of(fleet.app, token=TOKEN)).request("GET", "/jobs", headers=asked).status_code == 401
    web = plain.model_copy(
        update={
            "user_header": HEADER,
            "user_header_from": (ip_network("127.0.0.1/32"),),
            "user_header_acts": True,
        }
    )
    parts = SteppedFleet(redis_client, web=web).app
    client = WebClient(web_of(parts, token=TOKEN))
    page = client.request("GET", "/", headers=asked)
    assert page.status_code == 200
    assert "Ada" in page.text
    assert "Sign out" not in page.text
    csrf = page.text.partition('name="csrf" value="')[2].partition('"')[0]
    form = str(httpx.QueryParams({"csrf": csrf, "reason": "a holiday"})).encode()
    origin = asked | {"Origin": "http://127.0.0.1"}
    assert client.post("/fleet/pause", form, asked).status_code == 403, "without an origin"
    assert client.post("/fleet/pause", b"csrf=x&reason=y", origin).status_code == 403, "another token"
    assert client.post("/api/v1/fleet/pause", b'{"reason": "x"}', origin).status_code == 403, "the API"
    assert parts.switch.reason() is None
    assert client.post("/fleet/pause", form, origin).status_code == 303
    assert parts.switch.reason() == "a holiday (by Ada)"


@pytest.mark.parametrize(
    "given",
    [{"user_header": "X-User"}, {"user_header": "Cookie", "user_header_from": ["10.0.0.7/32"]},
     {"user_header": "X User", "user_header_from": ["10.0.0.7/32"]},
     {"user_header": "X-User", "user_header_from": ["here"]}],
)  # fmt: skip
def test_settings_that_would_trust_everybody_are_refused(given: dict[str, object]) -> None:
    """A header without addresses, and one that clients send themselves."""
    with pytest.raises(ValidationError):
        WebSettings.model_validate(given)
