"""The doctor's look at real servers."""

import time
from pathlib import Path

import redis

from routing.store.redis.health import Status, look_at
from tests.servers.private_server import plain_client, private_server


def test_private_server_has_no_fault(redis_client: redis.Redis) -> None:
    """The server that we start ourselves passes all of the doctor's checks."""
    assert {finding.status for finding in look_at(redis_client, time.time)} == {Status.OK}


def test_server_with_faults_is_seen_through(tmp_path: Path) -> None:
    """Faults that are set on a real server are found, and nothing else."""
    with private_server(tmp_path) as server, plain_client(server.url) as client:
        client.config_set("appendonly", "no")
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("appendfsync", "no")
        found = look_at(client, lambda: time.time() + 300)
    wrong = {finding.check for finding in found if finding.status != Status.OK}
    assert wrong == {"redis-append-only-file", "redis-eviction", "redis-appendfsync", "clock"}


def test_server_that_forbids_config_is_judged_by_the_rest(tmp_path: Path) -> None:
    """Where CONFIG is not allowed, only what cannot be known is a warning."""
    with private_server(tmp_path) as server, plain_client(server.url) as client:
        client.acl_setuser("default", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-config"])
        found = look_at(client, time.time)
    assert {finding.check for finding in found if finding.status != Status.OK} == {"redis-appendfsync"}
