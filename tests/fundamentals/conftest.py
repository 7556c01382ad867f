"""The tutorial's fleet: all in this process, on a server in memory, with a clock that the test moves."""

from collections.abc import Iterator

import pytest
import redis

from tests.fleets.forge_fleet import ForgeFleet
from tests.fleets.post import PostFleet
from tests.fleets.stepped_fleet import SteppedFleet
from tests.leaks import leaks


@pytest.fixture
def fleet(fake_redis: redis.Redis) -> Iterator[SteppedFleet]:
    """A fleet whose draws alternate between canary and champion; nothing that it wrote stays for ever."""
    made = SteppedFleet(fake_redis, draws=[0.25, 0.75] * 100)
    yield made
    assert leaks(fake_redis, made.app.keys) == []


@pytest.fixture
def forge_fleet(fake_redis: redis.Redis) -> Iterator[ForgeFleet]:
    """A fleet that serves a forge in memory; a round is all ticks once, and every agent pushes green work."""
    made = ForgeFleet(fake_redis)
    yield made
    made.stop()


@pytest.fixture
def post(fake_redis: redis.Redis) -> PostFleet:
    """A post office, and agents that write to each other."""
    return PostFleet(fake_redis)
