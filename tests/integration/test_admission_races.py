"""Claims that race on a real server never exceed a limit."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import redis

from routing.embedded.private_server import PrivateServer
from tests.fleets.stepped_fleet import SteppedFleet
from tests.integration.racers import wait_at
from tests.servers.private_server import plain_client

RACERS = 10


@pytest.mark.parametrize(
    ("limits", "repository"),
    [({"agents_at_once": 3}, ""), ({"per_repository": 3}, "local:shop")],
    ids=["fleet", "repository"],
)
def test_ten_claims_at_a_limit_of_three(
    redis_server: PrivateServer, redis_client: redis.Redis, limits: dict[str, int], repository: str
) -> None:
    """Three win, seven wait: the step that wins a lease counts those that are won."""
    fleet = SteppedFleet(redis_client, job=limits)
    fleet.add()
    jobs = [fleet.enqueue(repository=repository).job for _ in range(RACERS)]
    line = Barrier(RACERS)

    def claim(job: str) -> bool:
        with plain_client(redis_server.url) as client:
            own = SteppedFleet(client, job=limits)
            client.ping()
            wait_at(line)
            return not isinstance(own.app.jobs.claim(job, worker="w", lease_seconds=30.0), str)

    with ThreadPoolExecutor(RACERS) as pool:
        won = list(pool.map(claim, jobs))
    assert sum(won) == 3
    used = fleet.app.job_store.occupancy()
    assert (used.running, used.held) == (3, 7)
