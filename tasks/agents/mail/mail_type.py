"""The types of mail."""

from enum import StrEnum

from routing.errors import InvalidInputError


class UnknownMailTypeError(InvalidInputError):
    """There is no such type of mail; nothing was sent."""


class MailType(StrEnum):
    """What a mail is. Each type's payload stands in `payloads.py`."""

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
        message = f"{text[:40]!r} is no type of mail and nothing was sent; use one of: {known}"
        raise UnknownMailTypeError(message) from error
