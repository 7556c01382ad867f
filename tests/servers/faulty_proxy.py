"""A proxy in front of a Redis server that refuses, hangs, cuts or closes as long as a test wants it to.

It knows the protocol as far as needed: where a command ends, and that an error answers one command.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

#: Commands that change no data: a server that only refuses writes carries them out.
_READS = frozenset(
    b"CLIENT CONFIG EXEC EXISTS GET HELLO HGET HGETALL HMGET INFO LLEN MGET MULTI PING PSUBSCRIBE PUBLISH "
    b"PUNSUBSCRIBE SCRIPT SELECT SMEMBERS SUBSCRIBE TIME UNSUBSCRIBE UNWATCH WATCH XRANGE XREAD ZCARD ZRANGE "
    b"ZSCORE".split()
)
_CHUNK_BYTES = 65_536


class FaultyProxy:
    """One fault at a time; `heal` ends it. Every method may be called in any thread."""

    def __init__(self, upstream: str) -> None:
        self._upstream = urlsplit(upstream)
        self._refusal, self._only_writes = b"", False
        self._cuts, self._resets, self._hangs = False, False, False
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._moved = asyncio.Event()  # set when a fault begins or ends, and replaced
        self._ended = asyncio.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where the proxy is asked in place of the server."""
        return f"redis://127.0.0.1:{self._socket.getsockname()[1]}/0"

    def refuse(self, error: str, *, only_writes: bool = False) -> None:
        """Answer each command, or each that writes, with an error of the server's."""
        self._change(refusal=f"-{error}\r\n".encode(), only_writes=only_writes)

    def hang(self) -> None:
        """Accept, and answer nothing; `heal` delivers what was held back."""
        self._change(hangs=True)

    def cut(self) -> None:
        """Send half of each answer, and close the connection."""
        self._change(cuts=True)

    def reset(self) -> None:
        """Reset all connections, and each new one."""
        self._change(resets=True)
        self.drop()

    def drop(self) -> None:
        """Reset all connections that there are."""
        self._loop.call_soon_threadsafe(self._drop)

    def _drop(self) -> None:
        for writer in tuple(self._writers):
            _abort(writer)

    def heal(self) -> None:
        """Pass on everything."""
        self._change()

    def lead_to(self, upstream: str) -> None:
        """Connect new clients to another server; who is connected stays where they are."""
        self._upstream = urlsplit(upstream)

    def close(self) -> None:
        """End all connections, and listen no longer."""
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()
        self._loop.close()

    def _change(
        self, *, refusal: bytes = b"", only_writes: bool = False, cuts: bool = False, resets: bool = False,
        hangs: bool = False,
    ) -> None:  # fmt: skip
        def change() -> None:
            self._refusal, self._only_writes = refusal, only_writes
            self._cuts, self._resets, self._hangs = cuts, resets, hangs
            self._moved.set()
            self._moved = asyncio.Event()

        self._loop.call_soon_threadsafe(change)

    def _run(self) -> None:
        self._loop.run_until_complete(self._listen())

    async def _listen(self) -> None:
        await asyncio.start_server(self._serve, sock=self._socket)
        await self._ended.wait()
        self._socket.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._resets:
            _abort(writer)
            return
        try:
            above_reader, above_writer = await self._above()
        except OSError:  # the server is down
            _abort(writer)
            return
        self._writers.add(writer)
        both = [self._up(reader, writer, above_writer), self._down(above_reader, writer)]
        tasks = [asyncio.ensure_future(each) for each in both]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:  # the proxy is closed; asyncio would print it
            pass
        finally:
            for task in tasks:
                task.cancel()
            self._writers.discard(writer)
            for each in (writer, above_writer):
                each.close()

    async def _above(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        where = self._upstream
        if where.scheme == "unix":
            return await asyncio.open_unix_connection(where.path)
        return await asyncio.open_connection(where.hostname, where.port)

    async def _up(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, above: asyncio.StreamWriter
    ) -> None:
        while True:
            name, raw = await _command(reader)
            await self._while_it_hangs()
            if self._refusal and not (self._only_writes and name in _READS):
                writer.write(self._refusal)
            else:
                above.write(raw)

    async def _down(self, above: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await above.read(_CHUNK_BYTES):
            await self._while_it_hangs()
            if self._cuts:
                writer.write(chunk[: len(chunk) // 2])
                await writer.drain()
                return
            writer.write(chunk)

    async def _while_it_hangs(self) -> None:
        while self._hangs:
            await self._moved.wait()


async def _command(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The name of the next command, and all its bytes."""
    raw = await reader.readuntil(b"\r\n")
    parts = int(raw[1:])
    name = b""
    for number in range(parts):
        head = await reader.readuntil(b"\r\n")
        body = await reader.readexactly(int(head[1:]) + 2)
        name = name or body[:-2].upper() if number == 0 else name
        raw += head + body
    return name, raw


def _abort(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, AttributeError):
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


@contextmanager
def faulty_proxy(upstream: str) -> Iterator[FaultyProxy]:
    """A proxy that is closed with the block."""
    proxy = FaultyProxy(upstream)
    try:
        yield proxy
    finally:
        proxy.close()
