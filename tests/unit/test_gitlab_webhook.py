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
from tests.servers.web_client import WebClient

SECRET = "s3cr3t-0123456789"  # noqa: S105 - of the tests
SIGNING = "whsec_" + base64.b64encode(b"k" * 32).decode()
BRANCH = "coalmine/0123456789abcdef"
PROJECT = {"id": 7, "path_with_namespace": "acme/tools/shop", "default_branch": "main"}
ENDS = {"source_project_id": 7, "target_project_id": 7}


def body(kind: str, attributes: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A body with the facts that every one has."""
    given = {"object_attributes": attributes} if attributes is not None else {}
    return {"object_kind": kind, "user": {"username": "ada"}, "project": PROJECT, **given, **more}


def issue(
    action: str | None = "update",
    *,
    kind: str = "issue",
    labels: tuple[str, ...] = ("coalmine",),
    **more: Any,
) -> dict[str, Any]:
    """An issue event."""
    titles = [{"id": 1, "title": name} for name in labels]
    return body(kind, {"id": 99, "iid": 23, "action": action, "state": "opened"}, labels=titles, **more)


def note(on: str = "issue", action: str = "create", **more: Any) -> dict[str, Any]:
    """A comment event; what it is on has its own member."""
    parts: dict[str, Any] = {
        "issue": {"iid": 23, "labels": [{"title": "coalmine"}]},
        "merge_request": {"iid": 5, "source_branch": BRANCH, **ENDS},
        "commit": {"id": "1" * 40},
        "snippet": {"id": 3},
    }
    return body("note", {"id": 1, "note": "Hi", "action": action, "system": False}, **{on: parts[on]}, **more)


def request(action: str | None, branch: str = BRANCH, **more: Any) -> dict[str, Any]:
    """A merge request event."""
    return body("merge_request", {"iid": 5, "source_branch": branch, "action": action, **ENDS, **more})


def pipeline(status: str, ref: str = BRANCH, **more: Any) -> dict[str, Any]:
    """A pipeline event."""
    return body("pipeline", {"id": 1, "ref": ref, "status": status, "tag": False}, **more)


def push(ref: str) -> dict[str, Any]:
    """A push event."""
    return body("push", ref=ref, user_username="ada", before="0" * 40, after="1" * 40)


def changed(before: tuple[str, ...], after: tuple[str, ...]) -> dict[str, Any]:
    """The change of labels."""
    titles = [[{"title": name} for name in names] for names in (before, after)]
    return {"labels": {"previous": titles[0], "current": titles[1]}}


#: Event header, body, and what is done: looked at (an issue, or work), or ignored.
LOOKED_AT: list[tuple[str, dict[str, Any]]] = [
    *(("Issue Hook", issue(action)) for action in ("open", "close", "reopen", "update", None)),
    ("Confidential Issue Hook", issue("open") | {"event_type": "confidential_issue"}),
    ("Work Item Hook", issue("open", kind="work_item")),
    ("Issue Hook", issue(labels=(), changes=changed(("coalmine",), ()))),
    ("Issue Hook", issue(labels=(), changes=changed(("coalmine", "bug"), ("other",)))),
    ("Issue Hook", issue(changes=changed((), ("coalmine",)))),
    ("Issue Hook", issue(labels=(), changes={"assignees": {"current": [{"username": "ada"}]}})),
    ("Note Hook", note()),
    ("Note Hook", note(action="update")),
    ("Confidential Note Hook", note()),
    ("Note Hook", note("merge_request")),
    ("Note Hook", note("merge_request", "update")),
    *(
        ("Merge Request Hook", request(action))
        for action in (
            *("open", "close", "reopen", "update", "approved", "approval", "unapproved", "unapproval"),
            "merge",
            None,
        )
    ),
    *(("Push Hook", push(f"refs/heads/{branch}")) for branch in ("main", BRANCH)),
    *(("Pipeline Hook", pipeline(word)) for word in ("success", "failed", "canceled", "skipped", "manual")),
    ("Pipeline Hook", pipeline("success", "main")),
    (
        "Pipeline Hook",
        pipeline("failed", "refs/merge-requests/5/head", merge_request={"source_branch": BRANCH, **ENDS}),
    ),
]  # fmt: skip

#: Kinds of events that say nothing to us, as they are called there and in their bodies.
OTHERS = {
    "Tag Push Hook": "tag_push",
    "Wiki Page Hook": "wiki_page",
    "Job Hook": "build",
    "Deployment Hook": "deployment",
    "Feature Flag Hook": "feature_flag",
    "Release Hook": "release",
    "Milestone Hook": "milestone",
    "Emoji Hook": "emoji",
    "Resource Access Token Hook": "access_token",
    "Vulnerability Hook": "vulnerability",
    "Resource Deploy Token Hook": "deploy_token",
}

IGNORED: list[tuple[str, dict[str, Any]]] = [
    *(
        (event, body(kind, {"id": 1, "action": action}))
        for event, kind in OTHERS.items()
        for action in ("create", "update", "delete")
    ),
    *(
        (f"{what} Hook", {"event_name": f"{name}_{what.lower()}", "user_username": "ada", "group_id": 4})
        for what, names in {
            "Member": ("user_add_to", "user_update_for", "user_remove_from"),
            "Subgroup": ("create", "destroy"),
            "Project": ("create", "destroy"),
        }.items()
        for name in names
    ),
    ("Issue Hook", issue(labels=())),
    ("Issue Hook", issue(labels=(), changes=changed(("bug",), ()))),
    ("Issue Hook", issue() | {"project": PROJECT | {"path_with_namespace": "acme/other"}}),
    ("Issue Hook", issue() | {"project": PROJECT | {"path_with_namespace": "acme/tools/deep/shop"}}),
    ("Work Item Hook", issue("open", kind="work_item") | {"project": None}),
    ("Note Hook", note() | {"user": {"username": "agentbot"}}),
    ("Note Hook", note("commit")),
    ("Note Hook", note("snippet")),
    ("Note Hook", note() | {"object_attributes": {"system": True, "note": "assigned to @ada"}}),
    ("Merge Request Hook", request("open", "feature")),
    ("Merge Request Hook", request("open", source_project_id=8)),
    ("Push Hook", push("refs/heads/feature")),
    *(
        ("Pipeline Hook", pipeline(word))
        for word in ("created", "waiting_for_resource", "preparing", "pending", "running", "scheduled")
    ),
    ("Pipeline Hook", body("pipeline", {"ref": "v1", "status": "success", "tag": True})),
    ("Pipeline Hook", pipeline("success", "feature")),
]  # fmt: skip


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
    """Counted, as the tables may shrink."""
    assert 2 * len(LOOKED_AT) + len(IGNORED) >= 100


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
