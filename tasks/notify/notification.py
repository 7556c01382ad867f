"""A notification: one thing that people are told, made from one event."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from routing.printable import printable
from tasks.notify.notification_kind import NotificationKind

#: Characters of a title, of the words below it, and of one field.
LONGEST_TITLE, LONGEST_WORDS, LONGEST_FIELD = 200, 1500, 300


def one_line(text: str, most: int) -> str:
    """Text from outside on one line, without control characters, cut where it is too long."""
    joined = " ".join(printable(text[: 4 * most]).split())
    return joined if len(joined) <= most else joined[: most - 1] + "…"


Title = Annotated[str, AfterValidator(lambda text: one_line(text, LONGEST_TITLE))]
Words = Annotated[str, AfterValidator(lambda text: one_line(text, LONGEST_WORDS))]
FieldText = Annotated[str, AfterValidator(lambda text: one_line(text, LONGEST_FIELD))]


class Notification(BaseModel):
    """What is told. Its text is from outside: each part is one printable line of bounded length."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    v: Literal[1] = 1
    id: str  # the event's id and the kind; the same however often it is sent
    kind: NotificationKind
    subject: FieldText  # job, issue, version or trial that it is about
    title: Title
    words: Words = ""  # why, and what to do next
    at: float  # when it happened, seconds since the epoch, the server's
    fields: dict[str, FieldText] = Field(default_factory=dict)  # issue, version, arm, commit, … if known
