"""Keeps the leases of the jobs that one worker process holds, and hears what is asked of them."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from routing.errors import CoalmineError
from routing.jobs import Claim
from routing.store.job_store import JobStore
from tasks.agents.stop_signal import StopReason, StopSignal

_log = structlog.get_logger(__name__)

#: Seconds between two looks at the leases: within this time a cancel reaches a running agent.
LOOK_SECONDS = 0.5


@dataclass(slots=True)
class _Held:
    claim: Claim
    stop: StopSignal
    lease_ends: float  # on our own clock, counted from before the last renewal was sent


class LeaseKeeper:
    """One thread a process renews every lease that the process holds, in one call for all of them.

    `monotonic` is this process's own clock. When no renewal has got through for a whole lease, the lease
    counts as lost: the job may be running elsewhere by then, so its turn is ended here.
    """

    def __init__(
        self, jobs: JobStore, *, lease_seconds: float, monotonic: Callable[[], float],
        draining: Callable[[], bool], on_look: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._jobs = jobs
        self._draining = draining
        self._on_look = on_look  # what else this thread does for the process
        self._lease_seconds = lease_seconds
        self._monotonic = monotonic
        self._held: dict[tuple[str, int], _Held] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
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

    def _start(self) -> None:
        """Start the thread with the first lease; a forked child has none and starts its own."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._keep, name="lease-keeper", daemon=True)
            self._thread.start()

    def _keep(self) -> None:
        while not self._wake.wait(LOOK_SECONDS):
            with self._lock:
                held = list(self._held.items())
                if not held:
                    self._thread = None
                    return
            try:
                self._look(held)
                self._on_look()
            except CoalmineError as error:
                _log.warning("leases.not_renewed", jobs=len(held), reason=str(error))
            self._give_up(held)
            if self._draining():
                for _, one in held:
                    one.stop.set(StopReason.DRAIN)

    def _look(self, held: "list[tuple[tuple[str, int], _Held]]") -> None:
        now = self._monotonic()
        due = now - self._renewed_at >= self._lease_seconds / 3
        answers = self._jobs.renew(
            [key for key, _ in held], extend_seconds=self._lease_seconds if due else 0.0
        )
        if due:
            self._renewed_at = now
        for (_, one), answer in zip(held, answers, strict=True):
            if answer == "lost":
                one.stop.set(StopReason.LEASE_LOST)
                continue
            if due:
                one.lease_ends = now + self._lease_seconds
            if answer.startswith("cancel:"):
                one.stop.set(StopReason.CANCEL)

    def _give_up(self, held: "list[tuple[tuple[str, int], _Held]]") -> None:
        now = self._monotonic()
        for _, one in held:
            if one.lease_ends <= now:
                one.stop.set(StopReason.LEASE_LOST)
