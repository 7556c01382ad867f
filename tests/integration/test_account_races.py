"""Accounts on a real server: claims that race for a closed one, and what waiting costs the server."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import redis

from routing.embedded.private_server import PrivateServer
from routing.store.jobs.job_store import ClaimRefusal
from tests.fleets.stepped_fleet import SteppedFleet
from tests.integration.racers import wait_at
from tests.servers.private_server import plain_client

RACERS = 10

ACCOUNT = "command:default"


def closed_fleet(client: redis.Redis, *, seconds: float) -> tuple[SteppedFleet, list[str]]:
    """A fleet whose only account is closed for a while, with its jobs."""
    fleet = SteppedFleet(client)
    fleet.add()
    jobs = [fleet.enqueue().job for _ in range(RACERS)]
    fleet.app.breakers.close(ACCOUNT, "*", until=fleet.clock() + seconds, words="the bill", by="ada")
    return fleet, jobs


def test_one_of_ten_tries_an_account_whose_time_has_come(
    redis_server: PrivateServer, redis_client: redis.Redis
) -> None:
    """However many claim at once, the others are held until it has been answered."""
    fleet, jobs = closed_fleet(redis_client, seconds=60)
    line = Barrier(RACERS)

    def claim(job: str) -> bool:
        with plain_client(redis_server.url) as client:
            own = SteppedFleet(client)
            own.clock.now = fleet.clock() + 61
            client.ping()
            wait_at(line)
            return own.app.jobs.claim(job, worker="w", lease_seconds=30.0) is not ClaimRefusal.LIMITED

    with ThreadPoolExecutor(RACERS) as pool:
        won = list(pool.map(claim, jobs))
    assert sum(won) == 1
    assert sorted(fleet.app.job_store.limited(RACERS)) == sorted(
        job for job, began in zip(jobs, won, strict=True) if not began
    )


def test_a_sweep_writes_nothing_while_all_wait(redis_client: redis.Redis) -> None:
    """It looks each second, for days: the file that the server appends to does not grow."""
    fleet, jobs = closed_fleet(redis_client, seconds=86_400)
    for job in jobs:
        assert fleet.app.jobs.claim(job, worker="w", lease_seconds=30.0) is ClaimRefusal.LIMITED
    fleet.app.job_store.release_limited(RACERS)

    def writes() -> int:
        found = redis_client.info("commandstats")
        return sum(found.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("hset", "hdel", "zadd"))

    before = writes()
    for _ in range(10):
        fleet.clock.forward(1)
        fleet.app.job_store.release_limited(RACERS)
    assert writes() == before
