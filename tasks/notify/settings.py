"""Settings of notifications: which sinks there are, and what is sent to each. By default all are off."""

from collections.abc import Callable, Iterator
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from routing.setting_types import Count, Seconds
from tasks.notify.log_sink import LogSinkSettings
from tasks.notify.notification import NotificationKind
from tasks.notify.sink import Sink, SinkSettings
from tasks.notify.slack_sink import SlackSinkSettings
from tasks.notify.webhook_sink import WebhookSinkSettings


class NotifySettings(BaseModel):
    """The sinks, and how patient the sender is with them.

    A sink is a field whose default is a `SinkSettings`; its name is the sink's, under which its place and its
    queue are stored, so it must not change.
    """

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", hide_input_in_errors=True)

    interval_seconds: Seconds = 2.0  # between two looks for news
    attempts: Annotated[Count, Field(le=100)] = 12  # of one notification before it is a dead letter
    back_off_first_seconds: Seconds = 5.0  # after the first failure; doubles with each further one
    back_off_cap_seconds: Seconds = 3600.0
    answer_seconds: Annotated[Seconds, Field(le=30)] = 10.0  # that a sink may be silent
    max_age_hours: Annotated[Seconds, Field(le=8760)] = 72.0  # of events; older ones are not sent at all
    log: LogSinkSettings = LogSinkSettings()
    webhook: WebhookSinkSettings = WebhookSinkSettings()
    slack: SlackSinkSettings = SlackSinkSettings()

    @property
    def is_on(self) -> bool:
        """Whether any sink is."""
        return any(sink.is_on for sink in self._sinks())

    def configured(self, clock: Callable[[], float]) -> Iterator[tuple[Sink, tuple[NotificationKind, ...]]]:
        """Each sink that is on, with the kinds that are sent there. `clock`: seconds since the epoch."""
        for settings in self._sinks():
            sink = settings.sink(answer_seconds=self.answer_seconds, clock=clock)
            if sink is not None:
                yield sink, settings.wanted

    @classmethod
    def names(cls) -> list[str]:
        """The names of all sinks that there can be: of the fields that are settings of one."""
        fields = cls.model_fields.items()
        return [name for name, field in fields if isinstance(field.default, SinkSettings)]

    def _sinks(self) -> Iterator[SinkSettings]:
        return (getattr(self, name) for name in self.names())


#: The names under which places and queues of sinks are kept.
SINK_NAMES = tuple(NotifySettings.names())
