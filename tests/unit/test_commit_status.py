"""What the statements of a commit amount to."""

import pytest

from routing.forges.commit_status import CiVerdict, CombinedStatus, CommitStatus


@pytest.mark.parametrize(
    ("states", "verdict", "real"),
    [
        ({}, CiVerdict.UNKNOWN, False),
        ({"coalmine/progress": "success"}, CiVerdict.UNKNOWN, False),
        ({"build": "success", "coalmine/progress": "failure"}, CiVerdict.GREEN, True),
        ({"build": "success", "lint": "pending"}, CiVerdict.PENDING, True),
        ({"build": "success", "lint": "error"}, CiVerdict.RED, True),
        ({"build": "failure", "lint": "pending"}, CiVerdict.RED, False),
    ],
)
def test_our_own_word_proves_nothing(states: dict[str, str], verdict: CiVerdict, *, real: bool) -> None:
    """Statuses of Coalmine's own count neither for nor against."""
    at = "2024-05-01T10:00:00Z"
    said = [
        CommitStatus.model_validate({"context": context, "state": state, "at": at})
        for context, state in states.items()
    ]
    combined = CombinedStatus.of("0" * 40, said)
    assert (combined.verdict, combined.has_real_ci) == (verdict, real)


def test_the_newest_word_of_a_context_counts() -> None:
    """A check that ran again replaces what it said before, in whichever order the forge lists it."""
    early, late = (
        CommitStatus.model_validate({"context": "build", "state": state, "at": f"2024-05-0{day}T10:00:00Z"})
        for state, day in (("failure", 1), ("success", 2))
    )
    assert CombinedStatus.of("0" * 40, [late, early]) == CombinedStatus.of("0" * 40, [early, late])
    assert CombinedStatus.of("0" * 40, [late, early]).verdict is CiVerdict.GREEN


def test_those_that_failed_are_named_in_order() -> None:
    """By context, those that could not be run too; ours are left out."""
    at = "2024-05-01T10:00:00Z"
    said = [
        CommitStatus.model_validate({"context": context, "state": state, "at": at, "description": "why"})
        for context, state in (
            ("lint", "error"), ("build", "failure"), ("docs", "success"), ("coalmine/x", "failure"),
        )
    ]  # fmt: skip
    combined = CombinedStatus.of("0" * 40, said)
    assert combined.failing == ("build", "lint")
    assert combined.complaint == "build: why"
    assert CombinedStatus.of("0" * 40, said[2:]).failing == ()


def test_of_two_words_at_one_time_the_later_in_the_list_counts() -> None:
    """Some forges give whole seconds."""
    said = [
        CommitStatus.model_validate({"context": "build", "state": state, "at": "2024-05-01T10:00:00Z"})
        for state in ("pending", "success")
    ]
    assert CombinedStatus.of("0" * 40, said).verdict is CiVerdict.GREEN
    assert CombinedStatus.of("0" * 40, said[::-1]).verdict is CiVerdict.PENDING
