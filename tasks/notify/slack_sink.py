"""Slack, or anything that takes the JSON of its incoming webhooks, as a sink.

See https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from tasks.notify.address import Address
from tasks.notify.notification import Notification
from tasks.notify.sink import SinkSettings

if TYPE_CHECKING:  # settings are read without an HTTP client
    from tasks.notify.post import Post

#: Fields that are shown below the words, in this order.
_SHOWN = ("title", "version", "arm", "trial", "by", "commit", "job")

#: Fields that are links of ours, each in a line of its own at the end, with the word before it.
_LINKS = (("link", "Page"), ("answer", "Answer once"))

#: An invisible character. After an @ it keeps Slack, Mattermost and their like from calling people together.
_NO_BREAK = "\u200b"

#: Every @ but that of a version, which people copy: `implementer@v3`.
_MENTION = re.compile(r"(?<![a-z0-9])@|@(?!v[0-9])")


class SlackSinkSettings(SinkSettings):
    """An incoming webhook of Slack, or of anything that takes the same JSON."""

    url: Address | None = None

    @property
    def is_on(self) -> bool:
        """Whether there is an address."""
        return self.url is not None

    def sink(self, *, answer_seconds: float, clock: Callable[[], float]) -> SlackSink | None:
        """Posts to that address."""
        if self.url is None:
            return None
        from tasks.notify.post import Post

        return SlackSink(Post(self.url, answer_seconds=answer_seconds, clock=clock))


class SlackSink:
    """Posts `{"text": …}`."""

    name = "slack"

    def __init__(self, post: Post) -> None:
        self._post = post

    def send(self, notification: Notification) -> None:
        """Post it."""
        self._post.send(payload(notification), {})


def payload(notification: Notification) -> bytes:
    """The body: plain text that mentions nobody, links to pages of ours alone and has no previews."""
    lines = [f"[{notification.kind}] {notification.title}", notification.words]
    lines.append(
        ", ".join(f"{name} {notification.fields[name]}" for name in _SHOWN if name in notification.fields)
    )
    links = [f"{said}: {notification.fields[name]}" for name, said in _LINKS if name in notification.fields]
    text = "\n".join([*(plain(line) for line in lines if line), *links])
    document = {"text": text, "mrkdwn": False, "unfurl_links": False, "unfurl_media": False}
    return json.dumps(document).encode()


def plain(text: str) -> str:
    """Text from outside as nothing but text.

    & < > are escaped as Slack asks (https://docs.slack.dev/messaging/formatting-message-text), which leaves
    no `<!channel>` and no `<@U123>`. Others read a bare @channel, and markdown's links.
    """
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MENTION.sub(f"@{_NO_BREAK}", escaped).replace("](", f"]{_NO_BREAK}(")
