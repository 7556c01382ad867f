"""A delivery: one message of a forge, read and bounded."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError
from pydantic_core import from_json

from routing.webhook.errors import BadPayloadError, Fault
from routing.webhook.forge_kind import HEADERS, ForgeKind
from routing.webhook.payload import IssuePayload, User

#: Events that are about an issue; Gitea has names of its own for what GitHub tells by the action.
ISSUES = frozenset({"issues", "issue_assign", "issue_label", "issue_milestone"})
COMMENTS = frozenset({"issue_comment", "pull_request_comment"})

#: The most that is kept of a text of a header, in characters.
_LONGEST = 200

#: The most faults of a body that are told.
_MOST_FAULTS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """What a forge said. It was true when it was said; what is true now is asked of the forge."""

    kind: ForgeKind
    id: str  # the forge's, "" when it sent none
    digest: str  # what tells this delivery from others: hash of kind and id, or of the body
    event: str  # of the header, or read from the body's shape
    action: str = ""
    repo: str = ""  # `owner/name` in the forge's spelling
    number: int | None = None  # of the issue; None for events that have none
    actor: str = ""  # login of who did it, "" when the forge does not say
    label: str | None = None  # that came or went; None when it is no such event or the forge does not say
    labels: frozenset[str] = frozenset()  # of the issue, afterwards
    commenter: str = ""  # login of the comment's author
    is_pull_request: bool = False


def read_delivery(kind: ForgeKind, headers: Mapping[str, str], body: bytes) -> Delivery:
    """Read headers (names in lower case) and body, or raise BadPayloadError that names the field.

    Neither header need be there: without an event, the body must be that of an issue or of a comment.
    """
    names = HEADERS[kind]
    identifier = names.first(names.delivery, headers)
    document = _document(body, headers.get("content-type", ""))
    event = names.first(names.event, headers)[:_LONGEST]
    event = event or ("issue_comment" if document.get("comment") is not None else "issues")
    digest = _digest(kind, identifier, body)
    if event not in ISSUES | COMMENTS:
        return Delivery(kind=kind, id=identifier[:_LONGEST], digest=digest, event=event)
    payload = _payload(body)
    labels = (label.name for label in payload.issue.labels or ())
    commenter = payload.comment.user if payload.comment else None
    return Delivery(
        kind=kind,
        id=identifier[:_LONGEST],
        digest=digest,
        event=event,
        action=payload.action,
        repo=payload.repository.full_name,
        number=payload.issue.number,
        actor=_login(payload.sender),
        label=payload.label.name if payload.label else None,
        labels=frozenset(name for name in labels if name),
        commenter=_login(commenter),
        is_pull_request=payload.is_pull is True or payload.issue.pull_request is not None,
    )


def _login(user: User | None) -> str:
    return (user.login if user else None) or ""


def _digest(kind: ForgeKind, identifier: str, body: bytes) -> str:
    """Ids and bodies are told apart, so that no id can be made that stands for a body."""
    told = b"id\0" + identifier.encode(errors="replace") if identifier else b"body\0" + body
    return hashlib.sha256(kind.value.encode() + b"\0" + told).hexdigest()


def _document(body: bytes, content_type: str) -> dict[str, object]:
    try:
        document = from_json(body)
    except ValueError as error:
        hint = ""
        if content_type.startswith("application/x-www-form-urlencoded"):
            hint = "; set the webhook's content type to application/json"
        raise BadPayloadError(Fault((), f"is no JSON ({str(error)[:_LONGEST]}){hint}")) from error
    if not isinstance(document, dict):
        raise BadPayloadError(Fault((), "must be a JSON object"))
    return document


def _payload(body: bytes) -> IssuePayload:
    try:
        return IssuePayload.model_validate_json(body)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False, include_input=False)
        faults = [Fault(tuple(map(str, each["loc"])), each["msg"]) for each in wrong[:_MOST_FAULTS]]
        raise BadPayloadError(*faults) from None  # the cause would show the body, which holds Gitea's secret
