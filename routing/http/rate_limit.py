"""How long a forge asks to be left alone: read from its answer, pure; and where others can see that.

Forges say it in many ways: 429 or 403, with headers or with words alone, by GraphQL in an answer that is
otherwise a success. Times are seconds since the epoch. Headers may be missing, wrong, or those of a proxy, so
what they say is believed within an hour from now and no further.

GitHub: https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api and, for GraphQL,
https://docs.github.com/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api. GitLab's headers
have no `X-`: https://docs.gitlab.com/administration/settings/user_and_ip_rate_limits/. One header for all is
https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/.
"""

import json
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Protocol

#: Seconds to wait when a forge says "too many" and not for how long; GitHub's documentation says a minute.
UNSAID_SECONDS = 60.0

#: The longest that a header is believed, in seconds: GitHub's limits start anew each hour.
LONGEST_SECONDS = 3600.0

#: A time to begin anew below this is in seconds from now: no epoch is that small.
_SMALLEST_EPOCH = 100_000_000.0

_SUCCESS, _BAD_REQUEST, _FORBIDDEN, _TOO_MANY, _UNAVAILABLE = 200, 400, 403, 429, 503

#: Words by which a 403 is a limit and not a missing permission.
_WORDS = re.compile(
    r"rate.?limit|abuse (detection|rate)|too many requests|retry later|try again later|slow down",
    re.IGNORECASE,
)

#: What GraphQL's errors are called when a limit is met, by GitHub and by Linear, which answers with 400.
_RATE_LIMITED = frozenset({"RATE_LIMITED", "RATELIMITED"})

#: Times to begin anew above this are in milliseconds.
_LARGEST_EPOCH = 100_000_000_000.0

#: What is left, and when there is more, in pairs; Linear has a limit of requests and one of complexity.
_LIMITS = (
    ("X-RateLimit-Remaining", "X-RateLimit-Reset"),
    ("RateLimit-Remaining", "RateLimit-Reset"),
    ("RateLimit-Remaining", "RateLimit-ResetTime"),
    ("X-RateLimit-Requests-Remaining", "X-RateLimit-Requests-Reset"),
    ("X-RateLimit-Complexity-Remaining", "X-RateLimit-Complexity-Reset"),
)
_FIELDS = re.compile(r"(?:^|[;,\s])([rt])=(\d{1,9})")
_NUMBER = re.compile(r"\d{1,15}(\.\d{1,6})?")


class RateLimitBoard(Protocol):
    """Where clients of one token see a limit that any of them has met. Calls may raise a CoalmineError."""

    def closed_seconds(self, token: str) -> float:
        """For how long the token is not to be used; 0 when it may be."""
        ...

    def close(self, token: str, seconds: float) -> None:
        """Have nobody use the token for so long; a longer time that is noted stays."""
        ...


def resumes_at(
    status: int, headers: Mapping[str, str], said: str, now: float, *, unsaid_seconds: float = UNSAID_SECONDS
) -> float | None:
    """When a limit that refused this very request ends, in seconds since the epoch; None without one.

    GitHub refuses with 403 as well as 429, and its secondary limits leave a remainder above zero.
    """
    asked = _asked_for(headers, now)
    if status == _UNAVAILABLE:
        return asked
    limited = status == _TOO_MANY or (
        status == _FORBIDDEN and (asked is not None or _is_used_up(headers) or bool(_WORDS.search(said)))
    )
    if not limited:
        return None
    return asked or used_up_until(headers, now) or now + min(unsaid_seconds, LONGEST_SECONDS)


def is_limited_answer(status: int, body: bytes) -> bool:
    """Whether an answer that looks like another one is GraphQL's refusal by a rate limit.

    Only errors at the top count: all else in an answer may be anybody's text.
    """
    if status not in {_SUCCESS, _BAD_REQUEST} or not any(word.encode() in body for word in _RATE_LIMITED):
        return False
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return False
    errors = value.get("errors") if isinstance(value, dict) else None
    return any(
        isinstance(error, dict) and bool(_RATE_LIMITED & {str(error.get("type")), str(_code(error))})
        for error in (errors if isinstance(errors, list) else [])
    )


def used_up_until(headers: Mapping[str, str], now: float) -> float | None:
    """When requests are to be had again, for an answer that was the last one; None while some are left."""
    if not _is_used_up(headers):
        return None
    said = [_fields(headers).get("t", "")]
    said += [headers.get(resets, "") for left, resets in _LIMITS if _left(headers, left) in {"0", ""}]
    known = (at for text in said if (at := _time(text, now)) is not None)
    return next(known, now + UNSAID_SECONDS)


def _code(error: Mapping[str, object]) -> object:
    extensions = error.get("extensions")
    return extensions.get("code") if isinstance(extensions, dict) else None


def _is_used_up(headers: Mapping[str, str]) -> bool:
    left = [_left(headers, name) for name, _ in _LIMITS] + [_fields(headers).get("r", "")]
    return "0" in left


def _left(headers: Mapping[str, str], name: str) -> str:
    return headers.get(name, "").strip()


def _fields(headers: Mapping[str, str]) -> dict[str, str]:
    """What `RateLimit: "default";r=0;t=30` says is left, and for how many seconds."""
    return dict(_FIELDS.findall(headers.get("RateLimit", "")))


def _asked_for(headers: Mapping[str, str], now: float) -> float | None:
    """`Retry-After`, which holds seconds or a date (RFC 9110, 10.2.3)."""
    return _time(headers.get("Retry-After", ""), now)


def _time(text: str, now: float) -> float | None:
    """A time from a header: an epoch, seconds from now, or a date; None for anything else."""
    text = text.strip()
    if text.isascii() and _NUMBER.fullmatch(text):
        number = float(text)
        number = number / 1000 if number > _LARGEST_EPOCH else number
        return _believed(number if number >= _SMALLEST_EPOCH else now + number, now)
    try:
        return _believed(parsedate_to_datetime(text).timestamp(), now)
    except (ValueError, OverflowError):
        return None


def _believed(at: float, now: float) -> float:
    """The time, but neither in the past nor further ahead than LONGEST_SECONDS."""
    return min(max(at, now), now + LONGEST_SECONDS)
