"""A turn whose conversation is not there: when it is begun anew, with what, and what both come to."""

from dataclasses import replace
from typing import Any

import pytest

from routing.jobs.ending import Ending
from tasks.agents.runtimes.agent_event import ApiErrorEvent, Usage
from tasks.agents.session.conversation import as_one_turn, limits_left, needs_fresh_start
from tasks.agents.turn.limits import TurnLimits
from tasks.agents.turn.result import TurnResult

LOST = TurnResult(
    ended_by=Ending.RESULT, exit_code=1, clean=False, session_id="c1", session_lost=True,
    resume_mismatch=False, duration_seconds=2.0, usage=Usage(cost_usd=0.5, input_tokens=3), api_error=None,
    events=3, malformed_lines=1, oversized_lines=0, output_bytes=100, output_tail="no such conversation",
    survivors=0, log_failure="",
)  # fmt: skip


def test_program_that_has_not_got_the_conversation_is_started_anew() -> None:
    """It gave up by itself before it did anything."""
    assert needs_fresh_start(LOST, resumed=True, acted=False) == "its program no longer has it"


@pytest.mark.parametrize(
    "change",
    [
        {"session_lost": False},
        {"exit_code": -9},
        {"exit_code": None, "ended_by": Ending.DEADLINE},
        {"api_error": ApiErrorEvent(message="overloaded", status=529)},
    ],
)
def test_other_ends_are_left_to_the_next_attempt(change: dict[str, Any]) -> None:
    """A conversation that is there, a signal, an end of ours, an API that refused."""
    assert not needs_fresh_start(replace(LOST, **change), resumed=True, acted=False)


def test_agent_that_was_at_work_is_left_alone() -> None:
    """What it did would be done twice."""
    assert not needs_fresh_start(LOST, resumed=True, acted=True)


REFUSED = replace(LOST, session_lost=False, refused="prompt is too long", exit_code=None, lingered=True)


def test_conversation_that_no_model_takes_is_begun_anew() -> None:
    """Its program resumed it in vain; the reason is in the words of the API."""
    why = needs_fresh_start(REFUSED, resumed=True, acted=False)
    assert why == "the model's API refused it: prompt is too long"


def test_new_conversation_that_was_refused_is_not_begun_anew() -> None:
    """Nor is one whose agent was at work: the next attempt begins a new one."""
    assert not needs_fresh_start(REFUSED, resumed=False, acted=False)
    assert not needs_fresh_start(REFUSED, resumed=True, acted=True)


def test_limits_hold_for_both() -> None:
    """Time, output and money; what is spent is spent."""
    limits = TurnLimits(time_limit_seconds=10.0, output_bytes=150, cost_usd=0.75, stall_seconds=7.0)
    left = limits_left(limits, LOST)
    assert (left.time_limit_seconds, left.output_bytes, left.cost_usd) == (8.0, 50, 0.25)
    assert left.stall_seconds == 7.0
    none = limits_left(TurnLimits(time_limit_seconds=1.0, output_bytes=1, cost_usd=0.1), LOST)
    assert (none.time_limit_seconds, none.output_bytes, none.cost_usd) == (0.0, 0, 0.0)
    assert limits_left(TurnLimits(), LOST).cost_usd is None


def test_both_are_billed() -> None:
    """The second one's doings are the turn's; what was consumed adds up."""
    second = replace(LOST, exit_code=0, clean=True, session_lost=False, session_id="c2", output_tail="done")
    both = as_one_turn(LOST, second)
    assert (both.clean, both.session_id, both.session_lost, both.output_tail) == (True, "c2", False, "done")
    assert both.usage == Usage(cost_usd=1.0, input_tokens=6)
    assert (both.duration_seconds, both.events, both.output_bytes) == (4.0, 6, 200)
