"""A private server that dies while a supervisor keeps it and its programs running."""

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.local.managed_server import SERVER_NAME
from console.local.program import Program, RestartPolicy
from console.local.supervisor import OWN_NAME, ProgramFailedError, Supervisor
from routing.embedded.private_server import PrivateServer, ServerOptions
from tests.servers.private_server import plain_client, private_server
from tests.waiting import wait_until

QUICK = RestartPolicy(first_pause_seconds=0.01, longest_pause_seconds=0.05, quick_deaths_allowed=3)

#: Says when it is asked to end, and ends once a file is there.
SLOW = """
import os, pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: os.write(1, b"asked\\n"))
print("ready", flush=True)
while not pathlib.Path(sys.argv[1]).exists():
    time.sleep(0.01)
"""


@pytest.fixture(params=["tcp", "unix"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PrivateServer]:
    """A server that runs before its supervisor does."""
    with private_server(tmp_path, ServerOptions(transport=request.param)) as running:
        yield running


def programs(end: Path = Path("/never")) -> list[Program]:
    """One program beside the server."""
    return [Program(name="program", argv=(sys.executable, "-c", SLOW, str(end)))]


def kill(server: PrivateServer) -> None:
    """As the kernel does when memory is short."""
    os.kill(server.pid, signal.SIGKILL)


def test_a_killed_server_goes_on_from_its_files_at_its_address(server: PrivateServer) -> None:
    """What was acknowledged is there, clients need no new address, it is said once, programs run on."""
    lines: list[tuple[str, str]] = []
    with Supervisor(
        programs(), on_line=lambda *line: lines.append(line), server=server, policy=QUICK, grace_seconds=0.1
    ) as supervisor:
        address, beside = server.url, supervisor.pid("program")
        with plain_client(address) as client:
            client.set("acknowledged", "yes")
            kill(server)
            wait_until(lambda: supervisor.starts(SERVER_NAME) == 2, description="it is started again")
            wait_until(lambda: supervisor.pid(SERVER_NAME) is not None, description="it answers")
        assert server.url == address
        with plain_client(address) as client:
            assert client.get("acknowledged") == "yes"
        assert supervisor.pid("program") == beside
        assert (supervisor.starts(SERVER_NAME), supervisor.starts("program")) == (2, 1)
    assert server.alive, "who started it stops it"
    said = [line for name, line in lines if name == OWN_NAME and line.startswith(SERVER_NAME)]
    assert said == [
        "redis ended (killed by SIGKILL)",
        "redis is started again in 0.01 s",
        f"redis was started again from its files (process {server.pid})",
    ]


def test_a_server_that_dies_while_programs_end_is_started_again(
    server: PrivateServer, tmp_path: Path
) -> None:
    """They hand their jobs back to it."""
    lines: list[str] = []
    supervisor = Supervisor(
        programs(tmp_path / "end"), on_line=lambda _, line: lines.append(line), server=server, policy=QUICK,
        grace_seconds=60.0,
    )  # fmt: skip
    with supervisor:
        wait_until(lambda: "ready" in lines, description="the program runs")
        stopping = threading.Thread(target=supervisor.stop)
        stopping.start()
        wait_until(lambda: "asked" in lines, description="the program is asked to end")
        kill(server)
        wait_until(lambda: supervisor.starts(SERVER_NAME) == 2, description="the server is started again")
        wait_until(lambda: supervisor.pid(SERVER_NAME) is not None, description="it answers")
        (tmp_path / "end").touch()
        stopping.join()
    assert server.alive
    assert "program ended (exit code 0)" in lines


def test_a_server_that_cannot_start_again_ends_everything_with_its_last_words(tmp_path: Path) -> None:
    """Another program has its port by then; the programs are not waited for."""
    policy = RestartPolicy(first_pause_seconds=1.0, quick_deaths_allowed=2)  # time to take the port
    with private_server(tmp_path, ServerOptions(transport="tcp")) as server:
        with Supervisor(
            programs(), on_line=lambda *_: None, server=server, policy=policy, grace_seconds=0.1
        ) as supervisor:
            port = int(server.url.rpartition(":")[2].partition("/")[0])
            with socket.socket() as squatter:
                squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                kill(server)
                wait_until(lambda: _takes(squatter, port), description="the port is taken")
                wait_until(lambda: not supervisor.running, description="the supervisor has given up")
            assert supervisor.pid("program") is None
            with pytest.raises(ProgramFailedError, match=r"(?s)redis died.*ddress already in use"):
                supervisor.raise_for_failure()
        assert not server.alive


def _takes(squatter: socket.socket, port: int) -> bool:
    try:
        squatter.bind(("127.0.0.1", port))
    except OSError:
        return False
    squatter.listen()
    return True
