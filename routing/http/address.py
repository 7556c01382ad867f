"""The address of an API: checked once, and the only one to which its token is ever sent."""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

#: The version of an API at the end of its address.
_VERSION = re.compile(r"/api/v[0-9]+$")

#: What a port is when an address names none.
_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class ApiAddress:
    """An API's base address, without a slash at its end."""

    base: str

    @classmethod
    def of(cls, text: str) -> "ApiAddress":
        """Check the address, or raise ValueError that says what is wrong with it.

        The text is an operator's setting. What is refused would send the token in clear, show it, or send it
        to another place than the one that was written.
        """
        parts = urlsplit(text)
        if parts.scheme not in _PORTS or not parts.hostname:
            message = "an API's address begins with https:// and a host, like https://api.github.com"
            raise ValueError(message)
        if parts.username is not None or parts.password is not None:
            message = "an API's address holds no user and no password; the token is a setting of its own"
            raise ValueError(message)
        if parts.query or parts.fragment or not text.isprintable() or " " in text:
            message = "an API's address ends with its path: no ?, no #, no spaces"
            raise ValueError(message)
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            message = "http:// would send the token in clear; it is for 127.0.0.1 only, use https://"
            raise ValueError(message)
        _ = parts.port  # raises ValueError unless it is a number in range
        return cls(text.rstrip("/"))

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this machine."""
        return is_loopback(urlsplit(self.base).hostname or "")

    def url(self, path: str) -> str:
        """The address of a path, which begins with a slash."""
        return self.base + path

    @property
    def graphql(self) -> str:
        """The address of GraphQL: beside the versions of the API where its address ends with one.

        So on GitLab (`/api/v4`) and on a GitHub Enterprise Server (`/api/v3`); below it on github.com.
        """
        return f"{_VERSION.sub('/api', self.base)}/graphql"

    def has_origin_of(self, url: str) -> bool:
        """Whether the address is on the same host, by the same scheme and port: it may see the token."""
        return _origin(url) == _origin(self.base)


def _origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port, as RFC 6454 compares them; empty for what is not an address."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return "", "", None
    return parts.scheme, (parts.hostname or "").lower(), port


def same_api(one: str, other: str) -> bool:
    """Whether two addresses are spellings of one: its usual port, a slash or a dot at an end, upper case."""
    return _spelled_alike(one) == _spelled_alike(other)


def _spelled_alike(address: str) -> tuple[str, str, int | None, str]:
    scheme, host, port = _origin(address)
    path = urlsplit(address).path if host else address
    return scheme, host.rstrip("."), port, path.rstrip("/").casefold()


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address. Names other than `localhost` are not looked up."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
