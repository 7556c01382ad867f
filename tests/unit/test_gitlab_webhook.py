"""What GitLab gets to hear at its door: secrets, signatures, and every kind of event that it documents."""

import base64
import json
from typing import Any

import fakeredis
import pytest
from pydantic import SecretStr

from console.web.app import web_of
from routing.forges.gitlab.kind import GITLAB, GitLabConfig
from routing.forges.gitlab.webhook import GitLabWebhook, signature_of
from routing.webhook.delivery import read_delivery
from routing.webhook.dialect import IssueNews
from tasks.composition.composition import compose
from tasks.settings.settings import Settings
from tests.fakes.gitlab_events import IGNORED, LOOKED_AT, changed, issue, note, pipeline, push, request
from tests.servers.web_client import WebClient

#: One process of the suite makes what all of these share.
pytestmark = pytest.mark.xdist_group("gitlab-webhook")

SECRET = "s3cr3t-0123456789"  # noqa: S105 - of the tests
SIGNING = "whsec_" + base64.b64encode(b"k" * 32).decode()


def door_of(secret: str = SECRET) -> WebClient:
    """A door with one GitLab."""
    config = GitLabConfig(
        webhook_secret=SecretStr(secret), repositories=("acme/tools/*",), login="agentbot", kill_switch=False
    )
    client = fakeredis.FakeRedis(decode_responses=True, server=fakeredis.FakeServer())
    return WebClient(web_of(compose(Settings(forge=(config,)), redis=client)))


@pytest.fixture(scope="module")
def door() -> WebClient:
    """One for all events: each has its own id."""
    return door_of()


def send(door: WebClient, event: str, document: object, **headers: str) -> Any:
    """Send a delivery with the secret in its header."""
    given = {"x-gitlab-event": event, "x-gitlab-token": SECRET, **headers}
    return door.post("/webhook/gitlab", json.dumps(document).encode(), given)


@pytest.mark.parametrize("number", range(len(LOOKED_AT)))
def test_what_matters_is_looked_at_once(door: WebClient, number: int) -> None:
    """Of issues a repetition is known by its id; work is looked at again, which changes nothing."""
    event, document = LOOKED_AT[number]
    answers = [send(door, event, document, **{"idempotency-key": f"k{number}"}) for _ in range(2)]
    assert [one.status_code for one in answers] == [200, 200], answers[0].text
    about_issue = "issue_number" in answers[0].json()
    assert [one.json()["status"] for one in answers] == ["success", "duplicate" if about_issue else "success"]
    assert about_issue is (event.endswith(("Issue Hook", "Item Hook")) or "issue" in document)


@pytest.mark.parametrize("number", range(len(IGNORED)))
def test_all_else_is_ignored_with_a_reason(door: WebClient, number: int) -> None:
    """200, so that GitLab does not switch the webhook off."""
    answer = send(door, *IGNORED[number])
    assert (answer.status_code, answer.json()["status"]) == (200, "ignored"), answer.text
    assert answer.json()["reason"]


def test_a_hundred_deliveries_are_shown() -> None:
    """Each another one; counted, as the tables may shrink."""
    assert len({json.dumps(one) for one in LOOKED_AT + IGNORED}) >= 100


def test_system_hooks_are_refused(door: WebClient) -> None:
    """They tell of every project of a server; 422 says what to add in their place."""
    answer = send(door, "System Hook", push("refs/heads/main"))
    assert answer.status_code == 422
    assert "project or group" in answer.text


def test_a_wrong_shape_is_named(door: WebClient) -> None:
    """422 with the field, never a 5xx."""
    answer = send(door, "Issue Hook", issue() | {"object_attributes": {"iid": "23"}})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "object_attributes", "iid"]


def test_members_without_a_value_are_read_as_nothing(door: WebClient) -> None:
    """None of them says what the delivery is about; a 422 would count against the webhook."""
    for event, body, path in (
        ("Issue Hook", issue("open"), ("changes",)),
        ("Note Hook", note(), ("object_attributes", "system")),
        ("Note Hook", note("merge_request"), ("merge_request", "source_branch")),
        ("Merge Request Hook", request("update"), ("object_attributes", "source_branch")),
        ("Pipeline Hook", pipeline("success"), ("object_attributes", "tag")),
    ):
        inner = body[path[0]] if path[1:] else body
        inner[path[-1]] = None
        answer = send(door, event, body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["status"] == ("ignored" if path[-1] == "source_branch" else "success")


def test_names_of_the_most_characters_are_read(door: WebClient) -> None:
    """GitLab lets labels and branches have 255; were they refused, it would switch the webhook off."""
    titles = ("coalmine", "l" * 255)
    branch = "coalmine/" + "b" * 246
    for event, body in (
        ("Issue Hook", issue("update", labels=titles, changes=changed(titles, titles[:1]))),
        ("Push Hook", push(f"refs/heads/{branch}")),
        ("Merge Request Hook", request("update", branch)),
        ("Pipeline Hook", pipeline("success", branch)),
    ):
        answer = send(door, event, body)
        assert (answer.status_code, answer.json()["status"]) == (200, "success"), answer.text


@pytest.mark.parametrize("token", ["", "wrong", SECRET.upper(), f"{SECRET} ", "\xff"])
def test_another_secret_is_refused(door: WebClient, token: str) -> None:
    """401 before anything is read."""
    given: Any = {"x-gitlab-event": "Push Hook", "x-gitlab-token": token.encode("latin-1")}
    assert door.post("/webhook/gitlab", b"{", given).status_code == 401


def test_a_signing_token_asks_for_its_signature() -> None:
    """Over id, time and body, made within five minutes; the token itself in a header opens nothing."""
    sent, at = b'{"object_kind": "push"}', "1700000000"
    dialect = GitLabWebhook(clock=lambda: float(at) + 10)
    good = {
        "webhook-id": "m1",
        "webhook-timestamp": at,
        "webhook-signature": signature_of(SIGNING, "m1", at, sent),
    }
    assert dialect.is_signed([SIGNING], good, sent)
    assert dialect.is_signed(
        ["other", SIGNING], good | {"webhook-signature": f"v1,AAAA {good['webhook-signature']}"}, sent
    )
    wrong: list[dict[str, str]] = [
        {"webhook-id": "m2"}, {"webhook-timestamp": "1700000001"}, {"webhook-timestamp": "soon"},
        {"webhook-signature": ""}, {"webhook-signature": "v1,"},
    ]  # fmt: skip
    for change in wrong:
        assert not dialect.is_signed([SIGNING], good | change, sent), change
    assert not dialect.is_signed([SIGNING], good, sent + b" ")
    assert not dialect.is_signed([SIGNING], {"x-gitlab-token": SIGNING}, sent)
    assert not dialect.is_signed(["whsec_not base64"], good, sent)
    late = GitLabWebhook(clock=lambda: float(at) + 301)
    assert not late.is_signed([SIGNING], good, sent)


def test_the_standards_own_example_is_signed_alike() -> None:
    """The published example of the scheme that GitLab follows."""
    made = signature_of(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "1614265330",
        b'{"test": 2432232314}',
    )
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_label_that_went_is_named() -> None:
    """So that an issue without ours is looked at only where it may have been ours."""
    document = json.dumps(issue(labels=(), changes=changed(("a", "b"), ("b",)))).encode()
    assert GITLAB.webhook is not None
    news = read_delivery("gitlab", GITLAB.webhook, {"x-gitlab-event": "Issue Hook"}, document).news
    assert isinstance(news, IssueNews)
    assert (news.action, news.label, news.repo, news.number, news.actor) == (
        "unlabeled", "a", "acme/tools/shop", 23, "ada",
    )  # fmt: skip
