"""Deliveries for tests: recorded ones, and made ones of each kind of forge."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from routing.forges.config import RemoteConfig
from routing.forges.registry import KINDS
from routing.forges.rest.webhook import RestWebhook
from routing.webhook.delivery import Delivery, read_delivery
from routing.webhook.dialect import IssueNews, WebhookDialect

#: The secret with which the recorded server signed.
SECRET = "s3cr3t"  # noqa: S105 - of the recording

#: The kinds of forges whose webhooks have bodies like GitHub's.
WEBHOOK_KINDS = tuple(name for name, kind in KINDS.items() if isinstance(kind.webhook, RestWebhook))

#: All that send webhooks.
DELIVERING_KINDS = tuple(name for name, kind in KINDS.items() if kind.webhook is not None)

#: What is set about each forge in these tests: a secret, and two repositories.
SECTION = {"webhook_secret": SECRET, "repositories": ("boss/proj", "acme/shop"), "login": "agentbot"}


def dialect_of(kind: str) -> WebhookDialect:
    """How a kind of forge speaks."""
    dialect = KINDS[kind].webhook
    assert dialect is not None
    return dialect


def section(kind: str = "gitea", **changes: Any) -> RemoteConfig:
    """The settings of one forge with some things changed; every issue is for agents."""
    given = {**SECTION, "label": None, "kill_switch": False, **changes}
    config = KINDS[kind].config.model_validate(given)
    assert isinstance(config, RemoteConfig)
    return config


def forges(**changes: Any) -> tuple[RemoteConfig, ...]:
    """One forge of each kind."""
    return tuple(section(kind, **changes) for kind in WEBHOOK_KINDS)


#: What a fleet has by default in these tests.
FORGES = forges()

_RECORDINGS = Path(__file__).parents[1] / "recordings" / "webhooks"


@dataclass(frozen=True, kw_only=True, slots=True)
class SentDelivery:
    """One request to the door."""

    kind: str
    headers: dict[str, str]  # names in lower case
    body: bytes

    def signed_with(self, secret: str) -> "SentDelivery":
        """The same request with a signature by another secret."""
        name = dialect_of(self.kind).signature[0]
        return SentDelivery(
            kind=self.kind,
            headers={**self.headers, name: dialect_of(self.kind).sign(secret, self.body)},
            body=self.body,
        )


def read(request: SentDelivery) -> Delivery:
    """What is read of a request."""
    return read_delivery(request.kind, dialect_of(request.kind), request.headers, request.body)


def news_of(request: SentDelivery) -> IssueNews:
    """What a request about an issue says of it."""
    news = read(request).news
    assert isinstance(news, IssueNews)
    return news


def recorded() -> list[SentDelivery]:
    """What a real Gitea sent, in its order, signed again over the bodies as they are written here."""
    lines = (_RECORDINGS / "gitea-1.14.jsonl").read_text(encoding="utf-8").splitlines()
    return [_replayed(json.loads(line)) for line in lines]


def _replayed(record: Mapping[str, Any]) -> SentDelivery:
    own = ("host", "content-length", "accept-encoding")
    headers = {name.lower(): value for name, value in record["headers"].items() if name.lower() not in own}
    body = json.dumps(record["body"]).encode()
    return SentDelivery(kind="gitea", headers=headers, body=body).signed_with(SECRET)


def payload(action: object = "assigned", number: int = 161, **changes: Any) -> dict[str, Any]:
    """The body of an event about an issue, with the parts that are read."""
    return {
        "action": action,
        "issue": {"number": number, "labels": [{"name": "agent"}]},
        "repository": {"full_name": "acme/shop"},
        "sender": {"login": "ada"},
    } | changes


def sent(
    kind: str, document: object, *, event: str = "issues", delivery: str = "", secret: str = SECRET
) -> SentDelivery:
    """A signed request of a kind, with an event and a delivery id if they are given."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    names = dialect_of(kind)
    given = {names.event[0]: event, names.delivery[0]: delivery, "content-type": "application/json"}
    headers = {name: value for name, value in given.items() if value}
    return SentDelivery(kind=kind, headers=headers, body=body).signed_with(secret)
