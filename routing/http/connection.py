"""The connection to an API: one session, one attempt at a time; answers update circuit and rate limit.

Whether an attempt is repeated is decided by the caller, who knows what the request does. This module says of
each failure what that decision needs: whether the request can have had an effect, and whether another attempt
makes sense. The token goes to `ApiAddress`'s origin alone, also along redirects; cookies are not kept, and
~/.netrc is not read.
"""

import hashlib
import math
import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urljoin

import requests
import urllib3.exceptions
from pydantic import SecretStr
from requests.adapters import HTTPAdapter

from routing.errors import CoalmineError
from routing.http.address import ApiAddress
from routing.http.circuit import Circuit
from routing.http.lent_token import LentToken
from routing.http.rate_limit import (
    UNSAID_SECONDS,
    RateLimitBoard,
    is_limited_answer,
    resumes_at,
    used_up_until,
)
from routing.http.reply import Reply, UnreadableReplyError, read_reply
from routing.http.settings import HttpLimits

#: How many redirects are followed, all of them on the forge's own host.
MAX_REDIRECTS = 3

#: The status of an answer that is the one that is known already.
UNCHANGED = 304

#: From these on a status is an error, and one of the server's.
FIRST_ERROR, FIRST_SERVER_ERROR = 400, 500

#: The status of a limit on requests.
TOO_MANY = 429

#: Status of an answer to a token that the server does not know.
UNKNOWN_TOKEN = 401

#: Statuses that lead elsewhere; a write is repeated there only by those that say so.
REDIRECTS = frozenset({301, 302, 303, 307, 308})
_KEEPS_METHOD = frozenset({307, 308})


class IdBoard(Protocol):
    """Where it is kept which thing of a server was meant by a name when it was first seen.

    `server` is the address of its API. Calls may raise a CoalmineError.
    """

    def kept(self, forge: str, server: str, name: str) -> int | None:
        """The id that is kept; None while it was never seen."""

    def keep(self, forge: str, server: str, name: str, id_: int) -> int:
        """Keep an id unless one is kept already; returns the one that is kept now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """What a client takes from outside, so that tests can put another in its place."""

    limits: HttpLimits = field(default_factory=HttpLimits)  # of each call, and of what is read
    generator: random.Random = field(default_factory=random.Random)  # of the jitter
    clock: Callable[[], float] = time.time  # seconds since the epoch, as servers tell times
    monotonic: Callable[[], float] = time.monotonic  # seconds, for what is waited for
    sleep: Callable[[float], object] = time.sleep
    board: RateLimitBoard | None = None  # shares rate limits with other processes; None: each has its own
    ids: IdBoard | None = None  # keeps which repositories were meant by names; None: nobody does
    folder: Path | None = None  # for what is kept on this host; None: nothing outlives the process

    def folder_of(self, name: str) -> Path | None:
        """The part of the folder that is for one forge."""
        return None if self.folder is None else self.folder / name


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One request, as often as it has to be sent.

    `url` is absolute and begins with the API's address; `body` is sent as JSON, None for no body.
    """

    method: str
    url: str
    body: Any = None  # a JSON value
    repeatable: bool  # sending it twice has the same effect as sending it once
    refused: frozenset[int] = frozenset()  # statuses that here mean "may not be done", beside 401 and 403
    whole: bool = False  # the whole answer is wanted, although the one that is known may still hold


class FailedAttemptError(Exception):
    """One attempt brought no answer.

    Not one of the project's errors: the client translates it, as it alone knows which forge was asked.
    """

    def __init__(self, message: str, *, harmless: bool = False, final: bool = False) -> None:
        super().__init__(message)
        self.harmless = harmless  # nothing was done by it
        self.final = final  # another attempt would end the same way


class TokenAuth(requests.auth.AuthBase):
    """Puts the token into its header, and keeps requests from looking for another one in ~/.netrc.

    `scheme` is the word before it, such as Bearer; "" for none.
    """

    def __init__(self, scheme: str, token: SecretStr) -> None:
        self._scheme = scheme
        self._token = token

    def digest(self, address: ApiAddress, url: str) -> str:
        """A name for the token of a request to this API, which tells nobody the token."""
        token = self._token
        known_as = token.known_as(url) if isinstance(token, LentToken) else token.get_secret_value()
        text = f"{address.base}\n{known_as}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Put it in; one that was lent, and is not known any more, is given up."""
        lender = self._token if isinstance(self._token, LentToken) else None
        token = lender.at(request.url or "") if lender is not None else self._token.get_secret_value()
        request.headers["Authorization"] = f"{self._scheme} {token}".lstrip()
        if lender is not None:
            request.hooks["response"].append(partial(_give_up, lender, token))
        return request

    def hidden(self, text: str) -> str:
        """The text without the token, should the server have repeated it."""
        if isinstance(self._token, LentToken):
            return self._token.hidden(text)
        return text.replace(self._token.get_secret_value(), "***")


def _give_up(lender: LentToken, token: str, response: requests.Response, **_: object) -> None:
    """A token may be revoked before its end."""
    if response.status_code == UNKNOWN_TOKEN:
        lender.refused(token, date=response.headers.get("Date", ""))


@dataclass(slots=True)
class ReplyCache:
    """The replies that were used last, bounded in number and size; safe to share between threads.

    For conditional requests (RFC 9110, 13): a reply is used again only after the server has said, with 304,
    that it still holds. GitHub does not count such answers against its rate limit, see
    https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api
    """

    max_replies: int
    max_bytes: int  # of all bodies together
    _replies: OrderedDict[str, Reply] = field(default_factory=OrderedDict, repr=False)
    _bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def find(self, url: str) -> Reply | None:
        """The reply that is known of an address, None for none; it becomes the one used last."""
        with self._lock:
            reply = self._replies.get(url)
            if reply is not None:
                self._replies.move_to_end(url)
            return reply

    def keep(self, url: str, reply: Reply) -> None:
        """Remember a reply that has an ETag; beyond the bounds those used longest ago are forgotten.

        A reply without an ETag removes what was known of the address.
        """
        with self._lock:
            old = self._replies.pop(url, None)
            self._bytes -= len(old.body) if old else 0
            if not reply.headers.get("ETag") or len(reply.body) > self.max_bytes:
                return
            self._replies[url] = reply
            self._bytes += len(reply.body)
            while len(self._replies) > self.max_replies or self._bytes > self.max_bytes:
                _, forgotten = self._replies.popitem(last=False)
                self._bytes -= len(forgotten.body)


@dataclass(slots=True)
class _Met:
    """What was met of one token's rate limit."""

    resumes_at: float = -math.inf  # when the last one ends, by the monotonic clock
    unsaid: int = 0  # limits in a row that did not say when they end

    def extend(self, until: float) -> None:
        """It lasts so long at least."""
        self.resumes_at = max(self.resumes_at, until)


class ApiConnection:
    """Sends requests to one API; safe to share between threads.

    `left_alone_seconds` and `limited_seconds` are for the caller to look at before each attempt: `attempt`
    itself sends in any case. Waits are measured by the monotonic clock. What a server says of the end of a
    limit, which may be a time of day, is made a number of seconds at once, and is bounded: see `rate_limit`.
    """

    def __init__(
        self,
        *,
        address: ApiAddress,
        auth: TokenAuth,
        headers: Mapping[str, str],
        limits: HttpLimits,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        board: RateLimitBoard | None = None,
    ) -> None:
        self._circuit = Circuit(limits.failures_to_open, limits.open_seconds)
        self._met: dict[str, _Met] = {}  # by the digest of a token
        self._board = board
        self._auth = auth
        self._address = address
        self._limits = limits
        self._clock = clock  # seconds since the epoch
        self._monotonic = monotonic
        self._cache = ReplyCache(limits.cached_replies, limits.cached_bytes)
        self._session = requests.Session()
        self._session.auth = auth
        self._session.headers.update({"User-Agent": "coalmine", **headers})
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._session.trust_env = not address.is_loopback  # proxies are for what is elsewhere

    def left_alone_seconds(self) -> float:
        """For how long the server is left alone, as it keeps failing; 0 when this caller may try."""
        now = self._monotonic()
        until = self._circuit.open_until(now)
        return 0.0 if until is None else max(0.0, until - now)

    def limited_seconds(self, url: str) -> float:
        """For how long the rate limit lasts of the token for an address, here or by what others have met."""
        now, token = self._monotonic(), self._auth.digest(self._address, url)
        with suppress(CoalmineError):  # without the board each client learns of limits by itself
            closed = self._board.closed_seconds(token) if self._board else 0.0
            if closed > 0:
                self._limits_of(token).extend(now + closed)
        return max(0.0, self._limits_of(token).resumes_at - now)

    def _limit(self, token: str, seconds: float) -> None:
        """Note a limit, for all who use the token."""
        self._limits_of(token).extend(self._monotonic() + seconds)
        with suppress(CoalmineError):
            if self._board is not None:
                self._board.close(token, seconds)

    def _limits_of(self, token: str) -> _Met:
        return self._met.setdefault(token, _Met())

    def close(self) -> None:
        """Give the sockets back, now: the session alone leaves that to the garbage collector."""
        for scheme in ("https://", "http://"):
            adapter = self._session.get_adapter(scheme)
            pools = adapter.poolmanager.pools if isinstance(adapter, HTTPAdapter) else {}
            for key in pools.keys():  # noqa: SIM118 - this mapping refuses to be iterated
                pools[key].close()
        self._session.close()

    def attempt(self, call: Call) -> Reply:
        """Send the request once, along redirects of the same host; a write that has moved is not sent on.

        Returns every answer below 500 (errors of the caller's among them) but refusals by a rate limit.
        Everything else is FailedAttemptError. A 301, 302 or 303 to a write comes back as it is: RFC 9110,
        15.4, lets clients make a GET of it, which would change nothing and look like success.
        """
        url, method = call.url, call.method
        for _ in range(MAX_REDIRECTS + 1):
            reply = self._send(method, url, call)
            if reply.status not in REDIRECTS or (method != "GET" and reply.status not in _KEEPS_METHOD):
                return reply
            url = urljoin(url, reply.headers.get("Location", ""))
            if not self._address.has_origin_of(url):
                message = "it redirects to another host, which gets no token; correct its address"
                raise FailedAttemptError(message, harmless=True, final=True)
        message = f"it redirects more than {MAX_REDIRECTS} times"
        raise FailedAttemptError(message, harmless=True, final=True)

    def _send(self, method: str, url: str, call: Call) -> Reply:
        """One request and its whole answer; a page that is known is asked for with its ETag."""
        limits, started_at = self._limits, self._monotonic()
        known = self._cache.find(url) if method == "GET" and not call.whole else None
        headers = {"If-None-Match": known.headers["ETag"]} if known else {}
        try:
            with self._session.request(
                method, url, json=call.body, headers=headers, stream=True, allow_redirects=False,
                timeout=(limits.connect_seconds, limits.read_seconds),
            ) as response:  # fmt: skip
                reply = read_reply(
                    response,
                    max_bytes=limits.max_answer_bytes,
                    deadline=started_at + limits.answer_seconds,
                    clock=self._monotonic,
                )
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            self._circuit.failed(self._monotonic())
            # Not `from error`: it carries the request with its token, which a report with locals would show.
            raise FailedAttemptError(_fault(error), harmless=_never_arrived(error)) from None
        except UnreadableReplyError as error:
            self._circuit.failed(self._monotonic())
            raise FailedAttemptError(str(error), final=True) from error
        return self._noted(method, url, reply, known)

    def _noted(self, method: str, url: str, reply: Reply, known: Reply | None) -> Reply:
        """Note what the answer says of rate limits and failures, and keep it if it has an ETag."""
        now = self._clock()
        said = reply.said if reply.status >= FIRST_ERROR else ""
        status = TOO_MANY if is_limited_answer(reply.status, reply.body) else reply.status
        token = self._auth.digest(self._address, url)
        met = self._limits_of(token)
        unsaid = UNSAID_SECONDS * 2.0 ** min(met.unsaid, 6)
        limited_until = resumes_at(status, reply.headers, said, now, unsaid_seconds=unsaid)
        met.unsaid = met.unsaid + 1 if limited_until is not None else 0
        if reply.status >= FIRST_SERVER_ERROR or reply.is_html:
            self._circuit.failed(self._monotonic())
        else:
            self._circuit.answered()
        later = limited_until or used_up_until(reply.headers, now)
        if later is not None:
            self._limit(token, later - now)
        if limited_until is not None and reply.status < FIRST_SERVER_ERROR:
            raise FailedAttemptError(f"its rate limit is used up ({reply.status})", harmless=True)
        if reply.status >= FIRST_SERVER_ERROR:
            raise FailedAttemptError(f"status {reply.status} {said}".rstrip())
        if reply.status == UNCHANGED and known is not None:
            return replace(known, is_again=True)
        if method == "GET" and reply.status < FIRST_ERROR:
            self._cache.keep(url, reply)
        return reply


def _fault(error: Exception) -> str:
    """What went wrong on the way, without the address and its query."""
    if isinstance(error, requests.ConnectTimeout):
        return "connecting timed out"
    if isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError)):
        return "it timed out"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate was not accepted"
    return "no connection" if _never_arrived(error) else f"the connection was lost ({type(error).__name__})"


def _never_arrived(error: Exception) -> bool:
    """Whether no byte of the request can have reached the forge."""
    if isinstance(error, requests.ConnectTimeout) or "CERTIFICATE_VERIFY_FAILED" in str(error):
        return True
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(reason, urllib3.exceptions.NewConnectionError)
