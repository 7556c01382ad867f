"""When a limit ends, by the words of a program or of its provider: pure.

Seen in the wild: durations ("retry in 34.07s", "try again in 3 days 4 hours"), headers ("retry-after: 120"),
times of day in any zone ("resets 9pm (Europe/Berlin)"), dates, ISO 8601, dates of HTTP, and seconds since the
epoch. The words are not to be trusted: the caller cuts what is far away, and passes over what has passed.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from email.utils import parsedate_to_datetime
from typing import Final
from zoneinfo import ZoneInfo

#: A time of day that has passed for less than this was meant as today's, in seconds: the limit is over.
JUST_PASSED_SECONDS: Final = 900.0

#: Characters of the words that are read.
_MOST_CHARACTERS: Final = 4000

#: Characters after a word like "resets" in which its time is looked for.
_NEAR: Final = 90

_UNITS: Final = {"ms": 0.001, "mi": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}

_PIECE: Final = (
    r"\d{1,9}(?:\.\d{1,9})?\s*"
    r"(?:ms|milliseconds?|seconds?|secs?|minutes?|mins?|hours?|hrs?|days?|weeks?|[smhdw])(?![a-z])"
)
#: A time that is written without blanks, like `17h20m3s`, has units before digits.
_RUN: Final = r"(?:\d{1,9}(?:\.\d{1,9})?(?:ms|[smhdw])){2,6}(?![a-z])"
_DURATION: Final = rf"(?:{_RUN}|{_PIECE}(?:(?:\s*,\s*|\s+and\s+|\s+){_PIECE}){{0,5}})"
_PIECES: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|mi(?=lli)|[smhdw])", re.IGNORECASE)

#: What says that a time after it is the end of the limit.
_ANCHOR: Final = re.compile(
    r"\b(?:again|retry|retrying|resets?|resetting|available|wait|access|refresh(?:es)?|renews?|until|after|"
    r"replenish(?:es)?|restored?|resumes?)\b",
    re.IGNORECASE,
)
_RELATIVE: Final = re.compile(
    rf"\b(?:in|after|for|within|wait)\s+(?:about\s+|approximately\s+|another\s+)?({_DURATION})", re.IGNORECASE
)
_HEADER: Final = re.compile(
    r"\bretry[-_ ]?(?:after|delay)(?P<milli>[-_ ]?ms)?(?:[-_ ]?(?:seconds|secs))?[\"']?\s*[:=]\s*[\"']?"
    r"(?P<number>\d{1,12}(?:\.\d{1,9})?)\s*(?P<unit>ms|s)?\b",
    re.IGNORECASE,
)
_EPOCH: Final = re.compile(
    r"(?:\||\bresets?[-_ ]?(?:at|time)?[\"']?\s*[:=]\s*[\"']?)(\d{13}|\d{10})\b", re.IGNORECASE
)
_ISO: Final = re.compile(
    r"\b(?P<date>20\d\d-\d\d-\d\d)(?:(?:T|\s+at\s+|\s+)(?P<time>\d\d:\d\d(?::\d\d)?)(?:\.\d{1,9})?)?"
    r"\s*(?P<zone>Z\b|(?:UTC|GMT)\b|[+-]\d\d:?\d\d\b)?"
)
_HTTP_DATE: Final = re.compile(r"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} 20\d\d \d\d:\d\d:\d\d GMT")

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONTH_WORD: Final = rf"({'|'.join(_MONTHS)})[a-z]*\.?"
_DAY_OF_MONTH: Final = re.compile(
    rf"\b{_MONTH_WORD}\s+(\d{{1,2}})(?:st|nd|rd|th)?\b(?:,?\s+(20\d\d))?", re.IGNORECASE
)
_DAY_FIRST: Final = re.compile(
    rf"\b(\d{{1,2}})(?:st|nd|rd|th)?\s+{_MONTH_WORD}(?:,?\s+(20\d\d))?\b", re.IGNORECASE
)
_WEEKDAY: Final = re.compile(
    r"\b(mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?\b", re.IGNORECASE
)
_TOMORROW: Final = re.compile(r"\btomorrow\b", re.IGNORECASE)
_CLOCK: Final = re.compile(
    r"\b(?:(?P<hour>\d{1,2})(?::(?P<minute>\d\d)(?::\d\d)?)?\s*(?P<half>[ap])\.?m\b\.?"
    r"|(?P<hour24>[01]?\d|2[0-3]):(?P<minute24>[0-5]\d)(?::[0-5]\d)?\b(?!\s*[ap]\.?m)"
    r"|(?P<word>midnight|noon)\b)",
    re.IGNORECASE,
)
_ZONE: Final = re.compile(
    r"[\s(]*\(?((?:UTC|GMT)[+-]\d{1,2}(?::?\d\d)?|[+-]\d\d:?\d\d\b|[A-Z][A-Za-z]+(?:/[A-Za-z_+\-0-9]+){1,2}"
    r"|(?:Pacific|Eastern|Central|Mountain)\b|Z\b|[A-Z]{2,5}\b)"
)
_OFFSET: Final = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2}):?(\d\d)?")

#: Zones by the letters that programs use; those of a country's summer stand for its zone.
_LETTERS: Final = {
    "UTC": "UTC", "GMT": "UTC", "Z": "UTC",
    "PST": "America/Los_Angeles", "PDT": "America/Los_Angeles", "PT": "America/Los_Angeles",
    "PACIFIC": "America/Los_Angeles", "MST": "America/Denver", "MDT": "America/Denver",
    "MT": "America/Denver", "MOUNTAIN": "America/Denver", "CST": "America/Chicago",
    "CDT": "America/Chicago", "CT": "America/Chicago", "CENTRAL": "America/Chicago",
    "EST": "America/New_York", "EDT": "America/New_York", "ET": "America/New_York",
    "EASTERN": "America/New_York", "CET": "Europe/Berlin", "CEST": "Europe/Berlin",
    "EET": "Europe/Helsinki", "EEST": "Europe/Helsinki", "BST": "Europe/London", "WET": "Europe/Lisbon",
    "IST": "Asia/Kolkata", "JST": "Asia/Tokyo", "KST": "Asia/Seoul", "SGT": "Asia/Singapore",
    "AEST": "Australia/Sydney", "AEDT": "Australia/Sydney",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """Words of a program, and when they were heard: "in 5 minutes" counts from then."""

    text: str
    at: float  # seconds since the epoch


def reset_time(said: Sequence[Said], *, zone: tzinfo = UTC) -> float | None:
    """When a limit ends, in seconds since the epoch; None when the words do not say.

    `zone` is that of times of day without one: where the program runs. What had just passed when it was said
    ends at that moment.
    """
    readers: tuple[Callable[[str, float, tzinfo], float | None], ...] = (
        _epoch, _header, _http_date, _after_anchor,
    )  # fmt: skip
    for read in readers:
        for words in said:
            try:
                found = read(words.text[:_MOST_CHARACTERS], words.at, zone)
            except (ValueError, OverflowError):  # the 31st of February, the year 9999
                continue
            if found is not None:
                return words.at if words.at - JUST_PASSED_SECONDS <= found < words.at else found
    return None


def zone_of(environment: Mapping[str, str]) -> tzinfo:
    """The zone in which a program with this environment tells the time: that of TZ, else this machine's."""
    try:
        return ZoneInfo(environment["TZ"].removeprefix(":"))
    except (KeyError, ValueError, OSError):  # also ZoneInfoNotFoundError
        return datetime.now(UTC).astimezone().tzinfo or UTC


def duration_seconds(text: str) -> float:
    """`3 days 4 hours`, `17h20m3s`, `34.07s` in seconds."""
    return sum(float(number) * _UNITS[unit.lower()] for number, unit in _PIECES.findall(text))


def _epoch(text: str, _now: float, _zone: tzinfo) -> float | None:
    found = _EPOCH.search(text)
    if found is None:
        return None
    number = int(found[1])
    return number / 1000 if len(found[1]) > 10 else float(number)  # noqa: PLR2004 - milliseconds


def _header(text: str, now: float, _zone: tzinfo) -> float | None:
    found = _HEADER.search(text)
    if found is None:
        return None
    is_milli = found["milli"] or (found["unit"] or "").lower() == "ms"
    return now + float(found["number"]) * (0.001 if is_milli else 1.0)


def _http_date(text: str, _now: float, _zone: tzinfo) -> float | None:
    found = _HTTP_DATE.search(text)
    return parsedate_to_datetime(found[0]).timestamp() if found else None


def _after_anchor(text: str, now: float, zone: tzinfo) -> float | None:
    """The first time that stands near a word like "resets"."""
    for anchor in _ANCHOR.finditer(text):
        near = text[anchor.start() : anchor.end() + _NEAR].partition("\n")[0]
        relative = _RELATIVE.search(near)
        if relative is not None:
            return now + duration_seconds(relative[1])
        found = _iso(near, zone) or _named(near[anchor.end() - anchor.start() :], now, zone)
        if found is not None:
            return found
    return None


def _iso(text: str, zone: tzinfo) -> float | None:
    found = _ISO.search(text)
    if found is None:
        return None
    clock = time.fromisoformat(found["time"] or "00:00")
    there = _zone(found["zone"] or "", zone)
    if there is None:
        return None
    return datetime.combine(date.fromisoformat(found["date"]), clock, there).timestamp()


def _named(text: str, now: float, zone: tzinfo) -> float | None:
    """A date, a time of day or both, in a zone that is named after them."""
    clock = _CLOCK.search(text)
    days = _DAY_OF_MONTH.search(text) or _DAY_FIRST.search(text) or _WEEKDAY.search(text)
    days = days or _TOMORROW.search(text)
    if clock is None and days is None:
        return None
    end = max(found.end() for found in (clock, days) if found is not None)
    named = _ZONE.match(text, end)
    there = _zone(named[1] if named else "", zone)
    if there is None:
        return None
    here = datetime.fromtimestamp(now, there)
    at = _time_of_day(clock) if clock else time()
    day = _day(days, here.date()) if days else None
    if day is None:
        return _next(at, here)
    found = datetime.combine(day, at, there)
    if days is not None and days.re is _WEEKDAY and found.timestamp() < now - JUST_PASSED_SECONDS:
        found += timedelta(days=7)  # "Monday 9am", said on a Monday at ten
    return found.timestamp()


def _next(at: time, here: datetime) -> float:
    """That time of today, or of the next day once it has passed."""
    today = datetime.combine(here.date(), at, here.tzinfo)
    if today.timestamp() >= here.timestamp() - JUST_PASSED_SECONDS:
        return today.timestamp()
    return datetime.combine(here.date() + timedelta(days=1), at, here.tzinfo).timestamp()


def _time_of_day(found: re.Match[str]) -> time:
    if found["word"]:
        return time(12 if found["word"].lower() == "noon" else 0)
    if found["hour24"]:
        return time(int(found["hour24"]), int(found["minute24"]))
    hour = int(found["hour"]) % 12 + (12 if found["half"].lower() == "p" else 0)
    return time(hour, int(found["minute"] or 0))


def _day(found: re.Match[str], today: date) -> date:
    """The day that is named, this one or the next of its name."""
    if found.re is _TOMORROW:
        return today + timedelta(days=1)
    if found.re is _WEEKDAY:
        return today + timedelta(days=(_DAYS.index(found[1][:3].lower()) - today.weekday()) % 7)
    first, second, year = found.groups()
    day, month = (second, first) if found.re is _DAY_OF_MONTH else (first, second)
    number = _MONTHS.index(month[:3].lower()) + 1
    named = date(int(year or today.year), number, int(day))
    if year is None and named < today - timedelta(days=1):  # "resets Jan 2", said in December
        named = date(today.year + 1, number, int(day))
    return named


def _zone(name: str, otherwise: tzinfo) -> tzinfo | None:
    """The zone of a name; None for one that is unknown: a guess could be wrong by a day."""
    if not name:
        return otherwise
    known = _LETTERS.get(name.upper())
    offset = _OFFSET.fullmatch(name)
    if known is None and offset is not None:
        minutes = int(offset[2]) * 60 + int(offset[3] or 0)
        return timezone(timedelta(minutes=minutes if offset[1] == "+" else -minutes))
    try:
        return ZoneInfo(known or name)
    except (ValueError, OSError, KeyError):  # also ZoneInfoNotFoundError
        return otherwise if name.isupper() else None  # "API", "USD": a word after the time
