"""Keeps all leases of one worker process, whatever is leased: jobs, turns, mail.

What differs between them is a `LeaseKind`, made by the code that wins the lease. All else is here:
when a lease is renewed, when it counts as lost, and how its holder learns of that, or of a request to end the
work. A holder learns of it through its `StopSignal`, in a thread of the keeper.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import structlog

from routing.errors import STORE_AWAY, StoreRefusedError
from routing.store.redis.lease import LeaseStatus
from tasks.agents.turn.stop_signal import StopReason, StopSignal
from tasks.work.log_and_continue import LogAndContinue
from tasks.work.outage import Outage
from tasks.work.patience import DRAIN_SECONDS, FINISHED_SECONDS, patiently

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

_log = structlog.get_logger(__name__)

#: Seconds for which a lease goes on after the store refused everybody, as nobody else could win it; and after
#: its process stood still, so that the store can be asked.
GRACE_SECONDS = 10.0

#: Seconds that a look may be late before this process, or the whole machine, is taken to have stood still.
LATE_SECONDS = 2.0

#: The name under which the keeper speaks of its waiting.
PART = "leases"


@dataclass(frozen=True, kw_only=True, slots=True)
class LeaseTimes:
    """All times of leases; all else that is timed by them is derived from these."""

    lease_seconds: float = 30.0  # of jobs and turns: a worker that is silent for so long has lost them
    renewals: int = 3  # within a lease, so that all but one of them may fail
    tick_seconds: float = 0.5  # between two looks: within this time a cancel reaches a running agent
    event_seconds: float = 2.0  # events of an agent renew its turn's lease no more often than this
    mail_leases: float = 3.0  # lease of a turn's mail, in leases: it outlives the turn that reads it
    outage_seconds: float = 60.0  # for which work goes on after its lease ran out, while no store answers

    @property
    def longest_tick_seconds(self) -> float:
        """The time between two looks; at least two of them lie between two renewals, whatever was set."""
        return min(self.tick_seconds, self.lease_seconds / self.renewals / 2)

    @property
    def renewal_seconds(self) -> float:
        """The time between two renewals."""
        return self.lease_seconds / self.renewals

    @property
    def mail_lease_seconds(self) -> float:
        """The lease of the mail that a turn has claimed."""
        return self.mail_leases * self.lease_seconds


class Renewal(Protocol[T_contra]):
    """The store's call that looks at leases, or extends them."""

    def __call__(
        self, things: Sequence[T_contra], /, *, extend_seconds: float, active: bool = False
    ) -> Sequence[LeaseStatus]:
        """Look only, where `extend_seconds` is 0; `active`: an event came of each of them.

        Answers in their order. One of STORE_AWAY when there is no answer; whatever else is raised counts as
        the fault of one of the things.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LeaseKind(Generic[T]):
    """One kind of thing that is leased. One instance a process: its leases are renewed in one call."""

    name: str  # in the log
    lease_seconds: float
    renew: Renewal[T]
    #: What a request in a LeaseStatus means. None: nobody asks, so that each tick need not look.
    asked_to: Callable[[str], StopReason] | None = None


@dataclass(slots=True, eq=False)
class Lease(Generic[T]):
    """One lease while it is held."""

    kind: LeaseKind[T]
    thing: T
    stop: StopSignal  # set when the lease is lost, or the work is to end
    sure_until: float  # on our own clock, counted from before the last renewal was sent: nobody has it before
    ends: float  # when it counts as lost; after `sure_until` only while no store answers
    heard_at: float = field(default=float("-inf"))  # when an event last renewed it
    faults: int = 0  # renewals that raised because of this one
    is_doubted: bool = False  # its process stood still since the last renewal, and had time to ask


class LeaseKeeper:
    """Two threads a process: one renews, one watches the clock, as a store may hang for longer than a lease.

    `holding` starts them, and they end when nothing is held; a forked child starts its own. `monotonic` is
    the clock of this process.

    When no renewal has succeeded for a whole lease, another process may have the lease; nobody can say while
    the store is away. Then the work goes on for `outage_seconds`, as what is paid for is mostly still ours,
    and longer while the store refuses everybody, or when this process stood still (a laptop that sleeps). The
    store is asked first when it is back, and a lease that ran out is kept if nobody has taken it. Only work
    in a place of its own goes on so: what the outside would see is done after a `look`.

    A lease whose renewal raises is renewed apart from the others. It is logged once, counted in `faults`, and
    ends when it runs out. Should a thread die all the same, every holder learns that its lease is lost, and
    `on_death` is called; it has to end the process, which can no longer keep or lose a lease.
    """

    def __init__(
        self, times: LeaseTimes, *, monotonic: Callable[[], float],
        draining: Callable[[], bool] = lambda: False, chores: Sequence[Callable[[], object]] = (),
        on_death: Callable[[], object] = lambda: None, outage: Outage | None = None,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:  # fmt: skip
        self.times = times
        self.faults = 0  # renewals and notifications that raised
        self._monotonic = monotonic
        self._draining = draining  # whether the process shuts down: then all work is to end
        self._chores = chores  # what else is done with each renewal; one that raises is logged
        self._on_death = on_death
        self._outage = outage or Outage("store", is_silent=True)
        self._pause = pause
        self._is_answered = True  # by the store, when the renewing thread last asked
        self._looked_at = float("inf")  # when the watching thread last looked
        self._held: list[Lease[Any]] = []
        self._renewed_at: dict[LeaseKind[Any], float] = {}
        self._lock = threading.Lock()  # of all above
        self._ended = threading.Event()  # never set: a clock to wait by
        self._threads: dict[str, threading.Thread] = {}

    @contextmanager
    def holding(
        self, kind: LeaseKind[T], thing: T, stop: StopSignal | None = None, *, asked_at: float | None = None
    ) -> Iterator[Lease[T]]:
        """Keep a lease for the time of the block; `asked_at`: when it was asked for, by `monotonic`."""
        begins = self._monotonic() if asked_at is None else asked_at
        lease = Lease(kind, thing, stop or StopSignal(), begins + kind.lease_seconds, 0.0)
        lease.ends = lease.sure_until + self.times.outage_seconds
        with self._lock:
            self._start()
            self._held.append(lease)
        try:
            yield lease
        finally:
            with self._lock:
                self._held.remove(lease)

    def heard(self, lease: Lease[Any]) -> None:
        """An event came, in the holder's thread: renew, unless that was done a moment ago. Never raises."""
        now = self._monotonic()
        if now - lease.heard_at < self.times.event_seconds or not self._is_answered:
            return  # a store that hangs would have the holder wait, who reads what an agent says
        lease.heard_at = now
        try:
            self._ask(lease.kind, [lease], now, extend=True, active=True)
        except STORE_AWAY as error:  # the lease lasts for a while yet; `guard` ends it by the clock
            _log.debug("lease.not_renewed", kind=lease.kind.name, reason=str(error))

    def look(self, kind: LeaseKind[T], thing: T) -> LeaseStatus:
        """What a lease is, before something is done that carries no fence: ours, and nobody asks us to stop.

        The store says so, and extends it. A store that is away is waited for, also while the lease is surely
        ours: people may have cancelled meanwhile. The lease is not held when the store did not answer for
        FINISHED_SECONDS.
        """
        began = self._monotonic()

        def ask() -> LeaseStatus:
            return kind.renew([thing], extend_seconds=kind.lease_seconds)[0]

        def is_over() -> bool:
            longest = DRAIN_SECONDS if self._draining() else FINISHED_SECONDS
            return self._monotonic() - began >= longest

        try:
            return patiently("lease.in_doubt", ask, is_over=is_over, pause=self._pause, kind=kind.name)
        except STORE_AWAY:
            return LeaseStatus(held=False)

    def renew(self) -> None:
        """One tick of the renewing thread: one call a kind, then the chores.

        A store that does not answer one of them ends the tick, so that the next one is soon.
        """
        try:
            for kind, leases in self._by_kind().items():
                self._renew_all(kind, leases)
        except STORE_AWAY as error:
            self._away(error)
            return
        self._is_answered = True
        self._outage.ends(PART)
        for chore in self._chores:
            with LogAndContinue("leases.chore_failed"):
                chore()

    def _by_kind(self) -> dict[LeaseKind[Any], list[Lease[Any]]]:
        held: dict[LeaseKind[Any], list[Lease[Any]]] = defaultdict(list)
        for lease in self._leases():
            held[lease.kind].append(lease)
        return held

    def _away(self, error: Exception) -> None:
        """No answer. While the store refuses everybody, no lease of ours can be won by others."""
        self._is_answered = False
        self._outage.begins(PART, error)
        if isinstance(error, StoreRefusedError):
            self._grant(self._leases())

    def _grant(self, leases: Sequence[Lease[Any]]) -> None:
        ends = self._monotonic() + GRACE_SECONDS
        for lease in leases:
            lease.ends = max(lease.ends, ends)

    def guard(self) -> None:
        """One tick of the watching thread, which never waits for a store."""
        now, draining = self._monotonic(), self._draining()
        if now - self._looked_at > self.times.longest_tick_seconds + LATE_SECONDS:
            self._woke()
        self._looked_at = now
        for lease in self._leases():
            if lease.ends <= now:
                self._stop(lease, StopReason.LEASE_LOST)
            elif draining:
                self._stop(lease, StopReason.DRAIN)

    def _woke(self) -> None:
        """This process stood still: the store is asked once more before a lease counts as lost."""
        doubted = [lease for lease in self._leases() if not lease.is_doubted]
        self._grant(doubted)
        for lease in doubted:
            lease.is_doubted = True

    def _leases(self) -> list[Lease[Any]]:
        with self._lock:
            return list(self._held)

    def _renew_all(self, kind: LeaseKind[Any], leases: Sequence[Lease[Any]]) -> None:
        now = self._monotonic()
        since = now - self._renewed_at.get(kind, float("-inf"))
        is_due = since >= kind.lease_seconds / self.times.renewals
        if not is_due and kind.asked_to is None:
            return
        answered = self._ask(kind, leases, now, extend=is_due)
        if is_due and answered:
            self._renewed_at[kind] = now

    def _ask(
        self, kind: LeaseKind[Any], leases: Sequence[Lease[Any]], now: float, *, extend: bool,
        active: bool = False,
    ) -> int:  # fmt: skip
        """One call for all of them; if it raises, one for each, so that only the one at fault is left out.

        Returns how many were answered. Raises one of STORE_AWAY when the store answers nobody.
        """
        try:
            statuses = kind.renew(
                [lease.thing for lease in leases],
                extend_seconds=kind.lease_seconds if extend else 0.0,
                active=active,
            )
            answered = list(zip(leases, statuses, strict=True))
        except STORE_AWAY:
            raise
        except Exception as error:  # noqa: BLE001 - the boundary of one lease: the others must be renewed
            if len(leases) == 1:
                self._fault(leases[0], error)
                return 0
            return sum(self._ask(kind, [lease], now, extend=extend, active=active) for lease in leases)
        for lease, status in answered:
            try:
                self._take(lease, status, until=now + kind.lease_seconds if extend else lease.sure_until)
            except Exception as error:  # noqa: BLE001 - what was asked of one cannot be read: the others go on
                self._fault(lease, error)
        late = [lease for lease, status in answered if status.is_late]
        if late:
            self._ask(kind, late, now, extend=True)
        return len(answered)

    def _take(self, lease: Lease[Any], status: LeaseStatus, *, until: float) -> None:
        """Do as an answer says; `until`: when the lease runs out by it, if it is held."""
        if not status.held:
            self._stop(lease, StopReason.LEASE_LOST)
            return
        lease.sure_until, lease.is_doubted = max(lease.sure_until, until), False
        lease.ends = max(lease.ends, lease.sure_until + self.times.outage_seconds)
        if status.stop and lease.kind.asked_to is not None:
            self._stop(lease, lease.kind.asked_to(status.stop))

    def _stop(self, lease: Lease[Any], reason: StopReason) -> None:
        try:
            lease.stop.set(reason)
        except Exception as error:  # noqa: BLE001 - a listener's fault is its holder's alone
            self._fault(lease, error)

    def _fault(self, lease: Lease[Any], error: Exception) -> None:
        """The store answers, but not for this one: others may win it when it runs out."""
        self.faults += 1
        lease.faults += 1
        lease.ends = lease.sure_until
        if lease.faults == 1:
            _log.error("lease.fault", kind=lease.kind.name, faults=self.faults, exc_info=error)

    def _start(self) -> None:
        """Start the threads that do not run; `_lock` must be held."""
        if "lease-guard" not in self._threads:
            self._looked_at = self._monotonic()
        for name, tick in (("lease-keeper", self.renew), ("lease-guard", self.guard)):
            thread = self._threads.get(name)
            if thread is None or not thread.is_alive():
                self._threads[name] = threading.Thread(
                    target=self._repeat, args=(name, tick), name=name, daemon=True
                )
                self._threads[name].start()

    def _repeat(self, name: str, tick: Callable[[], None]) -> None:
        try:
            while not self._ended.wait(self.times.longest_tick_seconds):
                with self._lock:
                    if not self._held:
                        del self._threads[name]
                        self._outage.ends(PART)
                        return
                tick()
        except BaseException as error:  # noqa: BLE001 - whatever it was: nobody renews now
            _log.critical("leases.keeper_died", thread=name, exc_info=error)
            for lease in self._leases():
                self._stop(lease, StopReason.LEASE_LOST)
            self._on_death()
