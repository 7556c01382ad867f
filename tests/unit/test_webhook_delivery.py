"""Deliveries as they are read: every field bounded, every null tolerated, every fault named."""

import json
from typing import Any

import pytest

from routing.forges.rest.webhook import SHORT_CHARACTERS
from routing.webhook.delivery import Delivery, read_delivery
from routing.webhook.dialect import IssueNews, WorkNews
from routing.webhook.errors import BadPayloadError
from tests.fakes.deliveries import dialect_of, news_of, payload, recorded, sent
from tests.fakes.deliveries import read as read_request


def read(document: object, *, event: str = "issues", delivery: str = "") -> Delivery:
    """What is read of a delivery of GitHub's."""
    return read_request(sent("github", document, event=event, delivery=delivery))


def news(document: object) -> IssueNews:
    """What it says of its issue."""
    return news_of(sent("github", document))


def test_recorded_deliveries_are_read() -> None:
    """Gitea's own bodies: nulls for what is empty, a label change that does not name the label."""
    found = [read_request(one) for one in recorded()]
    parsed = [news_of(one) for one in recorded()]
    events = [one.event for one in found]
    assert [(event, one.action, sorted(one.labels)) for event, one in zip(events, parsed, strict=True)] == [
        ("issues", "opened", []),
        ("issues", "assigned", []),
        ("issues", "assigned", []),
        ("issues", "label_updated", ["agent"]),
        ("issue_comment", "created", ["agent"]),
        ("issues", "edited", ["agent"]),
        ("issues", "label_updated", []),
        ("issues", "closed", []),
        ("issues", "reopened", []),
        ("issues", "assigned", ["agent"]),
    ]
    assert {one.repo for one in parsed} == {"boss/proj"}
    assert [one.number for one in parsed] == [1] * 9 + [2]
    assert found[1].digest == found[2].digest
    assert len({one.digest for one in found}) == 9
    assert parsed[4].commenter == "agentbot"


def test_half_a_character_hides_no_delivery() -> None:
    """JSON can spell it, and pydantic does not read it: the delivery is read all the same."""
    body = json.dumps(payload(comment=None) | {"issue": {"number": 161, "title": "cut \ud83d", "labels": []}})
    assert "\\ud83d" in body
    assert news(body.encode()).number == 161


def test_nulls_are_nothing() -> None:
    """Where a forge sends null in place of a list, a user or a label, there is none."""
    empty = payload(
        issue={"number": 1, "labels": None, "pull_request": None},
        sender=None, label=None, comment={"user": None}, is_pull=None,
    )  # fmt: skip
    found = news(empty)
    assert (found.labels, found.actor, found.label, found.commenter) == (frozenset(), "", None, "")
    assert not found.is_pull_request


@pytest.mark.parametrize(
    ("document", "place"),
    [
        (payload(action=None), "action"),
        (payload(action=7), "action"),
        (payload(action="x" * (SHORT_CHARACTERS + 1)), "action"),
        (payload(issue=None), "issue"),
        (payload(issue={}), "issue.number"),
        *[(payload(issue={"number": wrong}), "issue.number") for wrong in ("1", 0, -1, 1.5, True, 10**10)],
        (payload(issue={"number": 1, "labels": "agent"}), "issue.labels"),
        (payload(issue={"number": 1, "labels": [{"name": 1}]}), "issue.labels.0.name"),
        (payload(repository=None), "repository"),
        (payload(repository={"full_name": ""}), "repository.full_name"),
        (payload(sender={"login": ["ada"]}), "sender.login"),
        (payload(comment="hi"), "comment"),
    ],
)
def test_wrong_shape_names_the_field(document: object, place: str) -> None:
    """The first fault says where it is."""
    with pytest.raises(BadPayloadError) as refused:
        read(document)
    assert ".".join(refused.value.faults[0].place) == place


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[]", b'"x"', b"null", b"{} {}", b"[" * 100_000])
def test_what_is_not_a_json_object_is_refused(body: bytes) -> None:
    """Nothing, half of it, no UTF-8, lists and words, two at once, and far too deep."""
    with pytest.raises(BadPayloadError, match="JSON"):
        read(body)


def test_form_encoded_body_gets_a_hint() -> None:
    """The usual mistake: the webhook was made with the default content type."""
    form = {"content-type": "application/x-www-form-urlencoded"}
    with pytest.raises(BadPayloadError, match="content type to application/json"):
        read_delivery("github", dialect_of("github"), form, b"payload=%7B%7D")


def test_fault_does_not_show_the_body() -> None:
    """Old Gitea sends the secret within the body: no message and no traceback may carry it."""
    with pytest.raises(BadPayloadError) as refused:
        read(payload(issue={"number": "s3cr3t"}) | {"secret": "s3cr3t"})
    assert "s3cr3t" not in str(refused.value)
    assert refused.value.__suppress_context__


@pytest.mark.parametrize(
    ("document", "event"),
    [(payload(), "issues"), (payload(comment={"user": {"login": "bob"}}), "issue_comment")],
)
def test_absent_event_is_read_from_the_body(document: dict[str, Any], event: str) -> None:
    """A body with a comment is that of a comment; any other must be that of an issue."""
    assert read(document, event="").event == event
    with pytest.raises(BadPayloadError, match="issue"):
        read({"zen": "Keep it logically awesome."}, event="")


def test_other_events_may_have_any_shape() -> None:
    """What is not about an issue is not looked into."""
    found = read({"action": ["x"], "issue": 7}, event="push")
    assert (found.event, found.news) == ("push", None)


WORK = {
    "repository": {"full_name": "acme/shop", "default_branch": "trunk"}, "sender": {"login": "ann"},
}  # fmt: skip
HEAD = {"ref": "coalmine/0123456789abcdef", "repo": {"full_name": "acme/shop"}}


@pytest.mark.parametrize("kind", ["github", "gitea", "forgejo"])
@pytest.mark.parametrize(
    ("event", "body", "action", "branch"),
    [
        ("push", {"ref": "refs/heads/trunk"}, "push", ""),
        ("push", {"ref": "refs/heads/other"}, "push", "other"),
        ("pull_request", {"action": "closed", "pull_request": {"head": HEAD}}, "closed", HEAD["ref"]),
        (
            "pull_request_review",
            {"action": "submitted", "pull_request": {"head": HEAD}, "review": {}},
            "submitted",
            HEAD["ref"],
        ),
        ("pull_request_rejected", {"pull_request": {"head": HEAD}}, "pull_request_rejected", HEAD["ref"]),
        ("pull_request_comment", {"action": "reviewed", "pull_request": {"head": HEAD}}, "reviewed",
         HEAD["ref"]),
        ("pull_request", {"action": "closed", "pull_request": {"head": HEAD | {"repo": None}}}, "closed",
         HEAD["ref"]),
    ],
)  # fmt: skip
def test_what_happened_to_work_is_read(
    kind: str, event: str, body: dict[str, Any], action: str, branch: str
) -> None:
    """The branch, and "" for the main one, whatever that is called."""
    news = read_request(sent(kind, WORK | body, event=event)).news
    assert news == WorkNews(action=action, repo="acme/shop", branch=branch, actor="ann")


def test_a_request_from_another_repository_is_not_work_of_ours() -> None:
    """Anybody can call a branch of a fork as ours are called."""
    head = HEAD | {"repo": {"full_name": "eve/shop"}}
    body = WORK | {"action": "opened", "pull_request": {"head": head}}
    assert read(body, event="pull_request").news is None


def test_deliveries_have_digests_of_their_own() -> None:
    """By their id; without one by their body; and never an id for a body, or one forge's for another's."""
    one, other = payload(number=1), payload(number=2)
    assert read(one, delivery="a").digest == read(other, delivery="a").digest
    assert read(one, delivery="a").digest != read(one, delivery="b").digest
    assert read(one).digest == read(one).digest != read(other).digest
    body = json.dumps(one)
    assert read(one).digest != read(one, delivery=body).digest
    gitea = sent("gitea", one, delivery="a")
    assert read_request(gitea).digest != read(one, delivery="a").digest


def test_control_characters_are_left_out() -> None:
    """What is kept of a text can be printed and logged."""
    assert news(payload(action="open\x1b[2Jed\n", sender={"login": "a\x00da"})).action == "open[2Jed"
