"""The log as a sink: one line a notification, for those whose logs are collected and searched anyway."""

from collections.abc import Callable

from routing.setting_types import Switch
from tasks.notify.notification import Notification
from tasks.notify.sink import SinkSettings


class LogSinkSettings(SinkSettings):
    """A line in the worker's log."""

    enabled: Switch = False

    @property
    def is_on(self) -> bool:
        """Whether it was switched on."""
        return self.enabled

    def sink(self, *, answer_seconds: float, clock: Callable[[], float]) -> "LogSink | None":
        """The log takes everything at once, and stamps its lines itself."""
        del answer_seconds, clock
        return LogSink() if self.enabled else None


class LogSink:
    """Writes a line of level `info`. Nothing can keep it from being taken, so it is never repeated."""

    name = "log"

    def __init__(self) -> None:
        import structlog

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
