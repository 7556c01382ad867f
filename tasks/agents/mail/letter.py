"""A letter: a mail as its sender writes it, before it is sent.

Built from outside data by `checked` alone, which removes control characters, and raises InvalidInputError
with what to change. Payloads are checked when the letter is sent, as that needs the clock of the server.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from routing.errors import InvalidInputError
from routing.jobs.job import Priority
from routing.printable import printable
from tasks.agents.mail.mail import MOST_BODY_BYTES, MOST_SUBJECT, MailType, mail_type

#: The longest dedupe key, in characters.
MOST_KEY = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """What a sender says, checked. Who the sender is comes from its `Author`, never from here."""

    to: str  # an address or a group
    type: MailType = MailType.STATUS
    subject: str = ""  # one line
    body: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict)
    priority: Priority = Priority.NORMAL
    dedupe_key: str = ""  # repeated sends of one sender with one key are one mail

    @classmethod
    def checked(
        cls, *, to: str, type_: str = "", subject: str = "", body: str = "",
        payload: Mapping[str, Any] | None = None, priority: str = "", dedupe_key: str = "",
    ) -> "Letter":  # fmt: skip
        """Build a letter from outside data, or say what is wrong with it."""
        if not to.strip():
            raise InvalidInputError("the mail has no recipient and was not sent; name one with --to")
        line = _subject(subject, body)
        if len(dedupe_key) > MOST_KEY:
            message = f"the dedupe key has {len(dedupe_key)} characters and may have {MOST_KEY}; shorten it"
            raise InvalidInputError(message)
        return cls(
            to=to.strip(),
            type=mail_type(type_ or MailType.STATUS),
            subject=line,
            body=_body(body),
            payload=payload or {},
            priority=_priority(priority),
            dedupe_key=dedupe_key,
        )


def _subject(subject: str, body: str) -> str:
    line = " ".join(printable(subject).split())
    if not line and body.strip():
        line = " ".join(printable(body).split())[:80]
    if not line:
        raise InvalidInputError("the mail says nothing and was not sent; give it a subject or a body")
    if len(line) > MOST_SUBJECT:
        message = (
            f"the subject has {len(line)} characters and may have {MOST_SUBJECT}; the mail was not sent: "
            "say the rest in the body"
        )
        raise InvalidInputError(message)
    return line


def _body(body: str) -> str:
    clean = printable(body)
    size = len(clean.encode())
    if size > MOST_BODY_BYTES:
        message = (
            f"the body takes {size} bytes and may take {MOST_BODY_BYTES}; the mail was not sent: commit long "
            "texts to the work tree and name the file"
        )
        raise InvalidInputError(message)
    return clean


def _priority(text: str) -> Priority:
    try:
        return Priority(text or Priority.NORMAL)
    except ValueError as error:
        message = f"{text[:20]!r} is not a priority, so nothing was sent; use one of: {', '.join(Priority)}"
        raise InvalidInputError(message) from error
