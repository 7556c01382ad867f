"""One POST to one address of the settings, and what its answer means.

No message shows more of the address than its host; see `tasks.notify.address`.
"""

import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import requests
import urllib3.exceptions
from pydantic import SecretStr

from routing.http.rate_limit import resumes_at
from routing.http.reply import plain_line
from tasks.notify.sink import UndeliveredError

#: Seconds for a connection to come about.
CONNECT_SECONDS = 5.0

#: Bytes of an answer that are looked at.
MOST_BYTES = 2048

#: Characters from which on a part of the address is taken for a secret, and hidden in what is shown.
_SECRET_PART = 6

_FIRST_REDIRECT, _FIRST_REFUSAL, _FIRST_SERVER_ERROR = 300, 400, 500
_TIMED_OUT, _TOO_EARLY, _TOO_MANY, _UNAVAILABLE = 408, 425, 429, 503
_LATER = frozenset({_TIMED_OUT, _TOO_EARLY, _TOO_MANY})


class Post:
    """Sends bodies to one address: no redirects, no proxies of the environment, no passwords of ~/.netrc.

    It keeps no connection: notifications are few, and a connection that has died in between would cost an
    attempt. `clock`: seconds since the epoch, with which a receiver's wish to be left alone is read.
    """

    def __init__(self, address: SecretStr, *, answer_seconds: float, clock: Callable[[], float]) -> None:
        self._address = address.get_secret_value()
        self._host = urlsplit(self._address).hostname or ""  # all that may be shown
        self._timeout = (CONNECT_SECONDS, answer_seconds)
        self._clock = clock

    def send(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Post a body of JSON; return when it was taken, or raise UndeliveredError.

        Taken is any 2xx that is not a web page. Final, so not tried again: redirects, and refusals but 408,
        425 and 429. Everything else may pass.
        """
        given = {"Content-Type": "application/json", "User-Agent": "coalmine", "Connection": "close"}
        fault = ""
        with requests.Session() as session:
            session.trust_env = False
            try:
                with session.post(
                    self._address, data=body, headers=given | dict(headers), timeout=self._timeout,
                    allow_redirects=False, stream=True,
                ) as response:  # fmt: skip
                    self._judge(response)
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                fault = _fault(error)
        if fault:  # raised out here: the error itself carries the address, which a traceback would show
            message = f"{self._host} did not take it: {fault}"
            raise UndeliveredError(message)

    def _judge(self, response: requests.Response) -> None:
        """Return for "taken", else raise what the status means. See RFC 9110, 15, and RFC 6585 for 429."""
        status = response.status_code
        if status < _FIRST_REDIRECT:
            if self._is_page(response):
                message = f"{self._host} answered with an HTML page in place of a word: is the address right?"
                raise UndeliveredError(message)
            return
        said = self._shown(_beginning(response))
        message = f"{self._host} answered {status} {said}".rstrip()
        if status < _FIRST_REFUSAL:
            message += ": it redirects, which is not followed; correct the address"
            raise UndeliveredError(message, final=True)
        if status < _FIRST_SERVER_ERROR and status not in _LATER:
            raise UndeliveredError(message, final=True)
        asked = None
        if status in {_TOO_MANY, _UNAVAILABLE}:
            asked = resumes_at(status, response.headers, "", self._clock())
        raise UndeliveredError(message, again_at=asked)

    def _is_page(self, response: requests.Response) -> bool:
        """Whether a sign-in page or a proxy's took the place of the receiver."""
        if "html" not in response.headers.get("Content-Type", "").lower():
            return False
        return bool(re.match(rb"\s*<(!doctype|html)", _beginning(response), re.IGNORECASE))

    def _shown(self, body: bytes) -> str:
        """The answer's own words, without the address that many servers repeat in them."""
        text = body.decode("utf-8", errors="replace")
        parts = urlsplit(self._address)
        secret = {parts.path, parts.query, *re.split(r"[/?&=]", f"{parts.path}?{parts.query}")}
        for part in sorted(secret, key=len, reverse=True):
            if len(part) >= _SECRET_PART:
                text = text.replace(part, "…")
        return plain_line(text)


def _beginning(response: requests.Response) -> bytes:
    """The first bytes of an answer, as far as they come; b"" when they do not."""
    try:
        return bytes(response.raw.read1(MOST_BYTES, decode_content=True)[:MOST_BYTES])
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError):
        return b""


def _fault(error: Exception) -> str:
    """What went wrong on the way, without the address."""
    if isinstance(error, requests.ConnectTimeout):
        return "connecting timed out"
    if isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError)):
        return "no answer came in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate was not accepted"
    return f"no connection, or it was lost ({type(error).__name__})"
