"""Notifications that tell of nothing, to see whether a sink is set up well."""

from tasks.notify.notification import Notification
from tasks.notify.notification_kind import NotificationKind


def sample(kind: NotificationKind, *, at: float, by: str) -> Notification:
    """A test of one kind; `at` in seconds since the epoch."""
    return Notification(
        id=f"test-{int(at * 1000)}:{kind}",
        kind=kind,
        subject="test",
        title=f"Test: a notification of the kind {kind}",
        words="Nothing happened. Somebody tried out `coalmine notify test`.",
        at=at,
        fields={"by": by},
    )
