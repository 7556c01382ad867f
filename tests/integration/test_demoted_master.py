"""A master that was demoted: its connections live on, and are left for those of the new master.

It happens where an address leads to another server from now on (a proxy, a name, a service of a cluster), and
nobody closes what is open.
"""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from pydantic import SecretStr

from routing.errors import UnavailableError
from routing.jobs.job import JobRequest, Priority
from routing.store.fleet.switch import Switch
from routing.store.redis.connection import connect
from routing.store.redis.faults import redis_errors
from routing.store.redis.keys import Keys
from routing.templates.version import Snapshot
from tasks.composition.composition import compose
from tasks.settings.settings import Settings
from tests.servers.faulty_proxy import FaultyProxy, faulty_proxy
from tests.servers.private_server import plain_client, private_server
from tests.waiting import wait_until

#: One process of the suite makes what all of these share.
pytestmark = pytest.mark.xdist_group("demoted-master")


@dataclass(frozen=True)
class Pair:
    """Two servers, and the address that leads to the first."""

    proxy: FaultyProxy
    first: redis.Redis
    second: redis.Redis
    second_url: str

    def demote(self) -> None:
        """Make the first a replica, of a server that is not there; new connections still lead to it."""
        self.first.replicaof("127.0.0.1", "1")

    def switch(self) -> None:
        """Lead new connections to the second."""
        self.proxy.lead_to(self.second_url)


@contextmanager
def pair(folder: Path) -> Iterator[Pair]:
    """Both servers, empty."""
    with (
        private_server(folder) as first,
        private_server(folder) as second,
        plain_client(first.url) as of_first,
        plain_client(second.url) as of_second,
        faulty_proxy(first.url) as proxy,
    ):
        yield Pair(proxy, of_first, of_second, second.url)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """One pair for all tests; each begins with the first as the master."""
    with pair(tmp_path_factory.mktemp("pair")) as made:
        yield made


@pytest.fixture
def both(servers: Pair) -> Pair:
    """The pair as at its start."""
    servers.first.replicaof("NO", "ONE")
    for server in (servers.first, servers.second):
        server.flushall()
        server.script_flush()
    servers.proxy.lead_to(f"unix://{servers.first.connection_pool.connection_kwargs['path']}")
    return servers


def test_write_finds_the_new_master(both: Pair) -> None:
    """A command and a script alike, although nobody closed their connections."""
    with connect(both.proxy.url) as client:
        client.set("key", "1")
        switch = Switch(client, Keys("t"))
        assert switch.pause("lunch")
        both.demote()
        both.switch()
        client.set("key", "2")
        assert switch.pause("lunch")
    assert both.second.get("key") == "2"
    assert both.second.get("t:paused") == "lunch"


def test_batch_of_jobs_is_accepted_by_the_new_master(both: Pair) -> None:
    """Those that a replica refused together are sent together again, each once."""
    for url in (both.proxy.url, both.second_url):
        with closing(compose(Settings(redis_url=SecretStr(url)))) as there:
            there.templates.add("worker", Snapshot(prompt="work", command="true"))
    requests = [JobRequest(template="worker", task=str(number)) for number in range(3)]
    with closing(compose(Settings(redis_url=SecretStr(both.proxy.url)))) as parts:
        parts.mailbox.enqueue_many(requests)
        both.demote()
        both.switch()
        jobs = {enqueued.job for enqueued in parts.mailbox.enqueue_many(requests)}
    assert both.second.zcard("coalmine:jobs") == 3
    assert set(both.second.zrange("coalmine:jobs", 0, -1)) == jobs


def test_connections_that_only_read_are_left_as_well(both: Pair) -> None:
    """They would never be refused, and show what was true before for ever."""
    with connect(both.proxy.url) as client:
        pool = client.connection_pool
        others = [pool.get_connection() for _ in range(3)]
        for connection in others:
            pool.release(connection)
        both.demote()
        both.switch()
        client.set("key", "new")
        held = [pool.get_connection() for _ in range(3)]
        for connection in held:
            connection.send_command("GET", "key")
            assert connection.read_response() == "new"
            pool.release(connection)


def test_call_waits_until_the_address_leads_to_a_master(both: Pair) -> None:
    """Connections that still lead to the replica are not settled for."""
    with connect(both.proxy.url, patience_seconds=30) as client:
        client.set("key", "1")
        both.demote()
        done: list[object] = []
        caller = threading.Thread(target=lambda: done.append(client.set("key", "2")))
        refused = both.first.info("stats")["total_connections_received"]
        caller.start()
        wait_until(
            lambda: both.first.info("stats")["total_connections_received"] > refused + 2,
            description="the replica is connected to again",
        )
        both.switch()
        caller.join()
        assert done == [True]
    assert both.second.get("key") == "2"


def test_replica_for_good_is_unavailable(both: Pair) -> None:
    """The error says what the server is, and what to set."""
    with connect(both.proxy.url, patience_seconds=0.1) as client:
        client.set("key", "1")
        both.demote()
        with pytest.raises(UnavailableError, match=r"read-only replica.*name the master"), redis_errors("a"):
            client.set("key", "2")


def test_publisher_of_the_broker_leaves_the_replica(both: Pair) -> None:
    """Beat, web and command line publish with connections that they keep: the refusal costs one message."""
    settings = Settings(redis_url=SecretStr(both.proxy.url), broker_url=SecretStr(both.proxy.url))
    with closing(compose(settings, patience_seconds=1)) as parts:
        publisher = parts.publisher
        publisher.publish("0123456789abcdef", "champion", Priority.NORMAL)
        both.demote()
        both.switch()
        with pytest.raises(UnavailableError, match="replica"):
            publisher.publish("0123456789abcdef", "champion", Priority.NORMAL)
        publisher.publish("0123456789abcdef", "champion", Priority.NORMAL)
        assert publisher.depth("champion") == 1
