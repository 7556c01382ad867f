"""Whose fault an unclean turn was when the model's API refused it."""

import pytest

from routing.jobs.ending import Ending
from routing.jobs.signal import SignalKind
from tasks.agents.faults import of_api
from tasks.agents.runtimes.agent_event import ApiErrorEvent, Usage
from tasks.agents.turn.result import TurnResult


def turn(ended_by: Ending, status: int | None, *, clean: bool = False) -> TurnResult:
    """A turn in which the API had the last word."""
    return TurnResult(
        ended_by=ended_by,
        exit_code=1 if ended_by is Ending.RESULT else None,
        clean=clean,
        session_id=None,
        session_lost=False,
        resume_mismatch=False,
        duration_seconds=1.0,
        usage=Usage(),
        events=1,
        malformed_lines=0,
        oversized_lines=0,
        output_bytes=1,
        output_tail="",
        api_error=ApiErrorEvent(message="refused", status=status),
        survivors=0,
        log_failure="",
    )


@pytest.mark.parametrize("ended_by", [Ending.RESULT, Ending.STALL, Ending.DEADLINE])
@pytest.mark.parametrize(
    ("status", "fault"),
    [
        (500, SignalKind.UNREACHABLE),
        (None, SignalKind.UNREACHABLE),
        (400, None),
    ],
)
def test_a_refusal_is_not_a_failure_of_the_agent(
    ended_by: Ending, status: int | None, fault: SignalKind | None
) -> None:
    """However the turn ended: most programs wait for their API in silence until we end them."""
    assert of_api(turn(ended_by, status)) is fault


def test_what_a_person_or_a_limit_ended_is_judged_as_that() -> None:
    """A cancel, a spent budget and a clean end say more than the API's last word."""
    for ended_by in (
        Ending.CANCEL,
        Ending.BUDGET,
        Ending.DRAIN,
        Ending.LEASE_LOST,
        Ending.OUTPUT_LIMIT,
        Ending.PARSER_ERROR,
    ):
        assert of_api(turn(ended_by, 503)) is None
    assert of_api(turn(Ending.RESULT, 503, clean=True)) is None
