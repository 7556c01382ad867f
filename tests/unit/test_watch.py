"""The watch table, exhaustively: every state of a turn, with every state of CI, at every limit."""

from itertools import product

import pytest

from routing.forges.commit_status import CiVerdict
from tasks.issues.watch import Action, TurnState, Watched, WatchLimits, watch

LIMITS = WatchLimits(fix_forwards=5, fix_forward_seconds=3600, no_verdict_seconds=7200, redispatches=1)

#: Each side of each limit.
ATTEMPTS = (0, 4, 5, 6)
ELAPSED = (0.0, 3599.9, 3600.0)
SILENT = (0.0, 7199.9, 7200.0)
LOST = (0, 1, 2)

NO_YES = (False, True)

STATES = list(product(TurnState, NO_YES, CiVerdict, NO_YES, NO_YES, ATTEMPTS, ELAPSED, SILENT, LOST))


def expected(seen: Watched) -> Action:
    """The table as it is written in docs/forges.md, row by row."""
    if seen.turn in {TurnState.RUNNING, TurnState.UNKNOWN}:
        return Action.WAIT
    if not seen.pushed:
        again = seen.turn is TurnState.VANISHED and seen.redispatches == 0
        return Action.REDISPATCH if again else Action.ESCALATE_PREPUSH
    if not seen.has_ci or seen.ci is CiVerdict.GREEN:
        return Action.CLOSE_SUCCESS
    if seen.ci is CiVerdict.RED:
        more = seen.fix_forwards < 5 and seen.elapsed_seconds < 3600 and not seen.judged
        return Action.FIX_FORWARD if more else Action.FREEZE_ESCALATE
    return Action.ESCALATE if seen.silent_seconds >= 7200 else Action.WAIT


def test_every_row() -> None:
    """All of some thousand combinations, each with a reason in words."""
    for turn, pushed, ci, has_ci, judged, attempts, elapsed, silent, lost in STATES:
        seen = Watched(
            turn=turn, pushed=pushed, ci=ci, has_ci=has_ci, judged=judged, fix_forwards=attempts,
            elapsed_seconds=elapsed, silent_seconds=silent, redispatches=lost,
        )  # fmt: skip
        decided = watch(seen, LIMITS)
        assert decided.action is expected(seen), seen
        assert decided.reason


@pytest.mark.parametrize("ci", list(CiVerdict))
@pytest.mark.parametrize("turn", [TurnState.UNKNOWN, TurnState.RUNNING])
def test_a_turn_of_which_nothing_is_known_is_left_alone(turn: TurnState, ci: CiVerdict) -> None:
    """Whatever else is known: nothing is closed and nobody is called."""
    for pushed in NO_YES:
        seen = Watched(turn=turn, pushed=pushed, ci=ci, elapsed_seconds=1e9, silent_seconds=1e9)
        assert watch(seen, LIMITS).action is Action.WAIT


def test_what_the_check_said_is_in_the_reason_without_its_control_characters() -> None:
    """And no more of it than a person reads."""
    seen = Watched(
        turn=TurnState.IDLE, pushed=True, ci=CiVerdict.RED, complaint="ci: \x1b[31m3 of 9\x1b[0m " + "x" * 999
    )
    reason = watch(seen, LIMITS).reason
    assert "ci: 3 of 9" in reason
    assert "\x1b" not in reason
    assert len(reason) < 400


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fix_forwards": 5}, "5 of 5 corrective turns"),
        ({"elapsed_seconds": 3600.0}, "3600 s have passed"),
        ({"judged": True}, "judged before"),
    ],
)
def test_a_freeze_says_why_there_is_no_further_try(changes: dict[str, float], words: str) -> None:
    """A person who reads it knows which limit was met."""
    seen = Watched(turn=TurnState.IDLE, pushed=True, ci=CiVerdict.RED, **changes)  # type: ignore[arg-type]
    assert words in watch(seen, LIMITS).reason


def test_without_corrective_turns_red_is_the_end() -> None:
    """A fleet may be set not to fix forward at all."""
    seen = Watched(turn=TurnState.IDLE, pushed=True, ci=CiVerdict.RED)
    decided = watch(seen, WatchLimits(fix_forwards=0))
    assert (decided.action, decided.reason) == (Action.FREEZE_ESCALATE, "CI is red at the pushed commit")
