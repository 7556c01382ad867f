"""The kinds of notifications."""

from enum import StrEnum

from routing.errors import InvalidInputError


class UnknownNotificationError(InvalidInputError):
    """There is no such kind of notification; nothing was sent."""


class NotificationKind(StrEnum):
    """What people may want to be told."""

    DONE = "done"  # a job succeeded
    NEEDS_HUMAN = "needs-human"  # a person must go on
    FROZEN = "frozen"  # CI stayed red behind all repairs; a person must go on
    ROLLED_BACK = "rolled_back"  # a canary was rejected
    GRADUATED = "graduated"  # a canary is champion
    WORKER_LOST = "worker_lost"  # a worker was lost, and its job is queued again


def notification_kind(text: str) -> NotificationKind:
    """The kind of that name, or an error that names all. Hyphen, underscore and space are one."""
    wanted = text.strip().lower().replace("-", "_").replace(" ", "_")
    for kind in NotificationKind:
        if kind.value.replace("-", "_") == wanted:
            return kind
    known = ", ".join(NotificationKind)
    message = f"{text[:40]!r} is no kind of notification and nothing was sent; use one of: {known}"
    raise UnknownNotificationError(message)
