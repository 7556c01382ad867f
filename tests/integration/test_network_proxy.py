"""The proxy of a worker with real connections; the test makes the listening sockets, on its own loopback."""

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from routing.sandbox.profile import Injection
from tasks.agents.proxy.hosts import HostRules
from tasks.agents.proxy.network_proxy import NetworkGate, NetworkProxy
from tests.waiting import wait_until


@dataclass(kw_only=True)
class ProxiedHost:
    """A server of the test's: what it was asked."""

    port: int = 0
    heard: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its address and port."""
        return f"127.0.0.1:{self.port}"


@pytest.fixture
def host() -> Iterator[ProxiedHost]:
    """A server that answers every request in chunks."""
    made = ProxiedHost()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Keep the output clean."""

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            if self.headers.get("transfer-encoding") == "chunked":
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            made.heard.append((f"{self.command} {self.path}", dict(self.headers), body))
            self.send_response(200)
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"5\r\nhello\r\n0\r\n\r\n")

        def do_POST(self) -> None:
            self.do_GET()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield made
        server.shutdown()
        thread.join()


@dataclass(kw_only=True)
class Out:
    """The inside of one turn's gate."""

    gate: NetworkGate
    ports: list[int]  # at which this test listens in place of a sandbox
    said: list[str]

    def proxied(self) -> http.client.HTTPConnection:
        """A connection to the proxy."""
        return http.client.HTTPConnection("127.0.0.1", self.ports[0], timeout=20)

    def injected(self) -> http.client.HTTPConnection:
        """A connection to where a secret is added."""
        return http.client.HTTPConnection("127.0.0.1", self.ports[1], timeout=20)


Opener = Callable[..., Out]


@pytest.fixture
def opened() -> Iterator[Opener]:
    """Opens gates; all are closed after the test."""
    gates = []

    def open_gate(*patterns: str, inject: tuple[Injection, ...] = (), **secrets: str) -> Out:
        said: list[str] = []
        rules = HostRules(patterns=patterns)
        gate = NetworkProxy().gate(rules, injections=inject, secrets=secrets, say=said.append)
        gates.append(gate)
        listening = [socket.create_server(("127.0.0.1", 0)) for _ in gate.ports]
        ports = [one.getsockname()[1] for one in listening]
        gate.listen(listening)
        return Out(gate=gate, ports=ports, said=said)

    yield open_gate
    for gate in gates:
        gate.close()


def test_a_named_host_is_reached_and_noted(opened: Opener, host: ProxiedHost) -> None:
    """By plain HTTP, with its body and its answer whole; once in the log, however often it is asked."""
    out = opened(host.name)
    for number in range(2):
        connection = out.proxied()
        connection.request("POST", f"http://{host.name}/{number}", body=b"x" * 100_000)
        assert connection.getresponse().read() == b"hello"
        connection.close()
    assert [request for request, _, _ in host.heard] == ["POST /0", "POST /1"]
    assert {len(body) for _, _, body in host.heard} == {100_000}
    assert out.said == [f"network: {host.name} reached"]


def test_a_tunnel_leads_to_a_named_host(opened: Opener, host: ProxiedHost) -> None:
    """What goes through it is not looked at: it is TLS, as a rule."""
    out = opened(host.name)
    connection = out.proxied()
    connection.set_tunnel("127.0.0.1", host.port)
    connection.request("GET", "/through")
    assert connection.getresponse().read() == b"hello"
    connection.close()


@pytest.mark.parametrize("tunnel", [True, False])
def test_any_other_host_is_refused_and_noted(opened: Opener, host: ProxiedHost, *, tunnel: bool) -> None:
    """Before anything is looked up or connected."""
    out = opened("example.org")
    connection = out.proxied()
    if tunnel:
        connection.set_tunnel("127.0.0.1", host.port)
        with pytest.raises(OSError, match="403"):
            connection.request("GET", "/")
    else:
        connection.request("GET", f"http://{host.name}/")
        answer = connection.getresponse()
        assert answer.status == 403
        assert "not among the hosts" in answer.read().decode()
    connection.close()
    assert host.heard == []
    assert out.said == [f"network: {host.name} refused: it is not in the version's `allow`"]


@pytest.mark.parametrize("name", ["127.1", "2130706433", "0x7f.1", "0177.0.0.1"])
@pytest.mark.parametrize("tunnel", [True, False])
def test_a_name_that_leads_to_this_machine_is_not_followed(
    opened: Opener, host: ProxiedHost, name: str, *, tunnel: bool
) -> None:
    """Not even an allowed one: to us these are names, to every machine its loopback."""
    found = {one[4][0] for one in socket.getaddrinfo(name, host.port, type=socket.SOCK_STREAM)}
    assert found == {"127.0.0.1"}, "else this proves nothing"
    out = opened(f"{name}:{host.port}")
    connection = out.proxied()
    if tunnel:
        connection.set_tunnel(name, host.port)
        with pytest.raises(OSError, match="502"):
            connection.request("GET", "/")
    else:
        connection.request("GET", f"http://{name}:{host.port}/")
        assert connection.getresponse().status == 502
    connection.close()
    assert host.heard == []
    assert "not reached" in out.said[0]
    assert "127.0.0.1, where nothing is reached by a name" in out.said[0]


def test_a_secret_is_added_outside(opened: Opener, host: ProxiedHost) -> None:
    """In place of what the program sends, in chunks too; the program's other headers stay."""
    inject = Injection.model_validate(
        {"host": host.name, "header": "Authorization", "prefix": "Bearer ", "secret": "KEY", "tls": False}
    )
    out = opened(inject=(inject,), KEY="sk-1")
    connection = out.injected()
    headers = {"Authorization": "Bearer held", "X-Mine": "1", "Host": "evil.example.org"}
    connection.request("POST", "/v1", body=iter([b"a", b"bc"]), headers=headers, encode_chunked=True)
    assert connection.getresponse().read() == b"hello"
    connection.close()
    ((request, heard, body),) = host.heard
    assert (request, body) == ("POST /v1", b"abc")
    heard = {name.lower(): value for name, value in heard.items()}
    assert (heard["authorization"], heard["x-mine"], heard["host"]) == ("Bearer sk-1", "1", host.name)
    assert out.said == [f"network: {host.name} reached, and KEY added"]


def test_a_host_with_a_secret_is_not_open_to_other_requests(opened: Opener, host: ProxiedHost) -> None:
    """The proxy itself does not lead there unless the profile says so."""
    inject = Injection.model_validate(
        {"host": host.name, "header": "x-api-key", "secret": "KEY", "tls": False}
    )
    out = opened(inject=(inject,), KEY="sk-1")
    connection = out.proxied()
    connection.request("GET", f"http://{host.name}/")
    assert connection.getresponse().status == 403
    connection.close()


def test_a_second_request_does_not_slip_through(opened: Opener, host: ProxiedHost) -> None:
    """What follows a request's body on its connection is not sent to the host."""
    out = opened(host.name)
    with socket.create_connection(("127.0.0.1", out.ports[0]), 20) as connection:
        first = f"GET http://{host.name}/first HTTP/1.1\r\nContent-Length: 2\r\n\r\nab"
        connection.sendall(f"{first}GET /second HTTP/1.1\r\nHost: other\r\n\r\n".encode())
        answered = b""
        while data := connection.recv(4096):
            answered += data
    assert answered.count(b"HTTP/1.1 200") == 1
    assert [request for request, _, _ in host.heard] == ["GET /first"]


@pytest.mark.parametrize("text", [b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET\r\n\r\n", b"A" * 70_000, b""])
def test_nonsense_ends_its_connection_alone(opened: Opener, host: ProxiedHost, text: bytes) -> None:
    """The next one is served."""
    out = opened(host.name)
    with socket.create_connection(("127.0.0.1", out.ports[0]), 20) as connection:
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(4096)[:12] in {b"HTTP/1.1 400", b""}
    connection_ = out.proxied()
    connection_.request("GET", f"http://{host.name}/")
    assert connection_.getresponse().read() == b"hello"
    connection_.close()


def test_nothing_is_served_after_the_turn(opened: Opener, host: ProxiedHost) -> None:
    """Its connections end with it, also those that are open."""
    out = opened(host.name)
    with socket.create_connection(("127.0.0.1", out.ports[0]), 20) as connection:
        connection.sendall(f"CONNECT {host.name} HTTP/1.1\r\n\r\n".encode())
        assert b"200" in connection.recv(4096)
        out.gate.close()
        assert connection.recv(4096) == b""
    out.gate.close()

    def refused() -> bool:
        with socket.socket() as again:
            return again.connect_ex(("127.0.0.1", out.ports[0])) != 0

    wait_until(refused, description="nobody listens any longer")


def test_a_gate_that_is_closed_at_once_leaves_nothing() -> None:
    """A program may end before its gate has begun to answer."""
    gate = NetworkProxy().gate(HostRules(), secrets={}, say=print)
    listening = socket.create_server(("127.0.0.1", 0))
    gate.listen([listening])
    gate.close()
    assert listening.fileno() == -1
