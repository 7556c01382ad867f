"""Signals are verifiable facts about a job; its score is what they are worth, from 0 to 1.

CI was green, the work was merged, reverted, or closed; the agent died. The score is a pure function of
these facts and the time. It knows nothing of champion and canary. Some faults are nobody's: a job that the
forge or a quota stopped is left out. And what never settles counts as a failure after a deadline.
"""

from harvest.settling.score import ScoreRules, score
from routing.jobs.signal import Signal, SignalKind, signal

DAY = 86_400.0
RULES = ScoreRules(settle_deadline_seconds=7 * DAY, revert_window_seconds=DAY, strict=True)


def fact(kind: SignalKind, *, day: float = 0.0) -> Signal:
    """A fact about the job's commit, so many days after the job's creation."""
    return signal(kind, at=day * DAY, commit="4be1c0ffee00")


def worth(*facts: Signal, day: float) -> tuple[str, float | None]:
    """The score as it is on a day: whether it can still change, and what it is."""
    found = score(facts, created_at=0.0, now=day * DAY, rules=RULES)
    return found.status, found.value


def test_merged_work_is_worth_all_when_nobody_reverted_it_in_time() -> None:
    """Until then the score is open."""
    facts = [fact(SignalKind.CI_GREEN), fact(SignalKind.MERGED)]
    assert worth(*facts, day=0.5) == ("open", None)
    assert worth(*facts, day=1.5) == ("settled", 1.0)


def test_a_revert_takes_the_credit_away() -> None:
    """At once."""
    facts = [fact(SignalKind.CI_GREEN), fact(SignalKind.MERGED), fact(SignalKind.REVERTED, day=0.5)]
    assert worth(*facts, day=0.5) == ("settled", 0.0)


def test_a_silent_agent_has_failed() -> None:
    """So has one that pushed nothing."""
    assert worth(fact(SignalKind.AGENT_STALLED), day=0) == ("settled", 0.0)
    assert worth(fact(SignalKind.NOTHING_PUSHED), day=0) == ("settled", 0.0)


def test_a_fault_that_is_not_the_agents_counts_for_nobody() -> None:
    """By the same rule on both arms."""
    assert worth(fact(SignalKind.QUOTA), day=0) == ("excluded", None)


def test_what_never_settles_has_failed_at_the_deadline() -> None:
    """Otherwise a version that finishes nothing would never be judged."""
    assert worth(day=6.9) == ("open", None)
    assert worth(day=7) == ("settled", 0.0)
