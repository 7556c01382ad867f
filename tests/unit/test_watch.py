"""The table of pushed work, exhaustively: every finding, at each side of each limit."""

from itertools import product

import pytest

from harvest.settling.score import FAILURES
from routing.forges.commit_status import CiVerdict
from routing.jobs.signal import SignalKind
from tasks.issues.watch import Action, Finding, Watched, WatchLimits, silence_signal, watch

LIMITS = WatchLimits(
    fix_forwards=5, fix_forward_seconds=3600, no_verdict_seconds=7200, invalid_seconds=600,
    token_seconds=90_000,
)  # fmt: skip

#: Each side of each limit.
ATTEMPTS = (0, 4, 5, 6)
ELAPSED = (0.0, 3599.9, 3600.0)
SILENT = (0.0, 599.9, 600.0, 7199.9, 7200.0, 86_399.9, 86_400.0, 89_999.9, 90_000.0)


#: Findings that decide by themselves.
AT_ONCE = {
    Finding.GREEN: Action.CLOSE_SUCCESS,
    Finding.NO_CI: Action.CLOSE_SUCCESS,
    Finding.LANDED: Action.CLOSE_SUCCESS,
    Finding.DROPPED: Action.CANCEL,
    Finding.MAIN_REPAIRED: Action.BRING_UP_TO_DATE,
    Finding.NOTHING: Action.ESCALATE,
}


def expected(seen: Watched) -> Action:
    """The table as it is written in docs/forges.md, row by row."""
    if seen.finding in AT_ONCE:
        return AT_ONCE[seen.finding]
    if seen.finding in {Finding.RED, Finding.KEPT_AWAY}:
        more = seen.fix_forwards < 5 and seen.elapsed_seconds < 3600
        return Action.FIX_FORWARD if more else Action.FREEZE_ESCALATE
    if seen.finding is Finding.IN_REVIEW:
        return Action.WAIT  # for as long as people take
    if seen.in_review:
        limit = 86_400 if seen.finding is Finding.MAIN_RED else 90_000
        return Action.ESCALATE if seen.silent_seconds >= limit else Action.WAIT
    limits = {Finding.INVALID_REQUEST: 600, Finding.TOKEN_REFUSED: 90_000, Finding.MAIN_RED: 86_400}
    return Action.ESCALATE if seen.silent_seconds >= limits.get(seen.finding, 7200) else Action.WAIT


@pytest.mark.parametrize("in_review", [False, True])
@pytest.mark.parametrize("finding", list(Finding))
def test_every_row(finding: Finding, *, in_review: bool) -> None:
    """All combinations, each with a reason in words."""
    for attempts, elapsed, silent in product(ATTEMPTS, ELAPSED, SILENT):
        seen = Watched(
            finding=finding, fix_forwards=attempts, elapsed_seconds=elapsed, silent_seconds=silent,
            in_review=in_review,
        )  # fmt: skip
        decided = watch(seen, LIMITS)
        assert decided.action is expected(seen), seen
        assert decided.reason


def test_every_verdict_of_ci_is_a_finding() -> None:
    """The watcher takes one for the other."""
    assert {verdict.value for verdict in CiVerdict} < {finding.value for finding in Finding}


@pytest.mark.parametrize(
    ("finding", "words"),
    [
        (Finding.PENDING, "no verdict within 7200 s"),
        (Finding.UNKNOWN, "no verdict within 7200 s"),
        (Finding.NO_CHANGE_REQUEST, "no change request"),
        (Finding.REQUEST_REFUSED, "no change request"),
        (Finding.INVALID_REQUEST, "no change request"),
        (Finding.TOKEN_REFUSED, "refuses the token"),
        (Finding.NO_FORGE, "not among the settings"),
    ],
)
def test_escalation_says_what_was_missing(finding: Finding, words: str) -> None:
    """A person who reads it knows where to look."""
    assert words in watch(Watched(finding=finding, silent_seconds=90_000.0), LIMITS).reason


def test_what_the_check_said_is_in_the_reason_without_its_control_characters() -> None:
    """And no more of it than a person reads."""
    seen = Watched(finding=Finding.RED, complaint="ci: \x1b[31m3 of 9\x1b[0m " + "x" * 999)
    reason = watch(seen, LIMITS).reason
    assert "ci: 3 of 9" in reason
    assert "\x1b" not in reason
    assert len(reason) < 400


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (Watched(finding=Finding.RED, fix_forwards=5), "5 of 5 corrective turns"),
        (Watched(finding=Finding.RED, elapsed_seconds=3600.0), "3600 s have passed"),
    ],
)
def test_a_freeze_says_why_there_is_no_further_try(seen: Watched, words: str) -> None:
    """A person who reads it knows which limit was met."""
    assert words in watch(seen, LIMITS).reason


def test_without_corrective_turns_red_is_the_end() -> None:
    """A fleet may be set not to fix forward at all."""
    decided = watch(Watched(finding=Finding.RED), WatchLimits(fix_forwards=0))
    assert (decided.action, decided.reason) == (Action.FREEZE_ESCALATE, "CI is red at the pushed commit")


def test_a_corrective_turn_without_news_is_the_last() -> None:
    """CI was read again and is still red at the commit that it was red at before."""
    decided = watch(Watched(finding=Finding.RED, fix_forwards=1, judged=True), LIMITS)
    assert decided.action is Action.FREEZE_ESCALATE
    assert "brought nothing new" in decided.reason
    again = watch(Watched(finding=Finding.GREEN, fix_forwards=1, judged=True), LIMITS)
    assert again.action is Action.CLOSE_SUCCESS


@pytest.mark.parametrize(
    ("finding", "kind"),
    [
        (Finding.UNREACHABLE, SignalKind.UNREACHABLE), (Finding.NO_FORGE, SignalKind.UNREACHABLE),
        (Finding.PENDING, SignalKind.NO_VERDICT), (Finding.APPROVAL, SignalKind.NO_VERDICT),
        (Finding.NOTHING, SignalKind.NO_VERDICT), (Finding.MAIN_RED, SignalKind.MAIN_RED),
        (Finding.PEOPLE, SignalKind.CI_GREEN),
    ],
)  # fmt: skip
def test_each_silence_has_a_name_of_its_own(finding: Finding, kind: SignalKind) -> None:
    """Only a forge that did not answer is unreachable; none of them blames the version."""
    assert silence_signal(finding) is kind
    assert kind not in FAILURES


def test_what_was_waited_for_is_named() -> None:
    """In the reason of a wait, and of the end of one."""
    for silent in (0.0, 7200.0):
        waits = "CI has not said all that must pass (ci/build)"
        seen = Watched(finding=Finding.PENDING, silent_seconds=silent, waits=waits)
        assert "ci/build" in watch(seen, LIMITS).reason
