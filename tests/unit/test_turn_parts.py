"""The small parts of a turn: totals, redaction, log, stop signal, process families."""

from pathlib import Path

import pytest

from routing.printable import printable
from routing.process.table import ProcessEntry, family
from tasks.agents.redaction import Redactor
from tasks.agents.runtimes.agent_event import (
    AgentEvent,
    ApiErrorEvent,
    ResultEvent,
    SessionEvent,
    TextEvent,
    Usage,
    UsageEvent,
    UsageScope,
)
from tasks.agents.runtimes.runtime import RuntimeSpec
from tasks.agents.turn.limits import TurnLimits
from tasks.agents.turn.log import TurnLog
from tasks.agents.turn.stop_signal import StopReason, StopSignal
from tasks.agents.turn.tally import OutputTail, TurnTally


@pytest.mark.parametrize(
    ("scope", "total"),
    [(UsageScope.STEP, 5.0), (UsageScope.TURN, 3.0), (UsageScope.SESSION, 2.0)],
)
def test_usage_is_totalled_as_the_program_counts(scope: UsageScope, total: float) -> None:
    """Steps add up, a turn's total replaces the last one, a session's has earlier turns subtracted."""
    tally = TurnTally(billed=Usage(cost_usd=1.0))
    for cost in (2.0, 3.0):
        tally.add(UsageEvent(usage=Usage(cost_usd=cost), scope=scope))
    assert tally.usage.cost_usd == total


def test_the_first_session_id_is_kept() -> None:
    """Later ids of the same turn change nothing."""
    tally = TurnTally()
    for session in ("a", "b"):
        tally.add(SessionEvent(session_id=session))
    assert tally.seen().session_id == "a"


def test_a_program_that_counts_anew_is_billed_in_full() -> None:
    """A report below what was billed gives no money back; all of it is new. Rounding is not a new count."""
    assert Usage(cost_usd=1.0).since(Usage(cost_usd=2.0, input_tokens=9)) == Usage(cost_usd=1.0)
    assert Usage(cost_usd=0.1 + 0.2).since(Usage(cost_usd=0.3)).cost_usd == pytest.approx(0, abs=1e-9)
    assert Usage(cost_usd=0.3).since(Usage(cost_usd=0.1 + 0.2)).cost_usd == 0


def test_nothing_is_subtracted_from_another_session() -> None:
    """When the program silently begins a new session, what was billed for the old one does not count."""
    tally = TurnTally(billed=Usage(input_tokens=100), asked="a")
    tally.add(SessionEvent(session_id="b"))
    tally.add(UsageEvent(usage=Usage(input_tokens=120), scope=UsageScope.SESSION))
    assert tally.usage.input_tokens == 120


def test_the_larger_of_two_reports_holds() -> None:
    """A program may report by step and by session; what one of them misses is in the other."""
    tally = TurnTally(billed=Usage(cost_usd=1.0))
    tally.add(UsageEvent(usage=Usage(cost_usd=2.0)))
    for total, expected in ((1.5, 2.0), (4.0, 3.0)):
        tally.add(UsageEvent(usage=Usage(cost_usd=total), scope=UsageScope.SESSION))
        assert tally.usage.cost_usd == expected


def test_an_api_error_is_forgotten_when_the_agent_goes_on() -> None:
    """What counts is an error after which nothing was done."""
    error = ApiErrorEvent(message="overloaded", status=529)
    tally = TurnTally()
    steps: list[tuple[AgentEvent, ApiErrorEvent | None]] = [
        (error, error),
        (ResultEvent(is_error=True), error),
        (TextEvent(text="on"), None),
    ]
    for event, kept in steps:
        tally.add(event)
        assert tally.seen().api_error == kept


def test_a_result_that_repeats_the_last_words_is_shown_once() -> None:
    """The tail is short; it does not say things twice."""
    tally = TurnTally()
    for event in (TextEvent(text="one\ntwo"), ResultEvent(text="one\ntwo"), ResultEvent(text="three")):
        tally.add(event)
    assert tally.tail.text == "one\ntwo\nthree"


def test_a_secret_is_replaced_by_its_name() -> None:
    """Each line of a secret goes, the longest first, and in the form that JSON gives it."""
    redact = Redactor(
        {"KEY": "line-one\nline-two", "LONG": "line-one-and-more", "TINY": "ab", "Q": 'quo"ted'}
    )
    assert redact("line-one-and-more line-two ab") == "[LONG] [KEY] ab"
    assert redact(r"quo\"ted") == "[Q]"


def test_a_cut_line_keeps_no_part_of_a_secret() -> None:
    """The end of a line that was cut short may be the beginning of a secret."""
    assert "sec" not in Redactor({"KEY": "secret-value"})("x" * 50 + "secret-va", cut=True)


def test_the_log_ends_at_its_cap_and_says_so(tmp_path: Path) -> None:
    """A log full of output stays small, and its reader knows that something is missing."""
    path = tmp_path / "turn.log"
    with TurnLog(path, cap=100) as log:
        for _ in range(50):
            log.write("twenty characters ...")
    text = path.read_text()
    assert len(text) < 200
    assert "46 lines are missing" in text
    assert path.stat().st_mode & 0o077 == 0


def test_the_log_marks_standard_error_and_what_is_missing(tmp_path: Path) -> None:
    """A reader can tell the streams apart, and sees that a line goes on; half a character stops nothing."""
    path = tmp_path / "turn.log"
    with TurnLog(path, cap=1000) as log:
        log.write("abc \ud83d", stderr=True, skipped=7)
    assert path.read_text() == "stderr: abc ? [7 more bytes]\n"


def test_the_tail_keeps_the_end() -> None:
    """However much is said, the last characters are kept."""
    tail = OutputTail(cap=10)
    for word in ("first", "x" * 1000, "last"):
        tail.add(word)
    assert tail.text == "xxxx\nlast"


def test_printable_keeps_what_people_write() -> None:
    """Tabs, newlines and letters of any language stay."""
    assert (
        printable("gr\u00fc\u00df\t\u4f60\u597d\r\nx\x9b1m\x1b]0;title\x07")
        == "gr\u00fc\u00df\t\u4f60\u597d\nx1m"
    )


def test_the_first_reason_to_stop_holds() -> None:
    """Listeners are called once, also those that come late, and not after they left."""
    stop, calls = StopSignal(), list[str]()
    with stop.calling(lambda: calls.append("early")):
        stop.set(StopReason.CANCEL)
        stop.set(StopReason.DRAIN)
    with stop.calling(lambda: calls.append("late")):
        pass
    assert (stop.reason, calls) == (StopReason.CANCEL, ["early", "late"])


def test_a_family_is_group_session_marker_and_descendants() -> None:
    """Strangers are not in it, whatever their numbers."""
    entries = [
        ProcessEntry(10, 1, 10, 10, 5),  # the leader
        ProcessEntry(11, 1, 10, 10, 6),  # same group, its parent gone
        ProcessEntry(12, 10, 12, 12, 7),  # setsid, still a child
        ProcessEntry(13, 12, 13, 13, 8),  # grandchild
        ProcessEntry(14, 1, 14, 14, 8, "mark"),  # detached twice
        ProcessEntry(20, 1, 20, 20, 9),  # a stranger
        ProcessEntry(21, 20, 21, 21, 9, "other"),  # another turn's
    ]
    found = family({entry.pid: entry for entry in entries}, leader=10, marker="mark")
    assert sorted(entry.pid for entry in found) == [10, 11, 12, 13, 14]


def test_the_shorter_time_limit_holds() -> None:
    """A version may ask for less time than the fleet allows, not for more."""
    limits = TurnLimits(time_limit_seconds=100)
    asked = [None, 10.0, 1000.0]
    assert [limits.time_limit_of(RuntimeSpec(time_limit_seconds=s)) for s in asked] == [100, 10, 100]
