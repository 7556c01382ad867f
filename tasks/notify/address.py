"""The address that a sink sends to, as settings give it.

It is a secret: anyone who knows that of a Slack channel can write there. It is checked when settings are
read.
"""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr

from routing.http.address import is_loopback


def checked_address(value: SecretStr) -> SecretStr:
    """Return the address, or raise ValueError that says what is wrong without repeating it."""
    text = value.get_secret_value()
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises ValueError when it is not a number, or out of range
    except ValueError:
        raise ValueError("cannot be read as an address; write https://host/path") from None
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise ValueError("must begin with https:// and a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must hold no user and no password before the host")
    if parts.fragment or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must have no #, no spaces and nothing but ASCII")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("would be sent in clear: http:// is for 127.0.0.1 only, use https://")
    return value


Address = Annotated[SecretStr, AfterValidator(checked_address)]
