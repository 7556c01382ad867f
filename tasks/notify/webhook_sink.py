"""An address of one's own as a sink: JSON, signed."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from tasks.notify.notification import Notification
from tasks.notify.post import Post
from tasks.notify.signature import signed_headers


class WebhookSink:
    """Posts each notification under its id, by which a receiver tells a repetition."""

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
