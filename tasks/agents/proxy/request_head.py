"""The head of an HTTP/1.1 request: read strictly, so that it means to the host what it means here.

Pure. A head with two meanings (two lengths, a length and chunks, a folded line) is refused.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

#: The longest head, in bytes.
MOST_BYTES: Final = 64 * 1024

_LINE: Final = re.compile(rb"([A-Z]{1,20}) ([!-~]{1,16000}) HTTP/1\.[01]")
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*")

#: Of one connection, not of the request: they are not sent on.
_HOP: Final = frozenset(
    {"connection", "proxy-connection", "proxy-authorization", "keep-alive", "te", "upgrade", "trailer"}
)


class BadRequestError(ValueError):
    """The request cannot be read, or means two things."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestHead:
    """What a program asks for."""

    method: str
    target: str  # as it was written: `host:443`, `http://host/path` or `/path`
    fields: Sequence[tuple[str, str]]

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a head, with the empty line at its end. BadRequestError."""
        first, *rest = data.removesuffix(b"\r\n\r\n").split(b"\r\n")
        line = _LINE.fullmatch(first)
        fields = [_FIELD.fullmatch(one) for one in rest]
        if line is None or None in fields:
            raise BadRequestError("the request is malformed")
        pairs = [(one[1].decode(), one[2].decode("latin-1")) for one in fields if one is not None]
        return cls(method=line[1].decode(), target=line[2].decode(), fields=pairs)

    @property
    def place(self) -> tuple[str, int]:
        """The host and port of a proxied request's target. BadRequestError."""
        try:
            parts = urlsplit(f"//{self.target}" if self.method == "CONNECT" else self.target)
            port = parts.port
        except ValueError as error:
            raise BadRequestError("the request names no host") from error
        is_tunnel = self.method == "CONNECT"
        port = port or (None if is_tunnel else 80)
        if not parts.hostname or port is None or parts.scheme != ("" if is_tunnel else "http"):
            raise BadRequestError("the request names no host")
        return parts.hostname, port

    @property
    def path(self) -> str:
        """The target as a host wants it, which has no name of a host in it."""
        if self.target.startswith("/"):
            return self.target
        parts = urlsplit(self.target)
        return f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"

    @property
    def body_bytes(self) -> int | None:
        """How long the body is; None for one in chunks. BadRequestError."""
        lengths = [value for name, value in self.fields if name.lower() == "content-length"]
        codings = [value.lower() for name, value in self.fields if name.lower() == "transfer-encoding"]
        if codings:
            if codings != ["chunked"] or lengths:
                raise BadRequestError("the length of the body has two meanings")
            return None
        if len(lengths) > 1 or (lengths and not re.fullmatch(r"[0-9]{1,15}", lengths[0])):
            raise BadRequestError("the length of the body has two meanings")
        return int(lengths[0]) if lengths else 0

    def sent_to(self, host: str, *, replaced: Mapping[str, str]) -> bytes:
        """The head as it is sent on, for one request on a connection of its own.

        `replaced` are headers, by names in lower case, in place of the program's own.
        """
        kept = [
            (name, value)
            for name, value in self.fields
            if name.lower() not in _HOP and name.lower() != "host" and name.lower() not in replaced
        ]
        fields = [("Host", host), *kept, *replaced.items(), ("Connection", "close")]
        lines = [f"{self.method} {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
