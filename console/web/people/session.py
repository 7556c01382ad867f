"""Who asks, and what they may do: by a token, or by the cookie that a token was exchanged for.

The acting token (`web.token`) lets a person decide, the reading token (`web.read_token`) lets them look. On
loopback looking needs neither. The cookie holds a name, a right and an end, signed with a key that is made
of the token that was shown: who may look cannot sign for one who decides, a token that is changed ends its
sessions, and without a token there are none. Nothing about sessions is stored. A change needs the cookie's
own CSRF token in its form besides.

A third way is off unless it is set: a proxy that signs people in itself names them in a header. It counts
from the proxy's own addresses alone.
"""

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.datastructures import Headers
from starlette.requests import cookie_parser

from routing.errors import SettingsError
from routing.printable import printable

#: The name of the cookie.
COOKIE = "coalmine_session"

#: Seconds for which a person is signed in.
SESSION_SECONDS = 12 * 3600

#: Characters of a name.
LONGEST_NAME = 60

#: The name of a caller who has a token and no cookie.
TOKEN_NAME = "token"  # noqa: S105 - a name


class Right(IntEnum):
    """What somebody may do; each includes those before it."""

    NOTHING = 0
    READ = 1
    ACT = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Viewer:
    """Who asks."""

    right: Right
    name: str = ""  # that is recorded with decisions; "" for one who has not signed in
    csrf: str = ""  # that forms of this viewer carry; "" without a cookie
    may_sign_in: bool = False  # whether there is a token to sign in with
    by_proxy: bool = False  # whether a proxy has signed them in, which alone can sign them out

    @property
    def may_act(self) -> bool:
        """Whether decisions are offered."""
        return self.right is Right.ACT


class _Session(BaseModel):
    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    name: str
    right: Right
    until: float  # seconds since the epoch, of this machine's clock


@dataclass(frozen=True, kw_only=True, slots=True)
class TrustedProxy:
    """A proxy that has signed people in, and says who they are."""

    header: str  # that it sets, and takes out of what others send
    networks: Sequence[IPv4Network | IPv6Network]  # it connects from; what comes from elsewhere counts not
    right: Right  # of those whom it names
    #: Of this process: a form of before its start is refused, and its page is loaded again.
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    def names(self, headers: Headers, client: str) -> str:
        """Whom it names; "" for nobody, and for a header that came twice or from elsewhere."""
        given = headers.getlist(self.header)
        if len(given) != 1 or not self._is_trusted(client):
            return ""
        return " ".join(printable(given[0]).split())[:LONGEST_NAME]

    def csrf(self, name: str) -> str:
        """The token of forms of a person, which no other site can know."""
        return hmac.new(self.secret, name.encode(errors="replace"), hashlib.sha256).hexdigest()

    def _is_trusted(self, client: str) -> bool:
        try:
            address = ip_address(client)
        except ValueError:
            return False
        return any(address in network for network in self.networks)


@dataclass(frozen=True, kw_only=True, slots=True)
class WebAccess:
    """The rule of one web process."""

    acting_token: str | None = None  # None: nobody may decide
    reading_token: str | None = None
    is_open: bool = False  # whether everybody who can connect may read, as on loopback
    proxy: TrustedProxy | None = None  # that signs people in itself
    clock: Callable[[], float] = time.time

    def right_of(self, token: str) -> Right:
        """What a token allows; the comparisons take constant time."""
        given = token.encode(errors="replace")
        rights = [(self.acting_token, Right.ACT), (self.reading_token, Right.READ)]
        return max(
            (right for known, right in rights if known and hmac.compare_digest(given, known.encode())),
            default=Right.NOTHING,
        )

    def viewer(self, headers: Headers, client: str = "") -> Viewer:
        """Who sent a request, by its headers, and the address that it came from."""
        offer = self.acting_token is not None or self.reading_token is not None
        least = Right.READ if self.is_open else Right.NOTHING
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and (right := self.right_of(token)):
            return Viewer(right=right, name=TOKEN_NAME, may_sign_in=offer)
        if self.proxy is not None and (named := self.proxy.names(headers, client)):
            return Viewer(
                right=max(self.proxy.right, least), name=named, csrf=self.proxy.csrf(named), by_proxy=True
            )
        payload = _cookie(headers)
        session = self._session(payload)
        if session is None:
            return Viewer(right=least, may_sign_in=offer)
        return Viewer(
            right=max(session.right, least),
            name=session.name,
            csrf=self._mac(session.right, f"csrf:{payload}"),
            may_sign_in=offer,
        )

    def cookie_for(self, name: str, right: Right) -> str:
        """The cookie of a person who has shown the token of a right; SettingsError where there is none."""
        session = _Session(name=name, right=right, until=self.clock() + SESSION_SECONDS)
        payload = base64.urlsafe_b64encode(session.model_dump_json().encode()).decode()
        return f"{payload}.{self._mac(right, payload)}"

    def _session(self, cookie: str) -> _Session | None:
        """The session of a cookie; None for one that we did not sign, or that has ended."""
        payload, _, mac = cookie.partition(".")
        given = mac.encode(errors="replace")
        signed = [
            right
            for right in (Right.ACT, Right.READ)
            if payload
            and self._token(right)
            and hmac.compare_digest(given, self._mac(right, payload).encode())
        ]
        try:
            session = (
                _Session.model_validate(json.loads(base64.urlsafe_b64decode(payload))) if signed else None
            )
        except (ValueError, ValidationError):  # of another release
            return None
        # What the cookie says of its right counts only under the key of that right.
        return session if session and session.right in signed and session.until > self.clock() else None

    def _token(self, right: Right) -> str | None:
        return {Right.ACT: self.acting_token, Right.READ: self.reading_token}.get(right)

    def _mac(self, right: Right, text: str) -> str:
        token = self._token(right)
        if not token:
            raise SettingsError("there is no token of this right, so nobody has a session: set web.token")
        return hmac.new(_key(right, token), text.encode(errors="replace"), hashlib.sha256).hexdigest()


@lru_cache(maxsize=8)
def _key(right: Right, token: str) -> bytes:
    """The key of a right's cookies; slow to make, so that no cookie is a quick test of guessed tokens."""
    salt = f"coalmine session {right.name}".encode()
    return hashlib.scrypt(token.encode(errors="replace"), salt=salt, n=2**14, r=8, p=1, dklen=32)


def _cookie(headers: Headers) -> str:
    """The value of our cookie; "" for none. Others of this host may be malformed, as their pages please."""
    return cookie_parser("; ".join(headers.getlist("cookie"))).get(COOKIE, "")
