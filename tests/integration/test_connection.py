"""Connections to a real server: waiting for it, and its errors in our words."""

import os
import signal
import socket
import socketserver
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from kombu import Connection

from routing.embedded.private_server import PrivateServer, ServerOptions
from routing.errors import SettingsError, StoreAwayError, StoreRefusedError, UnavailableError
from routing.store.redis.address import RedisAddress
from routing.store.redis.connection import connect
from routing.store.redis.faults import redis_errors
from tests.servers.faulty_proxy import faulty_proxy
from tests.servers.private_server import plain_client, private_server

TCP = ServerOptions(transport="tcp")


@contextmanager
def hurried(url: str) -> Iterator[redis.Redis]:
    """Our client with little patience."""
    with connect(
        url, patience_seconds=0.1, socket_timeout_seconds=0.5, connect_timeout_seconds=0.5
    ) as client:
        yield client


def free_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class _LineCutter(socketserver.StreamRequestHandler):
    """Answers every command but INCRBY; at that it cuts the line."""

    def handle(self) -> None:
        while header := self.rfile.readline():
            command, *_ = [self._part() for _ in range(int(header[1:]))]
            self.server.received.append(command)  # type: ignore[attr-defined] # ours, below
            if command == b"INCRBY":
                return
            self.wfile.write(b"+PONG\r\n" if command == b"PING" else b"+OK\r\n")

    def _part(self) -> bytes:
        length = int(self.rfile.readline()[1:])
        return self.rfile.read(length + 2)[:-2]


@contextmanager
def line_cutter() -> Iterator[tuple[str, list[bytes]]]:
    """The URL of a server that cuts the line at INCRBY, and the commands that it received."""
    received: list[bytes] = []
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _LineCutter) as server:
        server.received = received  # type: ignore[attr-defined] # handed to the handler
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"redis://127.0.0.1:{server.server_address[1]}/0", received
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("options", [ServerOptions(), TCP], ids=["unix", "tcp"])
def test_store_and_broker_urls_lead_to_the_same_server(tmp_path: Path, options: ServerOptions) -> None:
    """What Celery is given reaches the server that the store uses, in the same database."""
    with private_server(tmp_path, options) as server, connect(server.url) as client:
        address = RedisAddress.parse(server.url)
        with Connection(address.broker_url()) as broker, broker.SimpleQueue("somewhere") as queue:
            queue.put({"job": "1"})
            assert client.llen("somewhere") == 1
            queue.get(block=False).ack()


def test_server_that_is_down_is_unavailable_after_a_while() -> None:
    """Nobody listens: the error says what was being done, where, and what to do, and no password."""
    port = free_port()
    with (
        hurried(f"redis://:hunter2@127.0.0.1:{port}/0") as client,
        pytest.raises(UnavailableError) as caught,
        redis_errors("enqueuing a job"),
    ):
        client.get("key")
    said = str(caught.value)
    assert said.startswith(f"enqueuing a job failed: Redis at redis://***@127.0.0.1:{port}/0 does not answer")
    assert "coalmine doctor" in said
    assert "hunter2" not in said


def test_a_server_that_serves_nobody_is_not_one_that_does_not_answer(tmp_path: Path) -> None:
    """No listener, a proxy without its server, a refusal: nobody is served. Silence may concern us alone."""
    with private_server(tmp_path) as server, faulty_proxy(server.url) as proxy:
        urls = [f"redis://127.0.0.1:{free_port()}/0", f"unix://{tmp_path}/nobody.sock", proxy.url]
        proxy.reset()
        for url in urls:
            with hurried(url) as client, pytest.raises(StoreRefusedError), redis_errors("reading"):
                client.get("key")
        proxy.refuse("LOADING Redis is loading the dataset in memory")
        with hurried(proxy.url) as client, pytest.raises(StoreRefusedError), redis_errors("reading"):
            client.get("key")
        proxy.hang()
        with hurried(proxy.url) as client, pytest.raises(StoreAwayError) as silent, redis_errors("reading"):
            client.get("key")
        assert not isinstance(silent.value, StoreRefusedError)


def test_frozen_server_is_unavailable_after_the_time_limit(tmp_path: Path) -> None:
    """A server that accepts and says nothing holds a caller no longer than its time limit."""
    with private_server(tmp_path) as server, hurried(server.url) as client:
        client.ping()
        os.kill(server.pid, signal.SIGSTOP)
        try:
            with pytest.raises(UnavailableError, match="Timeout reading"), redis_errors("reading"):
                client.get("key")
        finally:
            os.kill(server.pid, signal.SIGCONT)


@pytest.mark.parametrize("options", [ServerOptions(), TCP], ids=["unix", "tcp"])
def test_call_waits_for_a_server_that_is_restarted(tmp_path: Path, options: ServerOptions) -> None:
    """A client in use finds the restarted server by itself; a call made meanwhile waits and succeeds."""
    with private_server(tmp_path, options) as server, connect(server.url, patience_seconds=20) as client:
        client.set("key", "kept")
        server.stop()
        answers: list[str | None] = []
        caller = threading.Thread(target=lambda: answers.append(client.get("key")))
        caller.start()
        server.start()
        caller.join()
        assert answers == ["kept"]


def test_idle_connections_cut_by_a_restart_are_noticed(tmp_path: Path) -> None:
    """The first command after a restart that happened while nobody called does not fail."""
    with private_server(tmp_path) as server, hurried(server.url) as client:
        client.set("key", "kept")
        server.stop()
        server.start()
        assert client.get("key") == "kept"


def test_connection_with_an_answer_left_on_it_is_not_used(redis_server: PrivateServer) -> None:
    """Its next reader would take that for its own; the same connection, once it was made anew, serves."""
    with connect(redis_server.url) as client:
        pool = client.connection_pool
        connection = pool.get_connection()
        connection.send_command("ECHO", "another's")
        assert connection.can_read(timeout=5)
        pool.release(connection)
        assert client.echo("mine") == "mine"
        assert pool.get_connection() is connection


def test_children_have_connections_of_their_own(redis_server: PrivateServer) -> None:
    """A forked one shares none with its parent, also where that was in use; and gives none of them back."""
    with connect(redis_server.url) as client:
        pool: Any = client.connection_pool
        held, idle = pool.get_connection(), pool.get_connection()
        pool.release(idle)
        with warnings.catch_warnings():  # of later Pythons, about threads that this test does not use
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            is_apart = False
            try:
                made = pool.get_connection()
                pool.release(held)
                is_apart = made not in {held, idle} and pool.get_connection() is not held and client.ping()
            finally:
                os._exit(0 if is_apart else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        pool.release(held)
        assert {pool.get_connection(), pool.get_connection()} == {held, idle}
        assert client.ping()


def test_no_more_connections_are_made_than_allowed(redis_server: PrivateServer) -> None:
    """A call that gets none fails, and those that were given back are used again."""
    with connect(redis_server.url, max_connections=1) as client:
        connection = client.connection_pool.get_connection()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        client.connection_pool.release(connection)
        assert client.ping()


def test_command_that_was_sent_is_not_sent_again() -> None:
    """When the line is cut before the answer, the caller hears of it; the command is not sent twice."""
    with line_cutter() as (url, received), connect(url) as client:
        with pytest.raises(UnavailableError, match="counting failed"), redis_errors("counting"):
            client.incr("count")
        assert client.ping()
        assert received.count(b"INCRBY") == 1


def test_full_server_is_unavailable_and_names_maxmemory(tmp_path: Path) -> None:
    """At maxmemory a plain write, a pipeline and a script are refused alike; reading goes on."""
    with private_server(tmp_path) as server, connect(server.url) as client:
        client.set("key", "kept")
        client.config_set("maxmemory", 1)
        script = client.register_script("return redis.call('SET', KEYS[1], ARGV[1])")
        with pytest.raises(UnavailableError, match="maxmemory"), redis_errors("writing"):
            client.set("more", "x")
        with pytest.raises(UnavailableError, match="maxmemory"), redis_errors("writing"):
            script(keys=["more"], args=["x"])
        with (
            pytest.raises(UnavailableError, match="maxmemory"),
            redis_errors("writing"),
            client.pipeline(transaction=False) as pipeline,
        ):
            pipeline.set("more", "x").execute()
        assert client.get("key") == "kept"


def test_replica_is_unavailable_for_writing(tmp_path: Path) -> None:
    """A write to a replica says that the URL must name the master."""
    with private_server(tmp_path, TCP) as master, private_server(tmp_path, TCP) as replica:
        address = urlsplit(master.url)
        with connect(replica.url, patience_seconds=0.1) as client:
            client.config_set("masterauth", address.password or "")
            client.replicaof("127.0.0.1", str(address.port))
            with pytest.raises(UnavailableError, match=r"read-only replica.*master"), redis_errors("writing"):
                client.set("key", "x")


def test_failing_disk_is_unavailable_for_writing(tmp_path: Path) -> None:
    """MISCONF, the answer of a server that cannot save, points at the disk."""
    with private_server(tmp_path) as server, connect(server.url) as client:
        script = client.register_script("return redis.error_reply('MISCONF Errors writing to the AOF file')")
        with (
            pytest.raises(UnavailableError, match=r"cannot save its data.*full disk"),
            redis_errors("writing"),
        ):
            script()


def test_wrong_password_is_the_settings_fault_and_is_not_repeated(tmp_path: Path) -> None:
    """Credentials are refused at once, as a mistake in the settings, and never shown."""
    with private_server(tmp_path, TCP) as server:
        port = urlsplit(server.url).port
        for user in ("", ":hunter2@", "nobody:hunter2@"):
            with connect(f"redis://{user}127.0.0.1:{port}/0", patience_seconds=60) as client:
                with pytest.raises(SettingsError, match="COALMINE_REDIS_URL") as caught:
                    redis_errors("reading")(client.get)("key")
                assert "hunter2" not in str(caught.value)


def test_user_without_the_right_gets_an_error_that_says_so(tmp_path: Path) -> None:
    """A command that the server's ACL forbids is a fault of the credentials."""
    with private_server(tmp_path) as server, plain_client(server.url) as admin:
        admin.acl_setuser(
            "reader", enabled=True, passwords=["+pw"], keys=["*"], categories=["+@read"], commands=["+ping"]
        )
        path = urlsplit(server.url).path
        with (
            connect(f"unix://reader:pw@{path}") as client,
            pytest.raises(SettingsError, match="ACL"),
            redis_errors("writing"),
        ):
            client.set("key", "x")


def test_faults_of_our_own_pass_unchanged(redis_server: PrivateServer) -> None:
    """A wrong command is a fault in the program, not of the server: it is not dressed up."""
    with connect(redis_server.url) as client, pytest.raises(redis.ResponseError), redis_errors("reading"):
        client.execute_command("NOSUCHCOMMAND")
