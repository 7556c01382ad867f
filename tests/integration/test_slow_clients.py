"""Clients that send, or read, as slowly as they like: they are closed, and others are served meanwhile."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass

import httpx
import pytest
from fastapi import FastAPI
from starlette.responses import Response

from console.web.bounded_protocol import ConnectionTable
from console.web.listening import listen
from console.web.open_connections import ConnectionLimits, Phase
from console.web.server import BoundedServer
from tests.waiting import slowdown, wait_until

#: One process of the suite makes what all of these share.
pytestmark = pytest.mark.xdist_group("slow-clients")

#: Seconds that a connection may be in any phase.
QUICK = 0.4

#: So that no phase ends while a test looks at something else.
NEVER = 600.0

HEALTHZ = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@dataclass(frozen=True)
class Door:
    """A server in a thread of this process."""

    port: int
    table: ConnectionTable
    release: threading.Event  # ends the requests that wait

    def connect(self, sent: bytes = b"", *, from_address: str = "127.0.0.1") -> socket.socket:
        """A client that has sent something, from an address of this machine."""
        line = socket.create_connection(
            ("127.0.0.1", self.port), timeout=20 * slowdown(), source_address=(from_address, 0)
        )
        with suppress(OSError):  # it may be closed by now
            line.sendall(sent)
        return line

    def get(self, path: str) -> int:
        """The status of an answer to somebody who asks once."""
        with httpx.Client(trust_env=False, timeout=20 * slowdown()) as client:
            return client.get(f"http://127.0.0.1:{self.port}{path}").status_code


def app_that_waits(release: threading.Event) -> FastAPI:
    """`/healthz`; `/wait`, which is answered when the test says so; `/long`, whose answer is long."""
    app = FastAPI()

    @app.get("/healthz")
    async def healthz() -> str:
        return "ok"

    @app.get("/wait")
    async def wait() -> str:
        await asyncio.to_thread(release.wait)
        return "released"

    @app.get("/long")
    async def long() -> Response:
        return Response(b"x" * 20_000_000)

    return app


@contextmanager
def served(limits: ConnectionLimits, *, seconds: float) -> Iterator[Door]:
    """A door with these limits; each phase may take so many seconds."""
    ready, release = threading.Event(), threading.Event()
    table = ConnectionTable(limits, dict.fromkeys(Phase, seconds))
    server = BoundedServer(app_that_waits(release), table, on_ready=ready.set)
    with listen("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            assert ready.wait(20 * slowdown())
            yield Door(listener.getsockname()[1], table, release)
        finally:
            release.set()
            server.should_exit = server.force_exit = True
            thread.join()


@pytest.fixture(scope="module")
def quick() -> Iterator[Door]:
    """A door that gives each phase little time."""
    with served(ConnectionLimits(), seconds=QUICK) as door:
        yield door


def is_closed(line: socket.socket, *, drip: bytes) -> bool:
    """Whether the server has closed a connection, of which a further piece is sent before each look."""
    line.settimeout(0.05)
    try:
        line.sendall(drip)
        return line.recv(65_536) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


@pytest.mark.parametrize(
    ("sent", "drip"),
    [
        (b"", b""),
        (b"GET /healthz HTT", b""),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"s"),
        (b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n", b"s"),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n", b""),
        (b"POST /none HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\ns\r\n"),
        (HEALTHZ, b""),
        (HEALTHZ + b"GET /hea", b"l"),
    ],
    ids=["nothing", "a line", "headers", "unread body", "withheld body", "chunks", "idle", "second request"],
)
def test_client_that_does_not_come_to_an_end_is_closed(quick: Door, sent: bytes, drip: bytes) -> None:
    """From the beginning of what it is at: a byte now and then gains nothing."""
    with closing(quick.connect(sent)) as line:
        wait_until(lambda: is_closed(line, drip=drip), description="the server closes it")


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n", id="long"),
        pytest.param(HEALTHZ * 50_000, id="many", marks=pytest.mark.long),
    ],
)
def test_client_that_does_not_read_is_closed(quick: Door, asked: bytes) -> None:
    """Neither one long answer nor many short ones wait for it."""
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.settimeout(20 * slowdown())
    with closing(line):
        line.connect(("127.0.0.1", quick.port))
        sender = threading.Thread(target=lambda: _send(line, asked))
        sender.start()
        sender.join(timeout=0.2)
        wait_until(lambda: not quick.table.held, description="the server has closed it")
        line.shutdown(socket.SHUT_RDWR) if sender.is_alive() else None
        sender.join()


def _send(line: socket.socket, asked: bytes) -> None:
    with suppress(OSError):
        line.sendall(asked)


def answered(door: Door, lines: list[socket.socket], path: str) -> int:
    """The status that a newcomer gets; everybody else is as before."""
    status = door.get(path)
    assert len(door.table.held) <= len(lines) + 1
    return status


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing", marks=pytest.mark.long),
        pytest.param(b"GET / HTTP/1.1\r\nHost: ", id="headers"),
        pytest.param(
            b"POST /none HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", id="body", marks=pytest.mark.long
        ),
    ],
)
@pytest.mark.parametrize("spread", [1, 60], ids=["one address", "many addresses"])
def test_newcomer_is_served_while_slow_clients_hold_all_places(sent: bytes, spread: int) -> None:
    """From the same address, and from others: the one that has sent least, and waits longest, gives way."""
    with served(ConnectionLimits(most=40, of_address=30), seconds=NEVER) as door:
        lines = [
            door.connect(sent, from_address=f"127.0.0.{2 + number % spread}" if spread > 1 else "127.0.0.1")
            for number in range(60)
        ]
        try:
            assert [answered(door, lines, path) for path in ("/healthz", "/healthz", "/none")] == [
                200,
                200,
                404,
            ]
            assert len(door.table.held) <= 40
        finally:
            for line in lines:
                line.close()


def test_health_is_answered_while_all_places_wait_for_answers() -> None:
    """Everything else is refused until there is room, and nobody who waits is closed."""
    with served(ConnectionLimits(most=40, of_address=5), seconds=NEVER) as door:
        lines = [door.connect(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(5)]
        try:
            wait_until(_all_wait(door, 5), description="five requests are at work")
            assert (door.get("/healthz"), door.get("/none")) == (200, 503)
            door.release.set()
            for line in lines:
                assert line.recv(65_536).startswith(b"HTTP/1.1 200 ")
        finally:
            for line in lines:
                line.close()


def _all_wait(door: Door, number: int) -> Callable[[], bool]:
    return lambda: [one.phase for one in list(door.table.held)].count(Phase.ANSWER) == number
