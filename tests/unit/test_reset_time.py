"""When a limit ends, by the words of programs and providers."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import hypothesis
import pytest
from hypothesis import strategies

from routing.accounts.reset_time import Said, duration_seconds, reset_time, zone_of

#: A Sunday.
NOW = datetime(2026, 11, 29, 17, 0, tzinfo=UTC)
HERE = ZoneInfo("Europe/Paris")


def said(words: str, *, at: datetime = NOW) -> list[Said]:
    """Words that are heard once."""
    return [Said(text=words, at=at.timestamp())]


@pytest.mark.parametrize(
    ("words", "at"),
    [
        # Claude Code
        ("You have hit your session limit, it resets at 9pm (Europe/Berlin)", "2026-11-29T20:00"),
        ("5-hour limit reached ∙ resets 3am", "2026-11-30T02:00"),
        ("You've hit your weekly limit · resets Dec 1 at 5pm (America/New_York)", "2026-12-01T22:00"),
        ("You've hit your limit · resets 11:30pm (Asia/Kolkata)", "2026-11-29T18:00"),
        ("Claude AI usage limit reached|1796000400", "2026-11-30T01:00"),
        ("Your limit will reset at 3pm (America/Santiago).", "2026-11-29T18:00"),
        # Codex
        (
            "You've hit your usage limit. Try again in 3 days 4 hours 12 minutes.",
            "2026-12-02T21:12",
        ),
        ("You've hit your usage limit. Try again at Dec 2nd, 2026 3:42 PM.", "2026-12-02T14:42"),
        ("You've hit your usage limit. Try again at 3:42 PM.", "2026-11-30T14:42"),
        ("Rate limit reached for gpt-5. Please try again in 6m0s. Visit the page.", "2026-11-29T17:06"),
        # Gemini CLI
        ("You exceeded your current quota. Please retry in 34.074824224s.", "2026-11-29T17:00:34.074824"),
        ('"retryDelay": "90s"', "2026-11-29T17:01:30"),
        ("Your quota will reset after 17h20m3s.", "2026-11-30T10:20:03"),
        ("Access resets at 12:00 AM PST", "2026-11-30T08:00"),
        # headers, and the API of Anthropic
        ("retry-after: 120", "2026-11-29T17:02"),
        ("retry-after-ms=1500", "2026-11-29T17:00:01.5"),
        ("Retry-After: Wed, 02 Dec 2026 07:28:00 GMT", "2026-12-02T07:28"),
        ("You will regain access on 2026-12-01 at 00:00 UTC.", "2026-12-01T00:00"),
        # other ways to say it
        ("resets at 2026-11-29T20:00:00+02:00", "2026-11-29T18:00"),
        ("Your limit resets tomorrow at 8am (UTC)", "2026-11-30T08:00"),
        ("resets Monday 9am UTC", "2026-11-30T09:00"),
        ("resets Sunday 9am UTC", "2026-12-06T09:00"),
        ("try again at Jan 2 9am UTC", "2027-01-02T09:00"),
        ("available again at 15:00 UTC+2", "2026-11-30T13:00"),
        ("resets midnight Pacific", "2026-11-30T08:00"),
        ("please wait 2 hours and 5 minutes", "2026-11-29T19:05"),
        ("it resets 4:55pm (UTC)", "2026-11-29T17:00"),  # it has just passed
    ],
)
def test_times_are_read_in_all_their_forms(words: str, at: str) -> None:
    """Durations, headers, times of day in zones, dates: as the programs print them."""
    found = reset_time(said(words), zone=HERE)
    assert found == pytest.approx(datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp(), abs=0.001)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "exceeded retry limit, last status: 429 Too Many Requests",
        "This request would exceed your organization's rate limit of 30,000 input tokens per minute",
        "resets Feb 31 at 9am",
        "resets at 9pm (Middle/Earth)",
        "5-hour limit reached",
    ],
)
def test_words_without_a_time_say_none(words: str) -> None:
    """A number of tokens, a day that there is not, a zone that nobody knows: no guess is made."""
    assert reset_time(said(words), zone=HERE) is None


def test_a_span_counts_from_when_it_was_said() -> None:
    """Of several words that say a time, what is a fact (an epoch, a header) goes before what is prose."""
    early, late = NOW - timedelta(minutes=9), NOW
    both = [*said("limit reached", at=late), *said("please try again in 10 minutes", at=early)]
    assert reset_time(both) == (NOW + timedelta(minutes=1)).timestamp()
    header = [*both, *said("retry-after: 60", at=late)]
    assert reset_time(header) == (NOW + timedelta(minutes=1)).timestamp()


def test_a_time_of_day_is_that_of_the_program() -> None:
    """Without a zone it is that of TZ in the agent's environment."""
    zone = zone_of({"TZ": "Asia/Tokyo"})
    found = reset_time(said("resets 3am"), zone=zone)
    assert found == datetime(2026, 11, 29, 18, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("day", ["2026-03-28", "2026-10-24"])
def test_the_day_of_a_changed_clock_is_as_long_as_it_is(day: str) -> None:
    """The next 9 a.m. in Berlin is 9 a.m. there, on the days when the clocks are changed, too."""
    now = datetime.fromisoformat(f"{day}T12:00:00+00:00")
    found = reset_time(said("resets 9am (Europe/Berlin)", at=now))
    assert found is not None
    there = datetime.fromtimestamp(found, ZoneInfo("Europe/Berlin"))
    assert (there.hour, (there.date() - now.date()).days) == (9, 1)


def test_durations_add_up() -> None:
    """All units, with and without blanks."""
    assert duration_seconds("1 week, 2 days and 3 h") == 604_800 + 2 * 86_400 + 3 * 3600
    assert duration_seconds("250ms") == 0.25


@hypothesis.given(strategies.text(max_size=300))
def test_no_text_raises(text: str) -> None:
    """Whatever a program prints after a word like "resets"."""
    reset_time(said(f"resets {text}"))
