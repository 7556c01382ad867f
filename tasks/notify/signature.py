"""How deliveries are signed: as Standard Webhooks says, so that libraries can check it.

See https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable

#: What a secret begins with that is given as base64.
PREFIX = "whsec_"

#: The fewest characters of a secret, without the prefix.
SHORTEST = 16


def signed_headers(secrets: Iterable[str], *, identifier: str, at: float, body: bytes) -> dict[str, str]:
    """The three headers of a delivery; `at` in seconds since the epoch, one signature for each secret.

    HMAC-SHA256 over `identifier.seconds.body`, in base64.
    """
    seconds = str(int(at))
    content = f"{identifier}.{seconds}.".encode() + body
    made = (hmac.new(_key(secret), content, hashlib.sha256).digest() for secret in secrets)
    return {
        "webhook-id": identifier,
        "webhook-timestamp": seconds,
        "webhook-signature": " ".join("v1," + base64.b64encode(digest).decode() for digest in made),
    }


def checked_secret(secret: str) -> str:
    """Return the secret, or raise ValueError that does not repeat it."""
    if len(secret.removeprefix(PREFIX)) < SHORTEST:
        message = f"must have at least {SHORTEST} characters; make one with `openssl rand -hex 32`"
        raise ValueError(message)
    try:
        _key(secret)
    except binascii.Error:
        message = f"begins with {PREFIX} and is no base64 behind it"
        raise ValueError(message) from None
    return secret


def _key(secret: str) -> bytes:
    if secret.startswith(PREFIX):
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    return secret.encode()
