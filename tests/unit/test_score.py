"""From signals to a score: every row of the table, and what holds whatever the signals are."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvest.settling.score import EXCLUSIONS, FAILURES, Score, ScorePolicy, ScoreRules, score
from routing.jobs.signal import Signal, SignalKind, signal
from tests.fleets.stepped_fleet import START

DAY = 86_400.0
SETTLED_AT_ONCE = ScoreRules(revert_window_seconds=0.0)
STRICT = ScoreRules(strict=True, revert_window_seconds=DAY)
PROVISIONAL = ScoreRules(strict=False, revert_window_seconds=DAY)


def fact(kind: SignalKind, *, after: float = 0.0, commit: str = "head", round_: int = 0) -> Signal:
    """A fact so many seconds after the job's creation."""
    return signal(kind, at=START + after, commit=commit, round_=round_)


def worth(*facts: Signal, after: float = 60.0, rules: ScoreRules = SETTLED_AT_ONCE) -> Score:
    """The score so many seconds after the job's creation."""
    return score(facts, created_at=START, now=START + after, rules=rules)


MERGED, GREEN = fact(SignalKind.MERGED), fact(SignalKind.CI_GREEN)


@pytest.mark.parametrize(
    ("facts", "value"),
    [
        ([MERGED, GREEN], 1.0),
        ([GREEN, MERGED], 1.0),
        ([MERGED], 0.6),
        ([MERGED, fact(SignalKind.CI_GREEN, commit="another")], 0.6),
        ([MERGED, fact(SignalKind.CI_RED)], 0.6),
        ([MERGED, GREEN, fact(SignalKind.REVERTED)], 0.0),
        ([fact(SignalKind.CLOSED_UNMERGED)], 0.0),
        ([fact(SignalKind.CI_RED), fact(SignalKind.FROZEN)], 0.0),
        ([fact(SignalKind.AGENT_ERRORED)], 0.0),
        ([fact(SignalKind.AGENT_STALLED)], 0.0),
        ([fact(SignalKind.AGENT_ABORTED)], 0.0),
        ([fact(SignalKind.NOTHING_PUSHED)], 0.0),
        ([fact(SignalKind.ESCALATED)], 0.0),
        ([fact(SignalKind.PUSHED_TO_MAIN), GREEN], 1.0),
        ([fact(SignalKind.FINISHED)], 1.0),
        ([fact(SignalKind.THUMB_UP)], 1.0),
        ([fact(SignalKind.THUMB_DOWN)], 0.0),
    ],
)
def test_each_outcome_has_its_worth(facts: list[Signal], value: float) -> None:
    """The table of the specification, row by row."""
    found = worth(*facts)
    assert (found.status, found.value) == ("settled", value)


@pytest.mark.parametrize(("round_", "cap"), [(1, 0.6), (2, 0.4), (3, 0.2), (4, 0.0), (9, 0.0)])
def test_changes_requested_cap_what_follows(round_: int, cap: float) -> None:
    """Round r of review caps the score at 0.6 - 0.2 (r - 1), not below 0."""
    rounds = [fact(SignalKind.CHANGES_REQUESTED, round_=number) for number in range(1, round_ + 1)]
    assert worth(*rounds, MERGED, GREEN).value == cap


def test_cap_does_not_lift_a_lower_score() -> None:
    """A cap only takes away: without CI the merge is worth 0.6, and 0.4 from the second round."""
    first, second = (fact(SignalKind.CHANGES_REQUESTED, round_=number) for number in (1, 2))
    assert worth(first, MERGED).value == 0.6
    assert worth(first, second, MERGED).value == 0.4
    assert worth(first, fact(SignalKind.CLOSED_UNMERGED)).value == 0.0


@pytest.mark.parametrize("kind", sorted(EXCLUSIONS))
def test_faults_that_are_not_the_agents_are_excluded(kind: SignalKind) -> None:
    """They leave the job out, with the reason."""
    found = worth(fact(kind))
    assert (found.status, found.value) == ("excluded", None)
    assert kind.value.replace("_", " ") in found.reason


@pytest.mark.parametrize("thumb", [SignalKind.THUMB_UP, SignalKind.THUMB_DOWN])
@pytest.mark.parametrize("other", sorted(set(SignalKind) - {SignalKind.THUMB_UP, SignalKind.THUMB_DOWN}))
def test_thumb_overrides_everything(thumb: SignalKind, other: SignalKind) -> None:
    """A person's word stands above any other fact, whichever came first."""
    value = 1.0 if thumb is SignalKind.THUMB_UP else 0.0
    for facts in ([fact(other), fact(thumb, after=1)], [fact(thumb), fact(other, after=1)]):
        found = worth(*facts, rules=STRICT)
        assert (found.status, found.value) == ("settled", value)


def test_last_thumb_counts() -> None:
    """A person may think better of it."""
    assert worth(fact(SignalKind.THUMB_UP), fact(SignalKind.THUMB_DOWN, after=1)).value == 0.0


def test_strict_merge_is_open_until_its_revert_window_has_passed() -> None:
    """Strict is the default: the score is what stands when the window ends."""
    assert ScoreRules().strict
    before = worth(MERGED, GREEN, after=DAY - 1, rules=STRICT)
    assert (before.status, before.value, before.until) == ("open", None, START + DAY)
    later = worth(MERGED, GREEN, after=DAY, rules=STRICT)
    assert (later.status, later.value) == ("settled", 1.0)


def test_provisional_merge_counts_at_once() -> None:
    """It may still be swapped until its window has passed."""
    before = worth(MERGED, GREEN, after=DAY - 1, rules=PROVISIONAL)
    assert (before.status, before.value, before.until) == ("provisional", 1.0, START + DAY)
    assert worth(MERGED, GREEN, after=DAY, rules=PROVISIONAL).status == "settled"


@pytest.mark.parametrize("rules", [STRICT, PROVISIONAL])
def test_revert_within_the_window_is_a_failure_at_once(rules: ScoreRules) -> None:
    """Nothing is waited for when the merge was taken back."""
    found = worth(MERGED, GREEN, fact(SignalKind.REVERTED, after=10), after=11, rules=rules)
    assert (found.status, found.value) == ("settled", 0.0)


def test_a_revert_that_was_taken_back_counts_no_longer() -> None:
    """The last of them decides, however often people change their minds."""
    facts = [MERGED, GREEN]
    for number, value in enumerate((0.0, 1.0, 0.0, 1.0)):
        kind = SignalKind.REAPPLIED if number % 2 else SignalKind.REVERTED
        facts.append(fact(kind, after=number))
        assert worth(*facts, after=DAY, rules=STRICT).value == value


def test_green_main_is_open_within_the_window_too() -> None:
    """What was pushed straight to the main branch can be reverted as well."""
    pushed = fact(SignalKind.PUSHED_TO_MAIN)
    assert worth(pushed, GREEN, rules=STRICT).status == "open"


def test_push_to_main_waits_for_its_ci() -> None:
    """Without a green CI it is worth nothing yet."""
    assert worth(fact(SignalKind.PUSHED_TO_MAIN)).status == "open"
    assert (
        worth(fact(SignalKind.PUSHED_TO_MAIN), fact(SignalKind.CI_RED), fact(SignalKind.FROZEN)).value == 0.0
    )


def test_a_merge_that_was_first_seen_as_a_push_is_a_merge() -> None:
    """A forge may show the commit on its main branch a moment before it shows the merge."""
    pushed, merged = fact(SignalKind.PUSHED_TO_MAIN), fact(SignalKind.MERGED, after=1)
    assert worth(pushed, merged).value == 0.6
    assert worth(pushed, merged, GREEN).value == 1.0


def test_red_ci_alone_settles_nothing() -> None:
    """While repairs go on the job is open."""
    assert worth(fact(SignalKind.CI_RED)).status == "open"


def test_job_without_outcome_fails_at_its_deadline() -> None:
    """The deadline is counted from the job's creation, for both arms alike."""
    rules = ScoreRules(settle_deadline_seconds=100.0)
    before = worth(GREEN, after=99.9, rules=rules)
    assert (before.status, before.until) == ("open", START + 100)
    later = worth(GREEN, after=100.0, rules=rules)
    assert (later.status, later.value) == ("settled", 0.0)


def test_merge_in_time_keeps_its_window_after_the_deadline() -> None:
    """A merge just before the deadline is not a failure because its window ends after it."""
    rules = ScoreRules(settle_deadline_seconds=DAY, revert_window_seconds=DAY)
    merged = [fact(SignalKind.MERGED, after=DAY - 1), GREEN]
    assert worth(*merged, after=DAY + 1, rules=rules).status == "open"
    assert worth(*merged, after=2 * DAY, rules=rules).value == 1.0


def test_nothing_known_is_open() -> None:
    """No facts, no score."""
    assert worth().status == "open"


def test_first_of_failure_and_exclusion_decides() -> None:
    """A failure that was final is not excused by what happens after it."""
    failed, lost = fact(SignalKind.AGENT_ERRORED), fact(SignalKind.MACHINE_LOST, after=1)
    assert worth(failed, lost).value == 0.0
    assert worth(fact(SignalKind.MACHINE_LOST), fact(SignalKind.AGENT_ERRORED, after=1)).status == "excluded"


def test_table_of_the_settings_is_used() -> None:
    """Every worth can be set."""
    policy = ScorePolicy(
        merged_green=0.9, merged_without_ci=0.5, pushed_green=0.8, finished=0.7, review_cap=0.4
    )
    rules = ScoreRules(policy=policy, revert_window_seconds=0.0)
    values = [
        worth(*facts, rules=rules).value
        for facts in (
            [MERGED, GREEN],
            [MERGED],
            [fact(SignalKind.PUSHED_TO_MAIN), GREEN],
            [fact(SignalKind.FINISHED)],
            [fact(SignalKind.CHANGES_REQUESTED, round_=1), MERGED, GREEN],
        )
    ]
    assert values == [0.9, 0.5, 0.8, 0.7, 0.4]


FACTS = st.lists(
    st.builds(
        fact,
        st.sampled_from(SignalKind),
        after=st.floats(0, 10 * DAY),
        commit=st.sampled_from(["head", "other"]),
        round_=st.integers(0, 6),
    ),
    max_size=6,
).map(lambda facts: sorted(facts, key=lambda one: one.at))
RULES = st.builds(
    ScoreRules,
    strict=st.booleans(),
    revert_window_seconds=st.sampled_from([0.0, DAY]),
    settle_deadline_seconds=st.sampled_from([DAY, 7 * DAY]),
)
MOMENTS = st.floats(0, 20 * DAY)


@given(FACTS, RULES, MOMENTS)
def test_score_is_within_0_and_1(facts: Sequence[Signal], rules: ScoreRules, after: float) -> None:
    """A score that counts lies in [0,1]; one that does not has no value."""
    found = worth(*facts, after=after, rules=rules)
    if found.status in {"settled", "provisional"}:
        assert found.value is not None
        assert 0.0 <= found.value <= 1.0
    else:
        assert found.value is None


@given(FACTS, RULES, MOMENTS, st.sampled_from(sorted(EXCLUSIONS)), st.floats(0, 20 * DAY))
def test_exclusion_never_makes_a_failure_a_success(
    facts: list[Signal], rules: ScoreRules, after: float, kind: SignalKind, at: float
) -> None:
    """Adding a fault that is not the agent's can take a failure out, and never turn it into a success."""
    if worth(*facts, after=after, rules=rules).value == 0.0:
        more = sorted([*facts, fact(kind, after=at)], key=lambda one: one.at)
        assert not worth(*more, after=after, rules=rules).value


@given(
    FACTS, RULES, MOMENTS, st.sampled_from(sorted(FAILURES | {SignalKind.REVERTED})), st.floats(0, 20 * DAY)
)
def test_another_failure_never_raises_a_score(
    facts: list[Signal], rules: ScoreRules, after: float, kind: SignalKind, at: float
) -> None:
    """Bad news is never good news."""
    before = worth(*facts, after=after, rules=rules)
    later = worth(*sorted([*facts, fact(kind, after=at)], key=lambda one: one.at), after=after, rules=rules)
    if before.value is not None and later.value is not None:
        assert later.value <= before.value


@given(FACTS, RULES, MOMENTS)
def test_every_job_settles_in_the_end(facts: list[Signal], rules: ScoreRules, after: float) -> None:
    """Time alone settles every job, and an open one says when to look again."""
    found = worth(*facts, after=after, rules=rules)
    if found.status in {"open", "provisional"}:
        assert found.until is not None
        assert found.until > START + after
    assert worth(*facts, after=40 * DAY, rules=rules).status in {"settled", "excluded"}


@given(FACTS, RULES, MOMENTS, st.floats(0, 40 * DAY))
def test_settled_score_does_not_change_by_time_alone(
    facts: list[Signal], rules: ScoreRules, after: float, more: float
) -> None:
    """What is settled stays as it is while nothing new is known."""
    found = worth(*facts, after=after, rules=rules)
    if found.status in {"settled", "excluded"}:
        assert worth(*facts, after=after + more, rules=rules) == found
