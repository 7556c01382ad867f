"""Chores on a host."""

from routing.errors import UnavailableError
from tasks.work.host_keeper import Chore, HostKeeper
from tests.waiting import wait_until


class KeeperClock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


def test_chore_is_done_when_the_clock_went_back() -> None:
    """A process that is moved to a younger machine does not wait for the time that it had."""
    done: list[str] = []
    clock = KeeperClock()
    clock.now = 9_000.0
    keeper = HostKeeper(
        [Chore(name="often", every_seconds=2, do=lambda: done.append("often"))], monotonic=clock
    )
    for clock.now in (9_000.0, 100.0, 101.0, 102.0):
        keeper.do_what_is_due()
    assert len(done) == 3


def test_chores_are_done_at_once_and_then_at_their_intervals() -> None:
    """Each has its own."""
    done: list[str] = []
    clock = KeeperClock()
    chores = [
        Chore(name="often", every_seconds=2, do=lambda: done.append("often")),
        Chore(name="seldom", every_seconds=5, do=lambda: done.append("seldom")),
    ]
    keeper = HostKeeper(chores, monotonic=clock)
    for clock.now in (0.0, 1.0, 2.0, 3.0, 4.0, 5.0):
        keeper.do_what_is_due()
    assert done == ["often", "seldom", "often", "often", "seldom"]


def test_a_chore_that_fails_keeps_neither_itself_nor_others_from_their_turn() -> None:
    """The store may be away, or a folder be full of surprises."""
    done: list[str] = []
    clock = KeeperClock()

    def fail() -> None:
        done.append("failing")
        message = "the store is away"
        raise UnavailableError(message)

    chores = [
        Chore(name="failing", every_seconds=2, do=fail),
        Chore(name="other", every_seconds=2, do=lambda: done.append("other")),
    ]
    keeper = HostKeeper(chores, monotonic=clock)
    for clock.now in (0.0, 2.0):
        keeper.do_what_is_due()
    assert done == ["failing", "other"] * 2
    assert keeper.faults == 2


def test_the_thread_begins_at_once_and_ends_when_asked() -> None:
    """A worker that has just started looks for orphans before it does anything else."""
    done: list[str] = []
    keeper = HostKeeper([Chore(name="one", every_seconds=60, do=lambda: done.append("one"))])
    keeper.start()
    wait_until(lambda: done == ["one"], description="the chore is done")
    keeper.stop()
