"""One answer of a server, read whole and within bounds, and what it looks like to a person.

An answer is from outside: no bound of it is the server's to choose, and of its text only one printable line
goes into a message.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import requests

from routing.printable import in_texts, valid

_CHUNK_BYTES = 64 * 1024
_TITLE = re.compile(rb"<title[^>]*>(.{0,300}?)</title>", re.IGNORECASE | re.DOTALL)
_SHOWN_CHARACTERS = 200


class UnreadableReplyError(Exception):
    """What came is not an answer of the API; the message says what it looked like."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """Status, headers and body of one answer."""

    status: int
    headers: Mapping[str, str]  # found in any case
    body: bytes
    is_again: bool = False  # the server said that the one which is known still holds

    @property
    def is_html(self) -> bool:
        """Whether a page came, as proxies, sign-in pages and wrong addresses send them."""
        kind = self.headers.get("Content-Type", "").lower()
        return "html" in kind or self.body.lstrip()[:1] == b"<"

    @property
    def said(self) -> str:
        """The forge's own words on an error, in one line; "" without any."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            return plain_line(self.body.decode("utf-8", errors="replace"))
        if not isinstance(value, dict):
            return ""
        details = [value.get("message")]
        for several in (value.get("errors"), value.get("errorMessages")):  # a list, or by the name of a field
            details += several if isinstance(several, list) else []
            details += several.values() if isinstance(several, dict) else []
        words = [detail.get("message") if isinstance(detail, dict) else detail for detail in details]
        return plain_line("; ".join(word for word in words if isinstance(word, str)))

    def value(self) -> Any:
        """The body as JSON with valid texts, None when it is empty; raises UnreadableReplyError."""
        if self.is_html:
            title = _TITLE.search(self.body)
            named = f" titled {plain_line(title[1].decode('utf-8', errors='replace'))!r}" if title else ""
            message = f"an HTML page{named} with status {self.status} came in place of JSON"
            raise UnreadableReplyError(message)
        if not self.body.strip():
            return None
        try:
            return in_texts(json.loads(self.body), valid)
        except (ValueError, RecursionError) as error:
            start = plain_line(self.body[:80].decode("utf-8", errors="replace"))
            message = f"what came is not JSON: it begins with {start!r}"
            raise UnreadableReplyError(message) from error


def read_reply(
    response: requests.Response, *, max_bytes: int, deadline: float, clock: Callable[[], float]
) -> Reply:
    """Read the body until its end, its bound, or the deadline: a server may drip byte by byte.

    `deadline` is in the seconds of `clock`. UnreadableReplyError beyond either bound; errors of the
    connection are passed on.
    """
    read = bytearray()
    # `raw.read1` returns what has come, so that the clock is looked at between two packets.
    while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
        read += chunk
        if len(read) > max_bytes:
            message = f"the answer is larger than {max_bytes} bytes"
            raise UnreadableReplyError(message)
        if clock() > deadline:
            message = f"the answer did not end in time; {len(read)} bytes had come"
            raise UnreadableReplyError(message)
    return Reply(status=response.status_code, headers=response.headers, body=bytes(read))


def plain_line(text: str) -> str:
    """Text from outside as one printable line of bounded length."""
    line = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(line.split())[:_SHOWN_CHARACTERS]
