"""A turn whose conversation is not there: when it is begun anew, with what limits, and what both come to."""

from dataclasses import replace

from tasks.agents.turn.limits import TurnLimits
from tasks.agents.turn.result import Ending, TurnResult

#: Why the conversation is lost, in words.
NOT_THERE = "its program does not have it any more"


def is_due(first: TurnResult, *, acted: bool) -> bool:
    """Whether the program gave up because the conversation is not there, before it did anything at all.

    Whoever has spoken or used a tool, was refused by the model's API or died of a signal failed at its
    work: that is for the job's next attempt.
    """
    exited = first.ended_by is Ending.RESULT and first.exit_code is not None and first.exit_code > 0
    return exited and first.session_lost and first.api_error is None and not acted


def limits_left(limits: TurnLimits, first: TurnResult) -> TurnLimits:
    """What the first process has left of the turn's time, output and money."""
    cost = limits.cost_usd
    return replace(
        limits,
        time_limit_seconds=max(0.0, limits.time_limit_seconds - first.duration_seconds),
        output_bytes=max(0, limits.output_bytes - first.output_bytes),
        cost_usd=None if cost is None else max(0.0, cost - first.usage.cost_usd),
    )


def together(first: TurnResult, second: TurnResult) -> TurnResult:
    """One turn of two processes: the second one's doings, and what both consumed."""
    return replace(
        second,
        duration_seconds=first.duration_seconds + second.duration_seconds,
        usage=first.usage + second.usage,
        events=first.events + second.events,
        malformed_lines=first.malformed_lines + second.malformed_lines,
        oversized_lines=first.oversized_lines + second.oversized_lines,
        output_bytes=first.output_bytes + second.output_bytes,
        survivors=first.survivors + second.survivors,
        log_failure=second.log_failure or first.log_failure,
    )
