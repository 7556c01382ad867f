"""A session is an agent's conversation, which goes on across turns.

A turn is one run of an agent's process. Its conversation is kept, so that the next turn, of a retry or a
correction, goes on where the last one ended. One turn at a time is in a session, by a lease of its own. A
session is booting, in a turn, between turns, or at its end: completed, stalled, or a zombie whose process
fell silent.
"""

import redis

from routing.store.sessions.session_store import SessionAnswer, TurnRefusal
from tasks.agents.session.state import SessionState
from tests.fleets.sessions import LEASE, Sessions


def test_a_session_goes_from_turn_to_turn(fake_redis: redis.Redis) -> None:
    """Two turns, and then it has done its work."""
    session = Sessions(fake_redis)
    session.begin()
    session.run()
    session.end(SessionState.BETWEEN_TURNS)
    session.begin()
    session.run(fence=2)
    session.end(SessionState.COMPLETED, fence=2)
    steps = [event.data["to"] for event in session.events("session.state")]
    assert steps == ["booting", "in_turn", "between_turns", "in_turn", "completed"]


def test_one_turn_at_a_time(fake_redis: redis.Redis) -> None:
    """Two processes in one conversation would lose each other's replies."""
    session = Sessions(fake_redis)
    assert session.begin() == SessionAnswer.OK
    assert session.begin() == TurnRefusal.BUSY


def test_the_conversation_outlives_the_turn(fake_redis: redis.Redis) -> None:
    """The runtime's id of it is kept, with the host that can resume it."""
    session = Sessions(fake_redis)
    session.begin()
    session.run()
    session.store.seen("builder-1", fence=1, session_id="s1", asked="", host="h1")
    session.end(SessionState.BETWEEN_TURNS)
    session.begin()
    assert session.read().runtime_session == "s1"


def test_a_turn_whose_worker_died_is_taken_over(fake_redis: redis.Redis) -> None:
    """When its lease has run out the next turn begins; what the old one writes is refused."""
    session = Sessions(fake_redis)
    session.begin()
    session.run()
    session.clock.forward(LEASE + 1)
    assert session.begin() == SessionAnswer.OK
    assert session.end(SessionState.COMPLETED, fence=1) == SessionAnswer.STALE
