"""Fixtures that every suite may use. Under pytest-xdist each process of the suite has a server of its own."""

from collections.abc import Iterator

import fakeredis
import pytest
import redis

from routing.embedded.private_server import PrivateServer
from tests.servers.private_server import plain_client, private_server


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateServer]:
    """A real server for the whole run; tests that stop it or change its settings start their own."""
    with private_server(tmp_path_factory.mktemp("servers")) as server:
        yield server


@pytest.fixture
def redis_client(redis_server: PrivateServer) -> Iterator[redis.Redis]:
    """A client of the real server, which is empty before and after."""
    with plain_client(redis_server.url) as client:
        client.flushall()
        yield client
        client.flushall()


@pytest.fixture
def fake_redis() -> Iterator[redis.Redis]:
    """An empty in-process stand-in with Lua, for tests that need no real server."""
    with fakeredis.FakeRedis(decode_responses=True, server=fakeredis.FakeServer()) as client:
        yield client
