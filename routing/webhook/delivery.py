"""A delivery: one message of a forge, read and bounded. Pure.

Its signature was checked before, so it is the forge's; the words in it are anybody's.
"""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from pydantic import ValidationError
from pydantic_core import from_json

from routing.printable import in_texts, valid
from routing.webhook.dialect import News, WebhookDialect, first_of
from routing.webhook.errors import BadPayloadError, Fault

#: The most that is kept of a text of a header, in characters.
_LONGEST = 200

#: The most faults of a body that are reported.
_MOST_FAULTS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """What a forge said. It was true when it was said; what is true now is asked of the forge."""

    forge: str  # its name in the settings
    id: str  # the forge's, "" when it sent none
    digest: str  # the same for each repetition and for nothing else: hash of forge and id, or of the body
    event: str  # of the header, or read from the body's shape
    news: News | None = None  # None for events that are about neither an issue nor pushed work


def read_delivery(forge: str, dialect: WebhookDialect, headers: Mapping[str, str], body: bytes) -> Delivery:
    """Read headers (names in lower case) and body, or raise BadPayloadError that names the field.

    Neither header need be there: without an event, the body must be that of an issue or of a comment.
    """
    identifier = first_of(dialect.delivery, headers)
    body = _valid(body)
    document = _document(body, headers.get("content-type", ""))
    event = first_of(dialect.event, headers)[:_LONGEST] or dialect.event_of(document)
    try:
        news = dialect.read(event, body)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False, include_input=False)
        faults = [Fault(tuple(map(str, each["loc"])), each["msg"]) for each in wrong[:_MOST_FAULTS]]
        raise BadPayloadError(*faults) from None  # the cause would show the body, which holds Gitea's secret
    return Delivery(
        forge=forge,
        id=identifier[:_LONGEST],
        digest=_digest(forge, identifier, body),
        event=event,
        news=news,
    )


def _digest(forge: str, identifier: str, body: bytes) -> str:
    """Hash ids and bodies with different prefixes, so that no id can pass for a body."""
    text = b"id\0" + identifier.encode(errors="replace") if identifier else b"body\0" + body
    return hashlib.sha256(forge.encode() + b"\0" + text).hexdigest()


def _valid(body: bytes) -> bytes:
    """The same JSON without halves of characters, which pydantic does not read; anything else as it is."""
    try:
        from_json(body)
    except ValueError:
        with suppress(ValueError, RecursionError):
            return json.dumps(in_texts(json.loads(body), valid)).encode()
    return body


def _document(body: bytes, content_type: str) -> dict[str, object]:
    try:
        document = from_json(body)
    except ValueError as error:
        hint = ""
        if content_type.startswith("application/x-www-form-urlencoded"):
            hint = "; set the webhook's content type to application/json"
        raise BadPayloadError(Fault((), f"is not JSON ({str(error)[:_LONGEST]}){hint}")) from error
    if not isinstance(document, dict):
        raise BadPayloadError(Fault((), "must be a JSON object"))
    return document
