"""The leases of the turns that one process runs: kept alive, and given up when they are lost."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from routing.errors import UnavailableError
from routing.store.sessions.session_store import SessionStore
from tasks.agents.turn.stop_signal import StopReason, StopSignal

_log = structlog.get_logger(__name__)

#: Events renew a lease, and note that the agent is at work, no more often than this.
EVENT_SECONDS = 2.0


@dataclass(slots=True)
class HeldTurn:
    """One lease."""

    name: str  # of the session
    fence: int
    stop: StopSignal
    lease_ends: float  # on our own clock, counted from before the last renewal was sent
    heard_at: float = float("-inf")  # when an event last renewed it
    also: Callable[[], object] = lambda: None  # what else is to be kept for as long


class TurnLeases:
    """Shared by the threads of a process. `look` and `guard` are called by its lease keeper."""

    def __init__(self, store: SessionStore, *, lease_seconds: float, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._lease_seconds = lease_seconds
        self._monotonic = monotonic
        self._held: dict[tuple[str, int], HeldTurn] = {}
        self._lock = threading.Lock()
        self._renewed_at = float("-inf")

    @contextmanager
    def holding(self, name: str, fence: int, stop: StopSignal, *, asked_at: float) -> Iterator[HeldTurn]:
        """Keep a lease for the time of the block; `asked_at` is when it was asked for, by our own clock."""
        held = HeldTurn(name=name, fence=fence, stop=stop, lease_ends=asked_at + self._lease_seconds)
        with self._lock:
            self._held[name, fence] = held
        try:
            yield held
        finally:
            with self._lock:
                self._held.pop((name, fence), None)

    def heard(self, held: HeldTurn) -> None:
        """An event came: renew the lease and note the time, unless that was done a moment ago."""
        now = self._monotonic()
        if now - held.heard_at < EVENT_SECONDS:
            return
        held.heard_at = now
        try:
            self._renew([held], now, extend=True, active=True)
        except UnavailableError as error:  # the lease lasts for a while yet, and the guard sees to its end
            _log.warning("turn.not_renewed", agent=held.name, reason=str(error))

    def look(self) -> None:
        """Renew what is due, and hear what is asked of the turns."""
        with self._lock:
            held = list(self._held.values())
        if not held:
            return
        now = self._monotonic()
        due = now - self._renewed_at >= self._lease_seconds / 3
        self._renew(held, now, extend=due, active=False)
        if due:
            self._renewed_at = now
            for one in held:
                one.also()

    def guard(self) -> None:
        """End the turns whose lease ran out by our own clock: the store may not have answered for long."""
        now = self._monotonic()
        with self._lock:
            lost = [one for one in self._held.values() if one.lease_ends <= now]
        for one in lost:
            one.stop.set(StopReason.LEASE_LOST)

    def _renew(self, held: list[HeldTurn], now: float, *, extend: bool, active: bool) -> None:
        statuses = self._store.renew(
            [(one.name, one.fence) for one in held],
            extend_seconds=self._lease_seconds if extend else 0.0,
            active=active,
        )
        for one, status in zip(held, statuses, strict=True):
            if not status.held:
                one.stop.set(StopReason.LEASE_LOST)
                continue
            if extend:
                one.lease_ends = max(one.lease_ends, now + self._lease_seconds)
            if status.stop:
                one.stop.set(_reason(status.stop.partition(":")[0]))


def _reason(kind: str) -> StopReason:
    return StopReason.STALL if kind == StopReason.STALL.value else StopReason.CANCEL
