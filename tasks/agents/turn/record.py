"""The record of a turn in its session: what the program did, and what that meant."""

from dataclasses import dataclass
from enum import StrEnum

from tasks.agents.session.state import SessionState
from tasks.agents.supervision.retirement import Retirement
from tasks.agents.turn.result import OVERSTAYED, TurnResult


class TerminalMail(StrEnum):
    """Whether the agent said how its task went."""

    SEEN = "seen"  # in this very turn
    MISSING = "missing"  # the task is over without it
    NOT_DUE = "not_due"  # there are turns to come, or the role has no task


class NotRun(StrEnum):
    """Why there was no turn. Nothing was changed."""

    BUSY = "busy"  # another turn of the session is being run somewhere
    NOTHING_TO_SAY = "nothing_to_say"  # neither a prompt nor mail
    OVER = "over"  # the session is over, or there is none, and mail alone begins none


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnRecord:
    """One turn of a session."""

    result: TurnResult  # exit code, clean, session id, mismatch, ended_by, duration, usage and cost
    agent: str  # name of the session
    fence: int  # of the turn's lease
    resumed: bool  # an earlier conversation was asked for
    terminal_mail: TerminalMail
    initial: SessionState  # as it was when the lease was won
    awaits: bool  # the job goes on when mail arrives for the agent
    final: SessionState | None  # None when it could not be written
    retirement: (
        Retirement | None
    )  # how its agent leaves if its job has ended; None when the turn is another's

    @property
    def said_done(self) -> bool:
        """Whether the agent said how its task went before silence or the time limit ended it."""
        return self.terminal_mail is TerminalMail.SEEN and self.result.ended_by in OVERSTAYED
