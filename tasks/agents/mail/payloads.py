"""What each type of mail says in fields, checked when it is sent.

Strict: a field that is missing, unknown or of a wrong kind is refused by name. A new type needs an entry in
PAYLOADS, and a row in docs/mail.md.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from routing.errors import InvalidInputError
from tasks.agents.mail.mail import MailType
from tasks.agents.mail.role import Role

#: The largest payload, as JSON in bytes.
MOST_PAYLOAD_BYTES = 32 * 1024

Name = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Words = Annotated[str, StringConstraints(min_length=1)]


class PayloadError(InvalidInputError):
    """A payload lacks a field, has one too many, or one of a wrong kind; nothing was sent."""


class Severity(StrEnum):
    """How bad it is."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class Payload(BaseModel):
    """No fields: everything is said in the body."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class WorkerDone(Payload):
    """A task is done."""

    task_id: Name
    branch: str  # that the work is on, "" when there is none
    exit_code: int
    files_modified: list[Name]


class WorkerDied(Payload):
    """An agent ended without saying how its task went."""

    agent: Name
    role: Role
    task_id: str
    reason: Words
    last_activity: datetime | None  # when its last event came; None when none came
    ended_by: str  # result, stall, cancel, …


class MergeReady(Payload):
    """A branch can be merged."""

    branch: Name
    task_id: Name
    agent: Name
    files_modified: list[Name]


class Merged(Payload):
    """A branch was merged."""

    branch: Name
    task_id: Name
    tier: Name  # the way in which it was possible


class MergeFailed(Payload):
    """A branch could not be merged."""

    branch: Name
    task_id: Name
    conflict_files: list[Name]
    error: Words


class Escalation(Payload):
    """Somebody has to look at something."""

    severity: Severity
    task_id: Name | None = None
    context: Words


class TaskDispatch(Payload):
    """A task for the recipient."""

    task_id: Name
    spec: Words
    role: Role
    file_scope: list[Name]


class DecisionGate(Payload):
    """The sender waits until somebody decides, or until the deadline if it names one."""

    options: Annotated[list[Name], Field(min_length=1)]
    context: Words
    deadline: AwareDatetime | None = None  # ISO 8601 with a zone; not in the past when it is sent


#: The payload of each type.
PAYLOADS: Mapping[MailType, type[Payload]] = {
    MailType.STATUS: Payload,
    MailType.QUESTION: Payload,
    MailType.RESULT: Payload,
    MailType.ERROR: Payload,
    MailType.WORKER_DONE: WorkerDone,
    MailType.WORKER_DIED: WorkerDied,
    MailType.MERGE_READY: MergeReady,
    MailType.MERGED: Merged,
    MailType.MERGE_FAILED: MergeFailed,
    MailType.ESCALATION: Escalation,
    MailType.HEALTH_CHECK: Payload,
    MailType.DISPATCH: TaskDispatch,
    MailType.ASSIGN: Payload,
    MailType.DECISION_GATE: DecisionGate,
}


def checked_payload(type_: MailType, given: Mapping[str, Any]) -> Payload:
    """The payload of a mail, or an error that names every wrong field."""
    try:
        text = json.dumps(given, allow_nan=False)
        if len(text) > MOST_PAYLOAD_BYTES:
            message = (
                f"the payload of a {type_} mail takes {len(text)} bytes and may take {MOST_PAYLOAD_BYTES}; "
                "nothing was sent: put the files into the work tree and name them"
            )
            raise PayloadError(message)
        return PAYLOADS[type_].model_validate_json(text)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, part['loc'])) or 'payload'}: {part['msg']}" for part in error.errors()
        )
        fields = ", ".join(PAYLOADS[type_].model_fields) or "none"
        message = (
            f"the payload of a {type_} mail is wrong and nothing was sent: {problems}; its fields: {fields}"
        )
        raise PayloadError(message) from error
    except (TypeError, ValueError, RecursionError) as error:
        message = f"the payload of a {type_} mail is not a JSON object, so nothing was sent: {error}"
        raise PayloadError(message) from error


def checked_deadline(payload: Payload, now: Callable[[], float]) -> float | None:
    """Until when the sender waits, seconds since the epoch; None: for ever, or the mail is not a gate.

    A deadline that has passed by `now`, the server's clock, is a PayloadError.
    """
    if not isinstance(payload, DecisionGate) or payload.deadline is None:
        return None
    deadline, at = payload.deadline.timestamp(), now()
    if deadline <= at:
        message = (
            f"the deadline {payload.deadline.isoformat()} has passed: it is {_time(at)}, and nothing was "
            "sent; name a later time, or none"
        )
        raise PayloadError(message)
    return deadline


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat(timespec="seconds")


def needs_payload(type_: MailType) -> bool:
    """Whether a mail of that type has a field that must be given."""
    return any(field.is_required() for field in PAYLOADS[type_].model_fields.values())
