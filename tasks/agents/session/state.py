"""The states of a session, and the legal steps between them.

The store makes each step as one compare-and-set: it is given the states from which the step is legal.
"""

from collections.abc import Mapping
from enum import StrEnum


class SessionState(StrEnum):
    """`booting -> in_turn <-> between_turns -> completed`, or `stalled`, or `zombie`."""

    BOOTING = "booting"  # no turn has begun yet
    IN_TURN = "in_turn"  # a process runs
    BETWEEN_TURNS = "between_turns"  # it can be resumed
    COMPLETED = "completed"  # its task has ended
    STALLED = "stalled"  # it went silent, or its worker was lost; the next turn may resume it
    ZOMBIE = "zombie"  # it was given up

    @property
    def is_final(self) -> bool:
        """Whether only a new attempt at its job brings it to life again."""
        return self in FINAL


FINAL = frozenset({SessionState.COMPLETED, SessionState.ZOMBIE})

_LIVE = frozenset(SessionState) - FINAL

#: For each state those from which a step may lead to it. None leads to `booting`: there a life begins.
ALLOWED: Mapping[SessionState, frozenset[SessionState]] = {
    SessionState.BOOTING: frozenset(),
    SessionState.IN_TURN: _LIVE - {SessionState.IN_TURN},
    SessionState.BETWEEN_TURNS: frozenset({SessionState.IN_TURN, SessionState.STALLED}),
    SessionState.STALLED: _LIVE - {SessionState.STALLED},
    SessionState.ZOMBIE: _LIVE,
    SessionState.COMPLETED: frozenset(SessionState) - {SessionState.COMPLETED},
}

#: States that only the holder of the session's turn may reach; the watchdog may reach the others too.
BY_HOLDER = frozenset({SessionState.IN_TURN, SessionState.BETWEEN_TURNS, SessionState.COMPLETED})


def may_move(start: SessionState, to: SessionState, *, holds_turn: bool) -> bool:
    """Whether a step is legal for somebody who holds the session's turn, or does not."""
    return start in ALLOWED[to] and (holds_turn or to not in BY_HOLDER)
