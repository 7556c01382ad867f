"""An address of one's own as a sink: JSON, signed as Standard Webhooks says, so that libraries can check it.

See https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import AfterValidator, SecretStr, model_validator

from tasks.notify.address import Address
from tasks.notify.notification import Notification
from tasks.notify.sink import SinkSettings

if TYPE_CHECKING:  # settings are read without an HTTP client
    from tasks.notify.post import Post

#: What a secret begins with that is given as base64.
PREFIX = "whsec_"

#: The fewest characters of a secret, without the prefix.
SHORTEST = 16


def _checked_secret(value: SecretStr) -> SecretStr:
    """Return the secret, or raise ValueError that does not repeat it."""
    secret = value.get_secret_value()
    if len(secret.removeprefix(PREFIX)) < SHORTEST:
        message = f"must have at least {SHORTEST} characters; make one with `openssl rand -hex 32`"
        raise ValueError(message)
    try:
        _key(secret)
    except binascii.Error:
        message = f"begins with {PREFIX} and is not followed by base64"
        raise ValueError(message) from None
    return value


Secret = Annotated[SecretStr, AfterValidator(_checked_secret)]


class WebhookSinkSettings(SinkSettings):
    """A signed POST to an address of yours."""

    url: Address | None = None
    secret: Secret | None = None  # that deliveries are signed with
    previous_secret: Secret | None = None  # signed with too, while the secret is changed

    @model_validator(mode="after")
    def _is_signed(self) -> Self:
        if self.url is not None and self.secret is None:
            message = (
                "url is set without secret: deliveries are signed, so set a secret of 16 characters or more"
            )
            raise ValueError(message)
        if self.previous_secret is not None and self.secret is None:
            raise ValueError("previous_secret is set without secret; set both while a secret is changed")
        return self

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets that deliveries are signed with, the present one first."""
        both = (self.secret, self.previous_secret)
        return tuple(secret.get_secret_value() for secret in both if secret is not None)

    @property
    def is_on(self) -> bool:
        """Whether there is an address."""
        return self.url is not None

    def sink(self, *, answer_seconds: float, clock: Callable[[], float]) -> WebhookSink | None:
        """Posts to that address, signed with every secret."""
        if self.url is None:
            return None
        from tasks.notify.post import Post

        post = Post(self.url, answer_seconds=answer_seconds, clock=clock)
        return WebhookSink(post, secrets=self.secrets, clock=clock)


class WebhookSink:
    """Posts each notification under its id, by which a receiver recognizes a repetition.

    Each attempt is signed anew, with its own time: receivers refuse what was signed long ago.
    """

    name = "webhook"

    def __init__(self, post: Post, *, secrets: Sequence[str], clock: Callable[[], float]) -> None:
        self._post = post
        self._secrets = secrets
        self._clock = clock

    def send(self, notification: Notification) -> None:
        """Post it."""
        body = payload(notification)
        headers = signed_headers(self._secrets, identifier=notification.id, at=self._clock(), body=body)
        self._post.send(body, headers)


def payload(notification: Notification) -> bytes:
    """The body: the same for every attempt."""
    at = datetime.fromtimestamp(notification.at, tz=UTC).isoformat(timespec="milliseconds")
    document = {
        "v": 1,
        "id": notification.id,
        "type": notification.kind.value,
        "timestamp": at.replace("+00:00", "Z"),
        "data": {
            "subject": notification.subject,
            "title": notification.title,
            "words": notification.words,
            "fields": notification.fields,
        },
    }
    return json.dumps(document, separators=(",", ":")).encode()


def signed_headers(secrets: Iterable[str], *, identifier: str, at: float, body: bytes) -> dict[str, str]:
    """The three headers of a delivery; `at` in seconds since the epoch, one signature for each secret.

    HMAC-SHA256 over `identifier.seconds.body`, in base64, with the prefix `v1,`; several are separated by a
    space, so that a receiver may know either secret while they change.
    """
    seconds = str(int(at))
    content = f"{identifier}.{seconds}.".encode() + body
    made = (hmac.new(_key(secret), content, hashlib.sha256).digest() for secret in secrets)
    return {
        "webhook-id": identifier,
        "webhook-timestamp": seconds,
        "webhook-signature": " ".join("v1," + base64.b64encode(digest).decode() for digest in made),
    }


def _key(secret: str) -> bytes:
    """The bytes of a secret: base64 after the prefix, else the text itself; binascii.Error for bad base64."""
    if secret.startswith(PREFIX):
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    return secret.encode()
