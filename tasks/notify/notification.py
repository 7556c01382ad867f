"""A notification: one thing that people hear of, made from one event, and the kinds that there are.

It is stored and sent to programs of others, so fields keep their names, and `v` counts the versions.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from routing.errors import InvalidInputError
from routing.printable import printable

#: Characters of a title, of the words below it, and of one field.
LONGEST_TITLE, LONGEST_WORDS, LONGEST_FIELD = 200, 1500, 300


class UnknownNotificationError(InvalidInputError):
    """The kind of notification does not exist; nothing was sent. Use one of those that the message names."""


class NotificationKind(StrEnum):
    """What people may want to hear of. The values are in settings, and in what sinks get."""

    DONE = "done"  # a job succeeded
    IN_REVIEW = "in_review"  # a job's work is done, and a person is to merge it
    NEEDS_HUMAN = "needs-human"  # a person must go on
    FROZEN = "frozen"  # CI stayed red after all repairs; a person must go on
    ROLLED_BACK = "rolled_back"  # a canary was rejected
    STEP_PASSED = "step_passed"  # a version passed a step of its way, and the next one begins
    GRADUATED = "graduated"  # a canary is champion
    WORKER_LOST = "worker_lost"  # a worker was lost, and its job is queued again
    ACCOUNT_LIMITED = "account_limited"  # an account reached a limit: its jobs wait
    ACCOUNT_OPEN = "account_open"  # it serves again


def notification_kind(text: str) -> NotificationKind:
    """The kind of that name, or an error that names all. Hyphen, underscore and space are one."""
    wanted = text.strip().lower().replace("-", "_").replace(" ", "_")
    for kind in NotificationKind:
        if kind.value.replace("-", "_") == wanted:
            return kind
    known = ", ".join(NotificationKind)
    message = f"{text[:40]!r} is not a kind of notification and nothing was sent; use one of: {known}"
    raise UnknownNotificationError(message)


def one_line(text: str, most: int) -> str:
    """Text from outside on one line, without control characters, cut where it is too long.

    `most` in characters. Only the beginning is looked at, so that a text of any length costs the same.
    """
    joined = " ".join(printable(text[: 4 * most]).split())
    return joined if len(joined) <= most else joined[: most - 1] + "…"


Title = Annotated[str, AfterValidator(lambda text: one_line(text, LONGEST_TITLE))]
Words = Annotated[str, AfterValidator(lambda text: one_line(text, LONGEST_WORDS))]
FieldText = Annotated[str, AfterValidator(lambda text: one_line(text, LONGEST_FIELD))]


class Notification(BaseModel):
    """What a sink sends. Its text is from outside: each part is one printable line of bounded length."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="ignore")

    v: Literal[1] = 1
    id: str  # the event's id and the kind; the same however often it is sent
    kind: NotificationKind
    subject: FieldText  # job, issue, version or trial that it is about
    title: Title
    words: Words = ""  # why, and what to do next
    at: float  # when it happened, seconds since the epoch, the server's
    fields: dict[str, FieldText] = Field(default_factory=dict)  # issue, version, arm, commit, … if known


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
