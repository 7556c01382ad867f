"""The tutorial's fleet: all in this process, on a server in memory, with a clock that the test moves."""

from collections.abc import Iterator

import pytest
import redis

from tests.fleets.stepped_fleet import SteppedFleet
from tests.leaks import leaks


@pytest.fixture
def fleet(fake_redis: redis.Redis) -> Iterator[SteppedFleet]:
    """A fleet whose draws alternate between canary and champion; it leaves nothing behind for ever."""
    made = SteppedFleet(fake_redis, draws=[0.25, 0.75] * 100)
    yield made
    assert leaks(fake_redis, made.app.keys) == []
