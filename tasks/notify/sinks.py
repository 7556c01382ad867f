"""The sinks that the settings name."""

from collections.abc import Callable, Iterator

from tasks.notify.log_sink import LogSink
from tasks.notify.notification_kind import NotificationKind
from tasks.notify.post import Post
from tasks.notify.settings import NotifySettings
from tasks.notify.sink import Sink
from tasks.notify.slack_sink import SlackSink
from tasks.notify.webhook_sink import WebhookSink

#: Names of all sinks that there can be.
NAMES = ("log", "webhook", "slack")


def configured_sinks(
    settings: NotifySettings, clock: Callable[[], float]
) -> Iterator[tuple[Sink, tuple[NotificationKind, ...]]]:
    """Each sink with the kinds that are sent there."""

    def post(address: str) -> Post:
        return Post(address, answer_seconds=settings.answer_seconds, clock=clock)

    log, webhook, slack = settings.log, settings.webhook, settings.slack
    if log.enabled:
        yield LogSink(), _kinds(log.kinds)
    if webhook.url is not None:
        sink = WebhookSink(post(webhook.url.get_secret_value()), secrets=webhook.secrets, clock=clock)
        yield sink, _kinds(webhook.kinds)
    if slack.url is not None:
        yield SlackSink(post(slack.url.get_secret_value())), _kinds(slack.kinds)


def _kinds(chosen: tuple[NotificationKind, ...]) -> tuple[NotificationKind, ...]:
    return chosen or tuple(NotificationKind)
