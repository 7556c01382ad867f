"""How a turn went, as a record. What it means for the session is decided in `session/step`.

A turn that the process ended itself has an exit code. One that we ended has none, and is clean only if the
program had said that all went well and did not exit (`lingered`).
"""

from dataclasses import dataclass

from routing.accounts.limit import AccountLimit
from routing.jobs.ending import Ending
from tasks.agents.runtimes.agent_event import ApiErrorEvent, Usage


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnResult:
    """The record of one turn."""

    ended_by: Ending
    reason: str = ""  # what the runtime raised, in one line; "" unless that ended the turn
    exit_code: int | None  # negative for a signal; None when we ended the process
    clean: bool  # the runtime's own definition; never when we ended it, unless it `lingered`
    lingered: bool = False  # it had said how the turn went, and did not exit
    session_id: str | None  # as seen, or as asked for when none was seen
    session_lost: bool  # the session to resume was not there: the program gave up before it had one
    resume_mismatch: bool  # another session was seen than was asked for
    refused: str = ""  # why the model's API does not take the conversation, in its words; "" if it does
    duration_seconds: float  # from spawn until everything had ended
    usage: Usage  # of this turn alone
    limit: AccountLimit | None = None  # of the account, that ended it: then it is never clean
    acted: bool = False  # a tool was used, or a model was paid for
    api_error: ApiErrorEvent | None  # what the model's API answered last, if nothing was done after it
    events: int  # of any kind
    malformed_lines: int  # could not be read
    oversized_lines: int  # longer than the cap; a part of them was skipped
    output_bytes: int  # printed to both streams
    output_tail: str  # the end of what was said, without control characters
    survivors: int  # processes that could not be ended; 0 unless the kernel holds them
    log_failure: str  # why the log is incomplete beyond its size cap, "" when it is not
