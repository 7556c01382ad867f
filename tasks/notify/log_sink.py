"""The log as a sink: one line a notification."""

import structlog

from tasks.notify.notification import Notification


class LogSink:
    """Writes a line of level `info`."""

    name = "log"

    def __init__(self) -> None:
        self._log = structlog.get_logger(__name__)

    def send(self, notification: Notification) -> None:
        """Write it."""
        self._log.info(
            "notification",
            id=notification.id,
            kind=notification.kind.value,
            subject=notification.subject,
            title=notification.title,
            words=notification.words,
            fields=notification.fields,
        )
