"""The doctor's findings about Redis, from what a server says about itself."""

from typing import Any

import pytest

from routing.store.redis.health import HealthFinding, ServerFacts, Status, judge

WELL = {
    "redis_version": "7.2.4",
    "role": "master",
    "aof_enabled": 1,
    "aof_last_write_status": "ok",
    "aof_last_bgrewrite_status": "ok",
    "maxmemory_policy": "noeviction",
    "used_memory": 1_000,
    "maxmemory": 0,
}


def findings(
    info: dict[str, Any] | None = None,
    settings: dict[str, str] | None = None,
    *,
    our_time: float = 1_000.0,
) -> dict[str, HealthFinding]:
    """The findings by check, for a server that is well but for `info` and `settings`."""
    asked: dict[str | None, str | None] = {"appendfsync": "everysec"}
    if settings is not None:
        asked = dict(settings.items())
    facts = ServerFacts(WELL | (info or {}), {}, asked, 1_000.0, our_time)
    return {finding.check: finding for finding in judge(facts)}


def test_a_fit_server_is_well_in_every_respect() -> None:
    """No remedy is offered where nothing is wrong."""
    for finding in findings().values():
        assert (finding.status, finding.remedy) == (Status.OK, "")


@pytest.mark.parametrize(
    ("info", "check", "status", "said"),
    [
        ({"redis_version": "6.0.16"}, "redis-version", Status.PROBLEM, "6.0.16 is too old"),
        ({"redis_version": "6.2.0"}, "redis-version", Status.OK, "6.2.0"),
        ({"redis_version": "10.0"}, "redis-version", Status.OK, "10.0"),
        ({"valkey_version": "9.1.2"}, "redis-version", Status.OK, "Valkey 9.1.2"),
        ({"redis_version": ""}, "redis-version", Status.PROBLEM, "unknown version"),
        ({"role": "slave", "master_host": "m", "master_port": 1}, "redis-role", Status.PROBLEM, "m:1"),
        ({"aof_enabled": 0}, "redis-append-only-file", Status.PROBLEM, "loses jobs"),
        ({"aof_last_write_status": "err"}, "redis-last-write", Status.PROBLEM, "aof_last_write_status"),
        ({"aof_last_bgrewrite_status": "err"}, "redis-last-write", Status.PROBLEM, "bgrewrite"),
        ({"maxmemory_policy": "allkeys-lru"}, "redis-eviction", Status.WARNING, "allkeys-lru"),
        (
            {"maxmemory_policy": "volatile-ttl", "maxmemory": 10_000},
            "redis-eviction",
            Status.PROBLEM,
            "volatile-ttl",
        ),
        ({"maxmemory": 2_000}, "redis-memory", Status.OK, "50%"),
        ({"maxmemory": 1_250}, "redis-memory", Status.WARNING, "80%"),
        ({"maxmemory": 1_052}, "redis-memory", Status.PROBLEM, "95%"),
    ],
)
def test_each_fault_is_found(info: dict[str, Any], check: str, status: Status, said: str) -> None:
    """Each check judges what it is about, says what it saw and, where something is wrong, what to do."""
    finding = findings(info)[check]
    assert finding.status == status
    assert said in finding.message
    assert bool(finding.remedy) == (status != Status.OK)


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        ({"appendfsync": "always"}, Status.OK),
        ({"appendfsync": "everysec"}, Status.OK),
        ({"appendfsync": "no"}, Status.WARNING),
        ({}, Status.WARNING),
    ],
)
def test_when_writes_reach_the_disk(settings: dict[str, str], status: Status) -> None:
    """Slow or unknown syncing is worth a warning."""
    assert findings(settings=settings)["redis-appendfsync"].status == status


@pytest.mark.parametrize(
    ("our_time", "status", "said"),
    [
        (1_000.5, Status.OK, "0.5 s ahead"),
        (997.0, Status.WARNING, "3.0 s behind"),
        (1_300.0, Status.PROBLEM, "300.0 s ahead"),
    ],
)
def test_clocks_that_differ(our_time: float, status: Status, said: str) -> None:
    """Five minutes are a problem, seconds a warning, and the message says who is ahead."""
    finding = findings(our_time=our_time)["clock"]
    assert finding.status == status
    assert said in finding.message
