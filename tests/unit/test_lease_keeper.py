"""Leases of one process: kept by events and ticks, given up by the clock, each for itself."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import redis
from celery.worker import state
from structlog.testing import capture_logs

from routing.errors import LockedOutError, StoreAwayError, StoreRefusedError
from routing.store.jobs.log_store import LogStore
from routing.store.redis.keys import Keys
from routing.store.redis.lease import LeaseStatus
from routing.store.sessions.session_store import SessionAnswer, SessionStore, TurnRefusal
from tasks.agents.turn.order import HeldTurn
from tasks.agents.turn.stop_signal import StopReason, StopSignal
from tasks.agents.turn.turn_runner import turn_leases
from tasks.work.drain import end_process
from tasks.work.lease_keeper import GRACE_SECONDS, Lease, LeaseKeeper, LeaseKind, LeaseTimes
from tasks.work.outage import Outage
from tests.fleets.sessions import LEASE, Sessions
from tests.waiting import wait_until

#: Ticks are made by the tests themselves, and a lease ends when it runs out.
BY_HAND = LeaseTimes(lease_seconds=LEASE, tick_seconds=3600, outage_seconds=0)

#: The same, but work goes on for a while when the store does not answer.
PATIENT = LeaseTimes(lease_seconds=LEASE, tick_seconds=3600, outage_seconds=60)

#: The keeper's threads make the ticks, at once.
AT_ONCE = LeaseTimes(lease_seconds=60, tick_seconds=0.001)


@pytest.fixture
def sessions(redis_client: redis.Redis) -> Sessions:
    """A session in a turn."""
    made = Sessions(redis_client)
    made.begin()
    made.run()
    return made


@contextmanager
def held(
    sessions: Sessions, store: SessionStore | None = None, times: LeaseTimes = BY_HAND
) -> Iterator[tuple[LeaseKeeper, Lease[HeldTurn]]]:
    """The keeper of a process that holds the session's turn."""
    keeper = LeaseKeeper(times, monotonic=sessions.clock, pause=sessions.clock.forward)
    kind = turn_leases(store or sessions.store, LEASE)
    with keeper.holding(kind, HeldTurn("builder-1", 1), asked_at=sessions.clock()) as lease:
        yield keeper, lease


def test_ticks_keep_the_lease(sessions: Sessions) -> None:
    """Renewed a third of it apart, it never ends while it is held; then nobody renews it."""
    with held(sessions) as (keeper, lease):
        for _ in range(20):
            sessions.clock.forward(LEASE / 6)
            keeper.renew()
            keeper.guard()
        assert lease.stop.reason is None
        assert sessions.begin() == TurnRefusal.BUSY
    sessions.clock.forward(LEASE)
    keeper.renew()
    assert sessions.begin() == SessionAnswer.OK


def test_events_renew_at_most_every_two_seconds(sessions: Sessions) -> None:
    """A thousand events cost one write in two seconds, and the last activity is as old at most."""
    writes = []
    store = sessions.store

    class Counted(SessionStore):
        def renew(self, *given: object, **more: object) -> list[LeaseStatus]:
            writes.append(given)
            return store.renew(*given, **more)  # type: ignore[arg-type]

    with held(sessions, Counted(sessions.redis, sessions.keys, sessions.clock)) as (keeper, lease):
        for _ in range(1000):
            sessions.clock.forward(0.005)
            keeper.heard(lease)
        assert len(writes) == 3
        assert sessions.clock() - sessions.read().last_activity <= 2.0


def test_a_lost_lease_ends_the_turn(sessions: Sessions) -> None:
    """By the store's word, at the next tick or the next event."""
    with held(sessions) as (keeper, lease):
        sessions.clock.forward(LEASE)
        assert sessions.begin() == SessionAnswer.OK
        keeper.heard(lease)
        assert lease.stop.reason is StopReason.LEASE_LOST


class _Refusing(SessionStore):
    has_passed = False

    def renew(self, *given: Any, **more: Any) -> list[LeaseStatus]:
        if self.has_passed:
            return super().renew(*given, **more)
        message = "the server wants another password"
        raise LockedOutError(message)


def test_a_refusal_that_passes_costs_no_lease(sessions: Sessions) -> None:
    """A password that is being changed: the lease is asked for at each tick, and kept when that helps."""
    refusing = _Refusing(sessions.redis, sessions.keys, sessions.clock)
    with held(sessions, refusing) as (keeper, lease):
        for _ in range(3):
            sessions.clock.forward(LEASE / 4)
            keeper.renew()
        keeper.guard()
        assert (lease.stop.reason, keeper.faults) == (None, 0)
        refusing.has_passed = True
        keeper.renew()
        sessions.clock.forward(LEASE / 2)
        keeper.guard()
        assert lease.stop.reason is None


@pytest.mark.parametrize(("tick", "lease"), [(60.0, 30.0), (0.5, 1.0), (3600.0, 2.0)])
def test_two_looks_lie_between_two_renewals(tick: float, lease: float) -> None:
    """A long interval in the settings cannot make a worker miss its own leases."""
    times = LeaseTimes(lease_seconds=lease, tick_seconds=tick)
    assert times.longest_tick_seconds <= lease / times.renewals / 2


class _Away(SessionStore):
    def renew(self, *_given: object, **_more: object) -> list[LeaseStatus]:
        message = "the server is away"
        raise StoreAwayError(message)


def test_a_lease_that_cannot_be_renewed_ends_by_the_clock(sessions: Sessions) -> None:
    """Events go on while the store is away, and when the lease has run out the turn ends."""
    away = _Away(sessions.redis, sessions.keys, sessions.clock)
    with held(sessions, away) as (keeper, lease):
        keeper.heard(lease)
        for _ in range(int(LEASE) - 1):
            look(sessions, keeper)
        assert lease.stop.reason is None
        look(sessions, keeper)
        assert lease.stop.reason is StopReason.LEASE_LOST


def look(sessions: Sessions, keeper: LeaseKeeper, seconds: float = 1.0) -> None:
    """Let some time pass, and both threads tick."""
    sessions.clock.forward(seconds)
    keeper.renew()
    keeper.guard()


class _Mute(SessionStore):
    answers_at = float("inf")  # by the clock of the session
    asked = 0

    def renew(self, *given: Any, **more: Any) -> list[LeaseStatus]:
        self.asked += 1
        if self.now() < self.answers_at:
            message = "the server says nothing"
            raise StoreAwayError(message)
        return super().renew(*given, **more)


def _mute(sessions: Sessions) -> _Mute:
    return _Mute(sessions.redis, sessions.keys, sessions.clock)


def test_work_goes_on_for_a_while_when_the_store_is_silent(sessions: Sessions) -> None:
    """Not for ever: another worker may be paid for the same job."""
    with held(sessions, _mute(sessions), PATIENT) as (keeper, lease):
        for _ in range(int(LEASE) + 59):
            look(sessions, keeper)
        assert lease.stop.reason is None
        look(sessions, keeper)
        assert lease.stop.reason is StopReason.LEASE_LOST


@pytest.mark.parametrize("is_taken", [False, True])
def test_a_store_that_is_back_says_whose_the_lease_is(sessions: Sessions, *, is_taken: bool) -> None:
    """It ran out half a minute ago: kept when nobody has taken it, and the work ends when somebody has."""
    mute = _mute(sessions)
    with held(sessions, mute, PATIENT) as (keeper, lease):
        for _ in range(int(LEASE) + 30):
            look(sessions, keeper)
        if is_taken:
            sessions.begin()
        mute.answers_at = 0.0
        look(sessions, keeper)
        assert lease.stop.reason is (StopReason.LEASE_LOST if is_taken else None)
        assert sessions.begin() == TurnRefusal.BUSY


@pytest.mark.parametrize("is_taken", [False, True])
def test_a_lease_in_doubt_is_asked_for_until_the_store_answers(sessions: Sessions, *, is_taken: bool) -> None:
    """Before a push: our own clock says that the lease may be another's by now, so it decides nothing."""
    mute = _mute(sessions)
    with held(sessions, mute, PATIENT) as (keeper, lease):
        sessions.clock.forward(LEASE + 1)
        if is_taken:
            sessions.begin()
        mute.answers_at = sessions.clock() + 600
        assert keeper.look(lease.kind, lease.thing).held is not is_taken
        assert sessions.clock() >= mute.answers_at


def test_a_lease_that_is_surely_ours_is_asked_about_all_the_same(sessions: Sessions) -> None:
    """Nobody can have it, but people may have cancelled: a push waits for the answer, and hears of that."""
    mute = _mute(sessions)
    with held(sessions, mute, PATIENT) as (keeper, lease):
        sessions.clock.forward(1)
        sessions.store.stop("builder-1", kind="cancel", reason="nobody wants it")
        mute.answers_at = sessions.clock() + LEASE / 3
        said = keeper.look(lease.kind, lease.thing)
        assert said.held
        assert said.stop == "cancel:nobody wants it"
        assert sessions.clock() >= mute.answers_at


def test_a_refusal_does_not_make_a_lease_certain(sessions: Sessions) -> None:
    """It lets the agent go on; a push waits for the server all the same."""
    full = _RefusingAll(sessions.redis, sessions.keys, sessions.clock)
    with held(sessions, full, PATIENT) as (keeper, lease):
        for _ in range(2 * int(LEASE)):
            look(sessions, keeper)
        assert lease.stop.reason is None
        assert not keeper.look(lease.kind, lease.thing).held


def test_events_do_not_wait_for_a_store_that_hangs(sessions: Sessions) -> None:
    """Who reads what an agent says would stand still, and with it the agent; the keeper's thread asks."""
    mute = _mute(sessions)
    with held(sessions, mute, PATIENT) as (keeper, lease):
        look(sessions, keeper)
        for _ in range(20):
            sessions.clock.forward(3.0)
            keeper.heard(lease)
        assert mute.asked == 1
        mute.answers_at = 0.0
        look(sessions, keeper)
        keeper.heard(lease)
        assert mute.asked == 3  # by a look, and by the event


class _RefusingAll(SessionStore):
    is_full = True

    def renew(self, *given: Any, **more: Any) -> list[LeaseStatus]:
        if self.is_full:
            message = "the server is full"
            raise StoreRefusedError(message)
        return super().renew(*given, **more)


def test_a_store_that_refuses_everybody_takes_no_lease(sessions: Sessions) -> None:
    """Full for ten leases: nobody else could win this one, so the agent goes on and keeps it after that."""
    full = _RefusingAll(sessions.redis, sessions.keys, sessions.clock)
    with held(sessions, full) as (keeper, lease):
        for _ in range(10 * int(LEASE)):
            look(sessions, keeper)
        assert lease.stop.reason is None
        full.is_full = False
        look(sessions, keeper)
        assert lease.stop.reason is None
        assert sessions.begin() == TurnRefusal.BUSY


def test_a_store_that_falls_silent_after_its_refusals_ends_the_lease(sessions: Sessions) -> None:
    """Others may be served by now, so what it said last protects for some seconds alone."""
    full = _RefusingAll(sessions.redis, sessions.keys, sessions.clock)
    with held(sessions, full) as (keeper, lease):
        for _ in range(2 * int(LEASE)):
            look(sessions, keeper)
        for _ in range(int(GRACE_SECONDS)):
            sessions.clock.forward(1)
            keeper.guard()
        assert lease.stop.reason is StopReason.LEASE_LOST


@pytest.mark.parametrize("is_taken", [False, True])
def test_a_process_that_stood_still_asks_first(sessions: Sessions, *, is_taken: bool) -> None:
    """A laptop that slept for an hour: the lease is kept, unless somebody has taken it."""
    with held(sessions) as (keeper, lease):
        look(sessions, keeper)
        sessions.clock.forward(3600)
        keeper.guard()
        assert lease.stop.reason is None
        if is_taken:
            sessions.begin()
        look(sessions, keeper)
        assert lease.stop.reason is (StopReason.LEASE_LOST if is_taken else None)


def test_a_process_that_stands_still_again_and_again_loses_its_lease(sessions: Sessions) -> None:
    """It is given time once; a store that says nothing then ends the lease."""
    away = _Away(sessions.redis, sessions.keys, sessions.clock)
    with held(sessions, away) as (keeper, lease):
        for _ in range(6):
            look(sessions, keeper, seconds=9)
        assert lease.stop.reason is StopReason.LEASE_LOST


def test_a_wall_clock_that_jumps_takes_no_lease(sessions: Sessions) -> None:
    """In a suspend the server's clock goes on, the process's does not: the next look extends the lease."""
    keeper = LeaseKeeper(BY_HAND, monotonic=lambda: 1.0)
    kind = turn_leases(sessions.store, LEASE)
    with keeper.holding(kind, HeldTurn("builder-1", 1)) as lease:
        keeper.renew()
        sessions.clock.forward(3600)
        keeper.renew()
        assert lease.stop.reason is None
        assert sessions.begin() == TurnRefusal.BUSY


def test_an_outage_is_said_once(sessions: Sessions) -> None:
    """However often the leases are asked for."""
    full = _RefusingAll(sessions.redis, sessions.keys, sessions.clock)
    keeper = LeaseKeeper(BY_HAND, monotonic=sessions.clock, outage=Outage("store"))
    kind = turn_leases(full, LEASE)
    with capture_logs() as said, keeper.holding(kind, HeldTurn("builder-1", 1)):
        for _ in range(5):
            look(sessions, keeper)
        full.is_full = False
        look(sessions, keeper)
    assert [line["event"] for line in said] == ["store.away", "store.back"]


@pytest.mark.parametrize(("kind", "reason"), [("stall", StopReason.STALL), ("cancel", StopReason.CANCEL)])
def test_wishes_reach_the_turn(sessions: Sessions, kind: str, reason: StopReason) -> None:
    """At the next tick."""
    with held(sessions) as (keeper, lease):
        sessions.store.stop("builder-1", kind=kind, reason="quiet")
        keeper.renew()
        assert lease.stop.reason is reason


class LeasedNames:
    """Grants leases of names; one that is `poisoned` cannot even be asked about."""

    def __init__(self, *, poisoned: str = "") -> None:
        self.poisoned = poisoned
        self.renewed: list[str] = []
        self.calls = 0

    def renew(self, names: Sequence[str], *, extend_seconds: float, **_: bool) -> Sequence[LeaseStatus]:
        """Keep all that were asked for."""
        self.calls += 1
        if self.poisoned in names:
            message = f"{self.poisoned} cannot be encoded"
            raise ValueError(message)
        self.renewed += names if extend_seconds else []
        return [LeaseStatus(held=True)] * len(names)

    def kind(self, *, quiet: bool = False) -> LeaseKind[str]:
        """Its leases; of a quiet one nobody asks anything."""
        asked_to = None if quiet else lambda _: StopReason.CANCEL
        return LeaseKind(name="name", lease_seconds=60, renew=self.renew, asked_to=asked_to)


def test_leases_of_a_kind_are_renewed_in_one_call() -> None:
    """However many there are; a kind through which nobody asks for anything is asked when it is due alone."""
    store, quiet, now = LeasedNames(), LeasedNames(), [0.0]
    keeper = LeaseKeeper(BY_HAND, monotonic=lambda: now[0])
    with ExitStack() as stack:
        for kind in (store.kind(), quiet.kind(quiet=True)):
            for name in "abc":
                stack.enter_context(keeper.holding(kind, name))
        keeper.renew()
        keeper.renew()
        assert (store.calls, quiet.calls) == (2, 1)
        now[0] = 20.0
        keeper.renew()
        assert (store.calls, quiet.calls) == (3, 2)
        assert store.renewed == list("abcabc")


def test_a_renewal_that_raises_does_not_stop_the_others() -> None:
    """The guilty lease is counted, and ends by the clock; its neighbours are kept."""
    store, now, bad, good = LeasedNames(poisoned="bad"), [0.0], StopSignal(), StopSignal()
    keeper = LeaseKeeper(BY_HAND, monotonic=lambda: now[0])
    kind = store.kind()
    with keeper.holding(kind, "bad", bad) as guilty, keeper.holding(kind, "good", good):
        for _ in range(4):
            now[0] += 20.0
            keeper.renew()
            keeper.guard()
        assert store.renewed == ["good"] * 4
        assert (bad.reason, good.reason) == (StopReason.LEASE_LOST, None)
        assert (guilty.faults, keeper.faults) == (4, 4)


def test_a_request_that_cannot_be_read_does_not_stop_the_others() -> None:
    """What somebody has asked of one holder is that one's alone."""

    def renew(names: Sequence[str], *, extend_seconds: float, **_: bool) -> Sequence[LeaseStatus]:
        assert extend_seconds >= 0
        return [LeaseStatus(held=True, stop="please") for _name in names]

    def unreadable(_request: str) -> StopReason:
        raise ValueError("nobody knows that reason")

    now, first, second = [0.0], StopSignal(), StopSignal()
    keeper = LeaseKeeper(BY_HAND, monotonic=lambda: now[0])
    kind: LeaseKind[str] = LeaseKind(name="name", lease_seconds=60, renew=renew, asked_to=unreadable)
    with keeper.holding(kind, "a", first) as one, keeper.holding(kind, "b", second) as other:
        now[0] = 30.0
        keeper.renew()
        assert (one.ends, other.ends) == (90.0, 90.0)
        assert keeper.faults in {2, 4}  # the keeper's own thread may have begun only now, and asked as well


def test_a_holder_that_raises_does_not_stop_the_others() -> None:
    """What listens to a stop signal is the holder's own code."""

    def broken() -> None:
        raise RuntimeError("the listener is broken")

    first, second = StopSignal(), StopSignal()
    keeper = LeaseKeeper(BY_HAND, monotonic=lambda: 0.0, draining=lambda: True)
    kind = LeasedNames().kind()
    with keeper.holding(kind, "a", first), keeper.holding(kind, "b", second):
        first._listeners.append(broken)  # noqa: SLF001 - `calling` would raise at once
        keeper.guard()
        assert (first.reason, second.reason) == (StopReason.DRAIN, StopReason.DRAIN)
        assert keeper.faults == 1


def test_a_chore_that_raises_ends_no_thread(redis_client: redis.Redis) -> None:
    """Claude Code prints lone surrogates, which no server takes: leases are renewed after that, too."""
    log, store = LogStore(redis_client, Keys("t")), LeasedNames()
    died: list[bool] = []
    keeper = LeaseKeeper(
        AT_ONCE, monotonic=lambda: 0.0, chores=[log.flush], on_death=lambda: died.append(True)
    )
    with keeper.holding(store.kind(), "a"):
        log.say("j1", "text", "half a face: \ud83d")
        wait_until(lambda: store.calls > 5, description="the thread has gone on")
    assert not died


def test_a_keeper_that_dies_gives_up_its_leases_and_ends_the_process() -> None:
    """Whatever it was: nobody would see these leases run out."""

    def broken() -> bool:
        raise SystemExit

    stop, died = StopSignal(), []
    keeper = LeaseKeeper(AT_ONCE, monotonic=lambda: 0.0, draining=broken, on_death=lambda: died.append(True))
    with keeper.holding(LeasedNames().kind(), "a", stop):
        wait_until(lambda: bool(died), description="the process is to end")
    assert stop.reason is StopReason.LEASE_LOST


def test_a_worker_that_is_to_end_exits_with_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its supervisor starts another one; exit code 0 would look as if somebody had stopped it."""
    monkeypatch.setattr(state, "should_stop", None)
    end_process()
    with pytest.raises(SystemExit) as ended:
        state.maybe_shutdown()
    assert ended.value.code == 70
