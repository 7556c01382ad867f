"""When a worker takes messages: while it has places, and beyond them for jobs that take no time."""

from types import SimpleNamespace
from typing import Any

import pytest

from tasks.broker_connection import HintQoS
from tasks.places import QUICK_SECONDS, Places


class Worker:
    """One with two places."""

    def __init__(self) -> None:
        self.now, self.held, self.begun = 0.0, 0, 0
        self.places = Places(
            lambda: 2, held=lambda: self.held, begun=lambda: self.begun, monotonic=lambda: self.now
        )

    def takes(self, jobs: int, *, seconds: float) -> None:
        """Begin some jobs, one after the other, each of which takes so long and has ended then."""
        for _ in range(jobs):
            self.begun += 1
            self.places.is_full()
            self.now += seconds


@pytest.fixture
def worker() -> Worker:
    """A worker that is idle."""
    return Worker()


def test_a_worker_takes_as_many_messages_as_it_has_places(worker: Worker) -> None:
    """Its places filled at once: those jobs may take an hour, and another worker may be idle."""
    assert not worker.places.is_full()
    worker.held, worker.begun = 2, 2
    assert worker.places.is_full()
    worker.held = 1
    assert not worker.places.is_full()


def test_a_worker_whose_jobs_take_no_time_has_the_next_at_hand(worker: Worker) -> None:
    """Until they take longer again."""
    worker.places.is_full()
    worker.takes(6, seconds=QUICK_SECONDS / 10)
    worker.held = 2
    assert not worker.places.is_full()
    worker.now += QUICK_SECONDS
    assert worker.places.is_full()


def test_a_look_that_finds_no_room_is_noted(worker: Worker) -> None:
    """Until somebody who frees a place has seen it."""
    worker.held, worker.begun = 2, 2
    worker.places.is_full()
    worker.held = 0
    assert not worker.places.is_full()
    assert worker.places.turned_away


def test_the_channel_of_a_full_worker_asks_for_nothing(worker: Worker) -> None:
    """And one of commands and events, which has no places, always does."""
    channel: Any = SimpleNamespace(do_restore=False)
    made = HintQoS(channel=channel, prefetch_count=2)
    worker.held = 2
    assert made.can_consume()
    made.places = worker.places
    assert not made.can_consume()
    worker.held = 0
    assert made.can_consume()
