"""The proxy of a worker process, and the gates through which its turns reach it.

One thread with one event loop for all turns of a process. A gate belongs to one turn: `listen` for each
process that is started, `close` once. What listens on the loopback of a sandbox's own network is made there
from outside; connections to it are answered here.
"""

import asyncio
import socket
import ssl
import threading
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from routing.printable import printable
from routing.sandbox.profile import Injection
from tasks.agents.proxy.hosts import HostRules, address_of, may_be_at
from tasks.agents.proxy.relay import answer, close, exchange, read_head, tunnel
from tasks.agents.proxy.request_head import MOST_BYTES, BadRequestError, RequestHead

#: The port of the proxy on a sandbox's loopback; injections have those that follow.
PROXY_PORT = 3128

#: Seconds until a host must have taken a connection.
CONNECT_SECONDS = 30.0

#: Connections of one turn at once, and different hosts of one turn that are logged.
MOST_CONNECTIONS = 256
MOST_LOGGED = 500


class NetworkProxy:
    """Starts its thread with the first gate; a daemon, so that it keeps no process alive."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def gate(
        self, rules: HostRules, *, injections: Sequence[Injection] = (), secrets: Mapping[str, str],
        say: Callable[[str], object],
    ) -> "NetworkGate":  # fmt: skip
        """A gate for one turn. `secrets` are the values that are added, by name; `say` must not raise."""
        return NetworkGate(self, _Turn(rules=rules, injections=injections, secrets=secrets, say=say))

    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop, running in its thread."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="network-proxy", daemon=True).start()
            return self._loop


@dataclass(kw_only=True)
class _Turn:
    """What is known of the turn that a gate belongs to; used in the loop's thread."""

    rules: HostRules
    injections: Sequence[Injection]
    secrets: Mapping[str, str]
    say: Callable[[str], object]
    logged: set[str] = field(default_factory=set)
    connections: int = 0

    def log(self, host: str, port: int, verdict: str) -> None:
        """Note a host, once for each answer."""
        line = printable(f"network: {host[:260]}:{port} {verdict}")
        if line not in self.logged and len(self.logged) < MOST_LOGGED:
            self.logged.add(line)
            self.say(line)


class NetworkGate:
    """The way out of one turn's sandbox."""

    def __init__(self, proxy: NetworkProxy, turn: _Turn) -> None:
        self._proxy, self._turn = proxy, turn
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening: list[socket.socket] = []
        self._opened = False
        self._closed = False

    @property
    def ports(self) -> list[int]:
        """On the sandbox's loopback: that of the proxy, and one for each injection."""
        return [PROXY_PORT + number for number in range(1 + len(self._turn.injections))]

    def listen(self, sockets: Sequence[socket.socket]) -> None:
        """Answer at these, which listen at `ports` in that order, from now on; they are ours to close."""
        self._opened = True
        self._listening += sockets
        self._run(partial(self._serve, sockets))

    def close(self) -> None:
        """End all connections of the turn; again is harmless. Returns when they have ended."""
        if self._opened and not self._closed:
            self._closed = True
            asyncio.run_coroutine_threadsafe(self._end(), self._proxy.loop()).result(timeout=10)

    def _run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        loop = self._proxy.loop()
        loop.call_soon_threadsafe(lambda: self._keep(loop.create_task(work())))

    def _keep(self, task: "asyncio.Task[None]") -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for one in self._listening:
            one.close()

    async def _serve(self, sockets: Sequence[socket.socket]) -> None:
        """Answer at what listens until the turn ends."""
        servers = []
        try:
            for injection, one in zip((None, *self._turn.injections), sockets, strict=False):
                one.setblocking(False)
                serve = partial(self._connected, injection=injection)
                servers.append(await asyncio.start_server(serve, sock=one, limit=MOST_BYTES))
            await asyncio.Event().wait()
        finally:
            for server in servers:
                server.close()

    async def _connected(
        self, reader: StreamReader, writer: StreamWriter, *, injection: Injection | None
    ) -> None:
        """One connection of the turn; nothing that it does ends more than itself."""
        task = asyncio.current_task()
        if task is not None:
            self._keep(task)
        self._turn.connections += 1
        try:
            if self._turn.connections > MOST_CONNECTIONS:
                await answer(writer, "503 Too Many Connections", "this turn has too many connections")
                return
            head = await read_head(reader)
            if head is not None:
                await self._requested(head, reader, writer, injection)
        except BadRequestError as error:
            await answer(writer, "400 Bad Request", str(error))
        except (OSError, EOFError, ssl.SSLError):
            return
        finally:
            self._turn.connections -= 1
            await close(writer)

    async def _requested(
        self, head: RequestHead, reader: StreamReader, writer: StreamWriter, injection: Injection | None
    ) -> None:
        host, port = address_of(injection) if injection else head.place
        pattern = injection.host if injection else self._turn.rules.match(host, port)
        if pattern is None:
            self._turn.log(host, port, "refused: it is not in the version's `allow`")
            words = f"{host}:{port} is not among the hosts that this agent may reach"
            await answer(writer, "403 Forbidden", words)
            return
        try:
            there, to = await _opened(host, port, pattern, tls=injection is not None and injection.tls)
        except (OSError, TimeoutError, ssl.SSLError, _ForbiddenAddressError) as error:
            self._turn.log(host, port, f"not reached: {type(error).__name__}: {error}"[:200])
            await answer(writer, "502 Bad Gateway", f"{host}:{port} was not reached: {error}")
            return
        self._turn.log(host, port, f"reached, and {injection.secret} added" if injection else "reached")
        try:
            if head.method == "CONNECT" and injection is None:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await tunnel(reader, writer, there, to)
            else:
                head.body_bytes  # noqa: B018 - refused before anything is sent
                to.write(head.sent_to(_host_field(host, port, injection), replaced=self._added(injection)))
                await exchange(head, reader, writer, there, to)
        finally:
            await close(to)

    def _added(self, injection: Injection | None) -> dict[str, str]:
        if injection is None:
            return {}
        return {injection.header.lower(): injection.prefix + self._turn.secrets[injection.secret]}


class _ForbiddenAddressError(Exception):
    """A name leads to an address where nothing may be reached by it."""


def _host_field(host: str, port: int, injection: Injection | None) -> str:
    usual = 443 if injection is not None and injection.tls else 80
    shown = f"[{host}]" if ":" in host else host
    return shown if port == usual else f"{shown}:{port}"


async def _opened(host: str, port: int, pattern: str, *, tls: bool) -> tuple[StreamReader, StreamWriter]:
    """Connect to the first address of a host that takes it; each is checked before."""
    async with asyncio.timeout(CONNECT_SECONDS):
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
        allowed = [one for one in addresses if may_be_at(one, host=host, pattern=pattern)]
        if not allowed:
            message = f"it is at {addresses[0]}, where nothing is reached by a name"
            raise _ForbiddenAddressError(message)
        context = ssl.create_default_context() if tls else None
        name = host if tls else None
        for address in allowed[:-1]:
            with suppress(OSError):
                return await asyncio.open_connection(address, port, ssl=context, server_hostname=name)
        return await asyncio.open_connection(allowed[-1], port, ssl=context, server_hostname=name)
