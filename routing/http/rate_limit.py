"""How long a forge asks to be left alone: read from its headers, pure.

Times are seconds since the epoch. Headers may be missing, wrong, or those of a proxy, so what they say is
believed within an hour from now and no further.
"""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

#: Seconds to wait when a forge says "too many" and not for how long; GitHub's documentation says a minute.
UNSAID_SECONDS = 60.0

#: The longest that a header is believed, in seconds: GitHub's limits start anew each hour.
LONGEST_SECONDS = 3600.0

_TOO_MANY, _FORBIDDEN, _UNAVAILABLE = 429, 403, 503


def resumes_at(status: int, headers: Mapping[str, str], said: str, now: float) -> float | None:
    """When a limit that refused this very request ends, in seconds since the epoch; None without one.

    GitHub refuses with 403 as well as 429, and its secondary limits leave a remainder above zero. See
    https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api
    """
    asked = _asked_for(headers, now)
    if status == _UNAVAILABLE:
        return asked
    limited = status == _TOO_MANY or (
        status == _FORBIDDEN and (asked is not None or _is_used_up(headers) or "rate limit" in said.lower())
    )
    if not limited:
        return None
    return asked or used_up_until(headers, now) or now + UNSAID_SECONDS


def used_up_until(headers: Mapping[str, str], now: float) -> float | None:
    """When requests are to be had again, for an answer that was the last one; None while some are left."""
    if not _is_used_up(headers):
        return None
    reset = _number(headers.get("X-RateLimit-Reset", ""))
    return _believed(reset, now) if reset is not None else now + UNSAID_SECONDS


def _is_used_up(headers: Mapping[str, str]) -> bool:
    return headers.get("X-RateLimit-Remaining", "").strip() == "0"


def _asked_for(headers: Mapping[str, str], now: float) -> float | None:
    """`Retry-After`, which holds seconds or a date (RFC 9110, 10.2.3)."""
    text = headers.get("Retry-After", "").strip()
    seconds = _number(text)
    if seconds is not None:
        return _believed(now + seconds, now)
    try:
        return _believed(parsedate_to_datetime(text).timestamp(), now)
    except (ValueError, OverflowError):
        return None


def _number(text: str) -> float | None:
    """A whole number of at most twelve digits, None for anything else."""
    return float(text) if text.isascii() and text.isdigit() and len(text) <= 12 else None  # noqa: PLR2004 - epochs have ten digits


def _believed(at: float, now: float) -> float:
    """The time, but neither in the past nor further ahead than LONGEST_SECONDS."""
    return min(max(at, now), now + LONGEST_SECONDS)
