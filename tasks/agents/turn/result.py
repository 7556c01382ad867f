"""What came of a turn."""

from dataclasses import dataclass
from enum import StrEnum

from tasks.agents.runtimes.agent_event import ApiErrorEvent, Usage


class Ending(StrEnum):
    """What ended a turn."""

    RESULT = "result"  # the process, by itself
    STALL = "stall"  # no event for too long
    DEADLINE = "deadline"  # the time limit
    OUTPUT_LIMIT = "output_limit"  # too many bytes printed
    BUDGET = "budget"  # too much spent
    PARSER_ERROR = "parser_error"  # the runtime raised where it reads what the agent said
    CANCEL = "cancel"  # see StopReason
    LEASE_LOST = "lease_lost"
    DRAIN = "drain"


#: Endings that take nothing from an agent's word that it is done: it said so, and did not leave.
OVERSTAYED = frozenset({Ending.STALL, Ending.DEADLINE})


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnResult:
    """The record of one turn."""

    ended_by: Ending
    reason: str = ""  # what the runtime raised, in one line; "" unless that ended the turn
    exit_code: int | None  # negative for a signal; None when we ended the process
    clean: bool  # the runtime's own definition; never when we ended it
    session_id: str | None  # as seen, or as asked for when none was seen
    session_lost: bool  # the session to resume was not there: the program gave up before it had one
    resume_mismatch: bool  # another session was seen than was asked for
    duration_seconds: float  # from spawn until everything had ended
    usage: Usage  # of this turn alone
    api_error: ApiErrorEvent | None  # what the model's API answered last, if nothing was done after it
    events: int  # of any kind
    malformed_lines: int  # could not be read
    oversized_lines: int  # longer than the cap; their end was skipped
    output_bytes: int  # printed to both streams
    output_tail: str  # the end of what was said, without control characters
    survivors: int  # processes that could not be ended; 0 unless the kernel holds them
    log_failure: str  # why the log is incomplete beyond its size cap, "" when it is not


class NotRun(StrEnum):
    """Why there was no turn. Nothing was changed."""

    BUSY = "busy"  # another turn of the session is being run somewhere
    NOTHING_TO_SAY = "nothing_to_say"  # neither a prompt nor mail
    OVER = "over"  # the session is over, or there is none, and mail alone begins none
