"""What is decided of a pushed commit."""

from datetime import UTC, datetime

import pytest

from routing.commit_status import CiVerdict, CombinedStatus, CommitStatus, StatusState
from tasks.watch import Action, Watched, watch

AT = datetime(2026, 1, 1, tzinfo=UTC)


def said(context: str, state: StatusState, description: str = "") -> CommitStatus:
    """What one check says."""
    return CommitStatus(context=context, state=state, description=description, at=AT)


def decided(*statuses: CommitStatus) -> tuple[Action, str]:
    """The decision on a commit of which this was said."""
    status = CombinedStatus.of("c" * 40, statuses)
    seen = Watched(
        ci=status.verdict, has_ci=True, elapsed_seconds=0, no_verdict_seconds=60, complaint=status.complaint
    )
    decision = watch(seen)
    return decision.action, decision.reason


def test_reason_says_what_ci_said() -> None:
    """A check that cannot be run at all is told from one that failed; passed checks are not named."""
    passed = said("a/lint", StatusState.SUCCESS, "passed")
    red = said("ci/local", StatusState.ERROR, "the command could not be run (exit 127)")
    assert decided(passed, red) == (
        Action.FREEZE_ESCALATE,
        "CI is red at the pushed commit: ci/local: the command could not be run (exit 127)",
    )


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (said("build", StatusState.FAILURE), "CI is red at the pushed commit: build"),
        (said("b", StatusState.FAILURE, "\x1b[31mno\x07"), "CI is red at the pushed commit: b: no"),
    ],
)
def test_words_of_a_check_are_data(status: CommitStatus, reason: str) -> None:
    """A check that says nothing is named; escape sequences do not reach the reason."""
    assert decided(status) == (Action.FREEZE_ESCALATE, reason)
    assert len(decided(said("b", StatusState.FAILURE, "x" * 9000))[1]) < 400


def test_our_own_words_are_no_complaint() -> None:
    """What Coalmine says of a commit makes nothing red and explains nothing."""
    own = said("coalmine/progress", StatusState.FAILURE, "ours")
    assert CombinedStatus.of("c", [own]).complaint == ""
    assert CombinedStatus.of("c", [own]).verdict is CiVerdict.UNKNOWN
