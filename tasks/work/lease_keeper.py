"""Keeps the leases of the jobs that one worker process holds, and hears what is asked of them."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from routing.errors import CoalmineError, UnavailableError
from routing.jobs.lifecycle import Claim
from routing.store.jobs.job_store import JobStore
from tasks.agents.turn.stop_signal import StopReason, StopSignal

_log = structlog.get_logger(__name__)

#: Seconds between two looks at the leases: within this time a cancel reaches a running agent.
LOOK_SECONDS = 0.5


@dataclass(slots=True)
class _Held:
    claim: Claim
    stop: StopSignal
    lease_ends: float  # on our own clock, counted from before the last renewal was sent


#: Leases by job id and fence, as one look sees them.
_Leases = list[tuple[tuple[str, int], _Held]]


class LeaseKeeper:
    """Two threads a process: one renews all of its leases in one call, the other watches the clock.

    There are two because the store may take longer to answer than a lease lasts.

    `monotonic` is this process's own clock. When no renewal has got through for a whole lease, the lease
    counts as lost: the job may be running elsewhere by then, so its turn is ended here.
    """

    def __init__(
        self, jobs: JobStore, *, lease_seconds: float, monotonic: Callable[[], float],
        draining: Callable[[], bool], on_look: Callable[[], None] = lambda: None,
        on_guard: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._jobs = jobs
        self._draining = draining
        self._on_look = on_look  # what else the one thread does for the process
        self._on_guard = on_guard  # and the other, which never waits for the store
        self._lease_seconds = lease_seconds
        self._monotonic = monotonic
        self._held: dict[tuple[str, int], _Held] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._threads: dict[str, threading.Thread] = {}
        self._renewed_at = 0.0

    @contextmanager
    def holding(self, claim: Claim, stop: StopSignal) -> Iterator[None]:
        """Keep a lease for the time of the block; `stop` is set when it is lost or the job cancelled."""
        key = (claim.job.id, claim.fence)
        held = _Held(claim=claim, stop=stop, lease_ends=self._monotonic() + self._lease_seconds)
        with self._lock:
            self._held[key] = held
            self._start()
        try:
            yield
        finally:
            with self._lock:
                self._held.pop(key, None)

    @property
    def count(self) -> int:
        """How many leases the process holds."""
        with self._lock:
            return len(self._held)

    def holds(self, claim: Claim) -> bool:
        """Whether a lease is still ours, before something is done that carries no fence.

        By the store's word; while that cannot be had, by our own clock.
        """
        key = (claim.job.id, claim.fence)
        try:
            return self._jobs.renew([key], extend_seconds=0.0)[0].held
        except UnavailableError:
            with self._lock:
                held = self._held.get(key)
            return held is not None and held.lease_ends > self._monotonic()

    def _start(self) -> None:
        """Start the threads with the first lease; a forked child has none and starts its own."""
        for name, look in (("lease-keeper", self._renew), ("lease-guard", self._guard)):
            thread = self._threads.get(name)
            if thread is None or not thread.is_alive():
                self._threads[name] = threading.Thread(
                    target=self._repeat, args=(name, look), name=name, daemon=True
                )
                self._threads[name].start()

    def _repeat(self, name: str, look: Callable[[_Leases], None]) -> None:
        while not self._wake.wait(LOOK_SECONDS):
            with self._lock:
                held = list(self._held.items())
                if not held:
                    del self._threads[name]
                    return
            look(held)

    def _renew(self, held: _Leases) -> None:
        try:
            self._look(held)
            self._on_look()
        except CoalmineError as error:
            _log.warning("leases.not_renewed", jobs=len(held), reason=str(error))

    def _guard(self, held: _Leases) -> None:
        now, draining = self._monotonic(), self._draining()
        for _, one in held:
            if one.lease_ends <= now:
                one.stop.set(StopReason.LEASE_LOST)
            elif draining:
                one.stop.set(StopReason.DRAIN)
        self._on_guard()

    def _look(self, held: _Leases) -> None:
        now = self._monotonic()
        due = now - self._renewed_at >= self._lease_seconds / 3
        statuses = self._jobs.renew(
            [key for key, _ in held], extend_seconds=self._lease_seconds if due else 0.0
        )
        if due:
            self._renewed_at = now
        for (_, one), status in zip(held, statuses, strict=True):
            if not status.held:
                one.stop.set(StopReason.LEASE_LOST)
                continue
            if due:
                one.lease_ends = now + self._lease_seconds
            if status.stop:
                one.stop.set(StopReason.CANCEL)
