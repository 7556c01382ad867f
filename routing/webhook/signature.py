"""Whether a body was signed with one of our secrets."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping

from routing.webhook.errors import BadSignatureError
from routing.webhook.forge_kind import HEADERS, ForgeKind


def sign(kind: ForgeKind, secret: str, body: bytes) -> str:
    """The value of a kind's signature header: HMAC-SHA256 over the raw body, in hexadecimal."""
    return HEADERS[kind].prefix + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def check_signature(kind: ForgeKind, secrets: Iterable[str], headers: Mapping[str, str], body: bytes) -> None:
    """Pass when one of the secrets made the signature; else BadSignatureError, whatever was wrong.

    `headers` has names in lower case. Every secret is tried, and each comparison takes the same time for
    every wrong value.
    """
    names = HEADERS[kind]
    given = names.first(names.signature, headers).encode(errors="replace")
    matches = [hmac.compare_digest(sign(kind, secret, body).encode(), given) for secret in secrets]
    if not any(matches):
        raise BadSignatureError
