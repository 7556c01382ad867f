"""Sessions against a simple model: one turn at a time, and a step only from where it is legal."""

import fakeredis
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from hypothesis.strategies import booleans, integers, none, one_of, sampled_from

from routing.store.sessions.session_store import SessionAnswer, TurnEnd, TurnRefusal
from tasks.agents.session.state import ALLOWED, SessionState
from tests.fleets.sessions import LEASE, PROCESS, Sessions
from tests.leaks import leaks

NAME = "builder-1"

#: How many turns ago the turn began whose holder speaks; 0 for the last one.
AGO = integers(0, 2)


class SessionMachine(RuleBasedStateMachine):
    """Workers with turns of one agent, the last of which may hold it, and the watchdog, which holds none."""

    def __init__(self) -> None:
        super().__init__()
        self.client = fakeredis.FakeRedis(decode_responses=True, server=fakeredis.FakeServer())
        self.sessions = Sessions(self.client)
        self.store, self.clock = self.sessions.store, self.sessions.clock
        self.state: SessionState | None = None
        self.fence = 0
        self.until: float | None = None  # the end of the turn's lease; None: no turn holds it
        self.noted: list[str] = []  # the states that events say it went to

    def teardown(self) -> None:
        """Each step was noted once, in order, and no key lives for ever."""
        assert [event.data["to"] for event in self.sessions.events("session.state")] == self.noted
        assert leaks(self.client, self.sessions.keys) == []
        self.client.close()

    @rule(starts=booleans())
    def begin(self, starts: bool) -> None:  # noqa: FBT001 - hypothesis draws it
        """A turn is won when no other holds the agent; a new life begins only where that is asked for."""
        start = {"role": "builder", "parent": "", "job": "j1"} if starts else None
        found = self.store.begin(NAME, lease_seconds=LEASE, worker="w", start=start)
        is_over = self.state is not None and self.state.is_final
        if self.until is not None and self.until > self.clock():
            assert found is TurnRefusal.BUSY
        elif not starts and (self.state is None or is_over):
            assert found is (TurnRefusal.OVER if is_over else TurnRefusal.MISSING)
        else:
            self.fence, self.until = self.fence + 1, self.clock() + LEASE
            assert not isinstance(found, TurnRefusal)
            assert int(found["fence"]) == self.fence
            if self.state is None or is_over:
                self._enter(SessionState.BOOTING)

    @rule(ago=AGO)
    def run(self, ago: int) -> None:
        """The holder registers its process."""
        allowed = ALLOWED[SessionState.IN_TURN]
        found = self.store.run_by(NAME, fence=self.fence - ago, allowed=allowed, process=PROCESS).answer
        if found is SessionAnswer.OK:
            assert self.state in allowed
            self._enter(SessionState.IN_TURN)
        self._check(found, ago, to=SessionState.IN_TURN, was_allowed=self.state in allowed)

    @rule(ago=AGO, to=one_of(none(), sampled_from([state for state in SessionState if ALLOWED[state]])))
    def end(self, ago: int, to: SessionState | None) -> None:
        """The holder gives the lease back, whether its state may be entered or not."""
        allowed = ALLOWED[to] if to else ()
        turn = TurnEnd(name=NAME, fence=self.fence - ago, to=to or "", allowed=allowed, reason="r")
        found, was_held, before = self.store.end(turn).answer, self._holds(ago), self.state
        if was_held:
            self.until = None
            if to is not None and before in allowed:
                self._enter(to)
                assert found is SessionAnswer.OK
            else:
                is_fine = to is None or (before == to == SessionState.ZOMBIE)
                assert found is (SessionAnswer.OK if is_fine else SessionAnswer.STATE)
        else:
            assert found is (SessionAnswer.MISSING if before is None else SessionAnswer.STALE)

    @rule(to=sampled_from([SessionState.STALLED, SessionState.ZOMBIE]))
    def take_over(self, to: SessionState) -> None:
        """The watchdog moves an agent whose turn has no holder any more."""
        found = self.store.move(NAME, to, allowed=ALLOWED[to], reason="r", expired=True).answer
        if self.state is None:
            assert found is SessionAnswer.MISSING
        elif self.until is not None and self.until > self.clock():
            assert found is SessionAnswer.ALIVE
        else:
            self.until = None
            assert found is (SessionAnswer.OK if self.state in ALLOWED[to] else SessionAnswer.STATE)
            if self.state in ALLOWED[to]:
                self._enter(to)

    @rule(ago=AGO)
    def renew(self, ago: int) -> None:
        """A lease is held until another turn has the agent."""
        (status,) = self.store.renew([(NAME, self.fence - ago)], extend_seconds=LEASE)
        assert status.held == self._holds(ago)
        if status.held:
            self.until = self.clock() + LEASE

    @rule(seconds=sampled_from([1.0, LEASE / 2, LEASE + 1]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.clock.forward(seconds)

    @invariant()
    def the_record_says_what_the_model_says(self) -> None:
        """State and fence; who is in a turn; and who lives."""
        found = self.store.read(NAME)
        assert found.get("state") == self.state
        assert int(found.get("fence", 0)) == self.fence
        assert self.store.in_turn(10) == ([] if self.until is None else [NAME])
        lives = self.state is not None and not self.state.is_final
        assert self.store.idle(before=float("inf"), most=10) == ([NAME] if lives else [])

    def _holds(self, ago: int) -> bool:
        return ago == 0 and self.until is not None

    def _enter(self, to: SessionState) -> None:
        self.state = to
        self.noted.append(to.value)

    def _check(self, found: SessionAnswer, ago: int, *, to: SessionState, was_allowed: bool) -> None:
        """A step that was not made was refused for the right reason."""
        if found is SessionAnswer.OK:
            assert self._holds(ago)
        elif self.state is None:
            assert found is SessionAnswer.MISSING
        elif not self._holds(ago):
            assert found is SessionAnswer.STALE
        else:
            assert found is SessionAnswer.STATE, to
            assert not was_allowed


SessionMachine.TestCase.settings = settings(max_examples=15, stateful_step_count=25)
TestSessionsAgreeWithTheirModel = SessionMachine.TestCase
