"""Sessions for tests, with a clock that they move."""

from typing import Any

import redis

from routing.events import Event
from routing.store.events.event_store import EventStore
from routing.store.redis.keys import Keys
from routing.store.sessions.session_store import SessionAnswer, SessionStore, TurnEnd, TurnRefusal
from tasks.agents.session.record import SessionRecord
from tasks.agents.session.state import ALLOWED, SessionState
from tests.fleets.stepped_fleet import SteppedClock

#: Seconds of a turn's lease.
LEASE = 30.0

PROCESS = {
    "host": "h1",
    "boot_id": "b1",
    "pid": "41",
    "start_ticks": "7",
    "marker": "m",
    "runtime": "command",
}


class Sessions:
    """What a test does with the session `builder-1`, in few words."""

    def __init__(self, client: redis.Redis, *, server_time: bool = False) -> None:
        self.redis: Any = client
        self.clock = SteppedClock()
        self.keys = Keys("test")
        self.store = SessionStore(
            client, self.keys, None if server_time else self.clock, retention_seconds=1000
        )

    def begin(self, name: str = "builder-1", *, begins: bool = True, **fields: str) -> str:
        """Ask for the next turn's lease."""
        start = {"role": "builder", "parent": "", "job": "j1"} | fields
        begun = self.store.begin(name, lease_seconds=LEASE, worker="w1", start=start if begins else None)
        return begun if isinstance(begun, TurnRefusal) else SessionAnswer.OK

    def run(self, fence: int = 1, *, lost: str = "", name: str = "builder-1") -> str:
        """Register a process."""
        allowed = ALLOWED[SessionState.IN_TURN]
        return str(self.store.run_by(name, fence=fence, allowed=allowed, process=PROCESS, lost=lost))

    def end(self, to: SessionState | None, fence: int = 1, **more: Any) -> str:
        """End the turn."""
        allowed = ALLOWED[to] if to else ()
        end = TurnEnd(name="builder-1", fence=fence, to=to or "", allowed=allowed, reason="r", **more)
        return str(self.store.end(end))

    def move(self, to: SessionState, fence: int | None = None, *, expired: bool = False) -> str:
        """One compare-and-set."""
        allowed = ALLOWED[to]
        return str(
            self.store.move("builder-1", to, allowed=allowed, reason="r", fence=fence, expired=expired)
        )

    def read(self, name: str = "builder-1") -> SessionRecord:
        """The session as it is stored."""
        return SessionRecord.parse(self.store.read(name))

    def in_state(self, state: SessionState) -> int:
        """Bring the session to a state, with its turn's lease held; returns the fence."""
        assert self.begin() == SessionAnswer.OK
        if state is not SessionState.BOOTING:
            assert self.run() == SessionAnswer.OK
        if state not in {SessionState.BOOTING, SessionState.IN_TURN}:
            assert self.move(state, fence=1) == SessionAnswer.OK
        return 1

    def events(self, kind: str) -> list[Event]:
        """Events of a kind, oldest first."""
        return [event for event in EventStore(self.redis, self.keys).all() if event.kind == kind]
