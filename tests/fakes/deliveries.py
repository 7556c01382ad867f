"""Deliveries for tests: recorded ones, and made ones of each kind of forge."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from routing.webhook.forge_kind import HEADERS, ForgeKind
from routing.webhook.settings import WebhookForge, WebhookSettings
from routing.webhook.signature import sign
from tasks.settings.forge_settings import ForgeSettings

#: The secret with which the recorded server signed.
SECRET = "s3cr3t"  # noqa: S105 - of the recording

#: A door for every kind of forge that hears of two repositories.
SECTION = {"secret": SECRET, "repositories": ("boss/proj", "acme/shop"), "login": "agentbot"}
SETTINGS = WebhookSettings.model_validate({kind.value: SECTION for kind in ForgeKind})


def forges(**changes: Any) -> ForgeSettings:
    """The same, as a fleet's settings have it, with some things changed."""
    given = {
        "webhook_secret": SECRET,
        "repositories": SECTION["repositories"],
        "login": SECTION["login"],
        "label": None,
        "kill_switch": False,
    }
    return ForgeSettings.model_validate({kind.value: {**given, **changes} for kind in ForgeKind})


#: What a fleet has by default in these tests.
FORGES = forges()

_RECORDINGS = Path(__file__).parents[1] / "recordings" / "webhooks"


@dataclass(frozen=True, kw_only=True, slots=True)
class SentDelivery:
    """One request to the door."""

    kind: ForgeKind
    headers: dict[str, str]  # names in lower case
    body: bytes

    def signed_with(self, secret: str) -> "SentDelivery":
        """The same request with a signature by another secret."""
        name = HEADERS[self.kind].signature[0]
        return SentDelivery(
            kind=self.kind,
            headers={**self.headers, name: sign(self.kind, secret, self.body)},
            body=self.body,
        )


def section(**changes: Any) -> WebhookForge:
    """A section of the settings with some things changed."""
    return WebhookForge.model_validate({**SECTION, **changes})


def settings(**changes: Any) -> WebhookSettings:
    """Settings in which the sections of all kinds have some things changed."""
    return WebhookSettings.model_validate({kind.value: {**SECTION, **changes} for kind in ForgeKind})


def recorded() -> list[SentDelivery]:
    """What a real Gitea sent, in its order, signed again over the bodies as they are written here."""
    lines = (_RECORDINGS / "gitea-1.14.jsonl").read_text(encoding="utf-8").splitlines()
    return [_replayed(json.loads(line)) for line in lines]


def _replayed(record: Mapping[str, Any]) -> SentDelivery:
    own = ("host", "content-length", "accept-encoding")
    headers = {name.lower(): value for name, value in record["headers"].items() if name.lower() not in own}
    body = json.dumps(record["body"]).encode()
    return SentDelivery(kind=ForgeKind.GITEA, headers=headers, body=body).signed_with(SECRET)


def payload(action: object = "assigned", number: int = 161, **changes: Any) -> dict[str, Any]:
    """The body of an event about an issue, with the parts that are read."""
    return {
        "action": action,
        "issue": {"number": number, "labels": [{"name": "agent"}]},
        "repository": {"full_name": "acme/shop"},
        "sender": {"login": "ada"},
    } | changes


def sent(
    kind: ForgeKind, document: object, *, event: str = "issues", delivery: str = "", secret: str = SECRET
) -> SentDelivery:
    """A signed request of a kind, with an event and a delivery id if they are given."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    names = HEADERS[kind]
    given = {names.event[0]: event, names.delivery[0]: delivery, "content-type": "application/json"}
    headers = {name: value for name, value in given.items() if value}
    return SentDelivery(kind=kind, headers=headers, body=body).signed_with(secret)
