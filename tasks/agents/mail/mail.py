"""A mail as stored, and its types and states.

`queued -> claimed -> acked`; back to `queued` after an unclean turn or a lost claim; `dead` after
MOST_ATTEMPTS claims, or when the recipient has finished. Mail to people is never claimed: it is `acked`
when one reads it.
"""

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from routing.errors import CorruptRecordError, InvalidInputError
from routing.jobs.job import Priority


class UnknownMailTypeError(InvalidInputError):
    """No type of mail has that name; nothing was sent."""


class MailType(StrEnum):
    """What a mail is for. The payload of each type is in `payloads`, the types that end a task in `role`."""

    STATUS = "status"
    QUESTION = "question"
    RESULT = "result"
    ERROR = "error"
    WORKER_DONE = "worker_done"
    WORKER_DIED = "worker_died"  # only Coalmine itself says so
    MERGE_READY = "merge_ready"
    MERGED = "merged"
    MERGE_FAILED = "merge_failed"
    ESCALATION = "escalation"
    HEALTH_CHECK = "health_check"
    DISPATCH = "dispatch"
    ASSIGN = "assign"
    DECISION_GATE = "decision_gate"  # the sender waits for a decision


def mail_type(text: str) -> MailType:
    """The type of that name, or an error that names all."""
    try:
        return MailType(text)
    except ValueError as error:
        known = ", ".join(MailType)
        message = f"{text[:40]!r} is not a type of mail, so nothing was sent; use one of: {known}"
        raise UnknownMailTypeError(message) from error


#: The longest subject, in characters.
MOST_SUBJECT = 200

#: The longest body, in bytes: a turn may have to read many.
MOST_BODY_BYTES = 16 * 1024

#: Order of delivery, the most urgent first.
RANKS: Mapping[Priority, int] = {priority: rank for rank, priority in enumerate(Priority)}

_ID = re.compile(r"[0-9a-f]{16}")


class MailState(StrEnum):
    """How far its delivery has come."""

    QUEUED = "queued"
    CLAIMED = "claimed"  # by a turn, under a lease
    ACKED = "acked"  # delivered; of mail to people: read
    DEAD = "dead"  # it will not be delivered


def _decoded(value: object) -> object:
    return json.loads(value) if isinstance(value, str) else value


class Mail(BaseModel):
    """One mail as stored. Later versions may add fields; those are passed over."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="ignore")

    v: Literal["1"] = "1"
    id: str  # 16 hex digits
    sequence: int  # the server's, over all mail of the fleet
    type: MailType
    sender: str  # address
    author: str = ""  # of mail from people: who wrote it
    recipient: str  # address
    group: str = ""  # that it was sent to, "" for mail to one address
    subject: str  # one line
    body: str = ""
    payload: Annotated[dict[str, Any], BeforeValidator(_decoded)]  # checked when it was sent
    priority: Priority = Priority.NORMAL
    thread: str  # id of the thread's first mail
    reply_to: str = ""  # id of the mail that it answers, "" for none
    deadline: float | None = None  # of a decision gate: until when its sender waits
    task: str = ""  # that the sender worked on, "" for people
    sent_at: float  # seconds since the epoch, the server's, like all times here
    state: MailState
    attempts: int = 0  # turns that have claimed it
    fence: int = 0  # of the claim, 0 while it is not claimed
    lease_until: float | None = None  # end of the claim
    settled_at: float | None = None  # when it was delivered, or died
    reason: str = ""  # why it is in its state, in words

    @property
    def place(self) -> tuple[int, int]:
        """Its place in the order of delivery: priority, then sequence."""
        return RANKS[self.priority], self.sequence

    @classmethod
    def parse(cls, fields: Mapping[str, str]) -> "Mail":
        """A stored mail, or CorruptRecordError."""
        try:
            return cls.model_validate(fields)
        except (ValidationError, json.JSONDecodeError) as error:
            message = (
                f"mail {fields.get('id', '')[:40]!r} cannot be read; was it written by a newer Coalmine?"
            )
            raise CorruptRecordError(message) from error


def new_mail_id() -> str:
    """A random id of 64 bits."""
    return secrets.token_hex(8)


def checked_mail_id(text: str) -> str:
    """Return the id, or say what a mail's id looks like."""
    if not _ID.fullmatch(text):
        message = f"{text[:40]!r} is not a mail id, which has 16 hex digits, see `mail list`"
        raise InvalidInputError(message)
    return text


@dataclass(frozen=True, kw_only=True, slots=True)
class MailClaim:
    """All mail that waited when a turn began, in the order of delivery.

    Its lease is renewed while the turn runs.
    """

    agent: str
    fence: int  # grows with each claim and each mail; 0 when nothing waited
    mails: Sequence[Mail]

    @property
    def ids(self) -> list[str]:
        """The ids of the mails."""
        return [mail.id for mail in self.mails]
