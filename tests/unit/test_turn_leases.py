"""Leases of turns: kept by events and looks, given up by the clock."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis

from routing.errors import UnavailableError
from routing.store.redis.lease import LeaseStatus
from routing.store.sessions.session_store import SessionStore
from tasks.agents.turn.leases import HeldTurn, TurnLeases
from tasks.agents.turn.stop_signal import StopReason, StopSignal
from tests.fleets.sessions import LEASE, Sessions


@pytest.fixture
def sessions(fake_redis: redis.Redis) -> Sessions:
    """A session in a turn."""
    made = Sessions(fake_redis)
    made.begin()
    made.run()
    return made


@contextmanager
def held(sessions: Sessions, store: SessionStore | None = None) -> Iterator[tuple[TurnLeases, HeldTurn]]:
    """The leases of a process that holds the session's turn."""
    leases = TurnLeases(store or sessions.store, lease_seconds=LEASE, monotonic=sessions.clock)
    with leases.holding("builder-1", 1, StopSignal(), asked_at=sessions.clock()) as one:
        yield leases, one


def test_looks_keep_the_lease(sessions: Sessions) -> None:
    """A third of the lease apart is often enough, and what else is kept is kept as often."""
    kept = []
    with held(sessions) as (leases, one):
        one.also = lambda: kept.append(sessions.clock())
        for _ in range(20):
            sessions.clock.forward(LEASE / 6)
            leases.look()
            leases.guard()
        assert one.stop.reason is None
        assert sessions.begin() == "busy"
        assert len(kept) == 10
    sessions.clock.forward(LEASE)
    leases.look()
    assert sessions.begin() == "ok"


def test_events_renew_at_most_every_two_seconds(sessions: Sessions) -> None:
    """A thousand events cost one write, and the last activity is two seconds old at most."""
    writes = []
    store = sessions.store

    class Counted(SessionStore):
        def renew(self, *given: object, **more: object) -> list[LeaseStatus]:
            writes.append(given)
            return store.renew(*given, **more)  # type: ignore[arg-type]

    with held(sessions, Counted(sessions.redis, sessions.keys, sessions.clock)) as (leases, one):
        for _ in range(1000):
            sessions.clock.forward(0.005)
            leases.heard(one)
        assert len(writes) == 3
        assert sessions.clock() - sessions.read().last_activity <= 2.0


def test_lost_lease_ends_the_turn(sessions: Sessions) -> None:
    """By the store's word, at the next look or the next event."""
    with held(sessions) as (leases, one):
        sessions.clock.forward(LEASE)
        assert sessions.begin() == "ok"
        leases.heard(one)
        assert one.stop.reason is StopReason.LEASE_LOST


class _Away(SessionStore):
    def renew(self, *_given: object, **_more: object) -> list[LeaseStatus]:
        message = "the server is away"
        raise UnavailableError(message)


def test_lease_that_cannot_be_renewed_ends_by_the_clock(sessions: Sessions) -> None:
    """Events go on while the store is away, and when the lease has run out the turn ends."""
    away = _Away(sessions.redis, sessions.keys, sessions.clock)
    with held(sessions, away) as (leases, one):
        leases.heard(one)
        sessions.clock.forward(LEASE - 1)
        leases.guard()
        assert one.stop.reason is None
        sessions.clock.forward(1)
        leases.guard()
        assert one.stop.reason is StopReason.LEASE_LOST


@pytest.mark.parametrize(("kind", "reason"), [("stall", StopReason.STALL), ("cancel", StopReason.CANCEL)])
def test_wishes_reach_the_turn(sessions: Sessions, kind: str, reason: StopReason) -> None:
    """At the next look."""
    with held(sessions) as (leases, one):
        sessions.store.stop("builder-1", kind=kind, reason="quiet")
        leases.look()
        assert one.stop.reason is reason
