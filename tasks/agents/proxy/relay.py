"""Moves bytes between a program in a sandbox and a host, until one of them has said all."""

import asyncio
from asyncio import StreamReader, StreamWriter
from contextlib import suppress

from tasks.agents.proxy.request_head import MOST_BYTES, BadRequestError, RequestHead

_CHUNK = 65536
#: Seconds for which a program may take to write the head of a request.
HEAD_SECONDS = 60.0
#: The longest line that says how long a chunk is.
_CHUNK_LINE = 1024


async def read_head(reader: StreamReader) -> RequestHead | None:
    """The next request's head; None when the program closed the connection. BadRequestError."""
    try:
        async with asyncio.timeout(HEAD_SECONDS):
            data = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial.strip():
            raise BadRequestError("the request has no end") from error
        return None
    except (asyncio.LimitOverrunError, TimeoutError) as error:
        message = f"the head of the request is longer than {MOST_BYTES} bytes, or did not come"
        raise BadRequestError(message) from error
    return RequestHead.parse(data)


async def tunnel(reader: StreamReader, writer: StreamWriter, there: StreamReader, to: StreamWriter) -> None:
    """Copy in both directions until both have ended."""
    await asyncio.gather(_copy(reader, to, ends=True), _copy(there, writer, ends=True))


async def exchange(
    head: RequestHead, reader: StreamReader, writer: StreamWriter, there: StreamReader, to: StreamWriter
) -> None:
    """Copy one request's body to the host, and all that it answers back; nothing after the body is sent."""
    sending = asyncio.ensure_future(_copy_body(head, reader, to))
    try:
        await _copy(there, writer, ends=False)
    finally:
        sending.cancel()
        with suppress(asyncio.CancelledError, OSError, BadRequestError, EOFError):
            await sending


async def answer(writer: StreamWriter, status: str, words: str) -> None:
    """Say no in words that a person finds in the program's output."""
    body = f"{words}\n".encode(errors="replace")
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
    with suppress(OSError):
        await writer.drain()


async def close(writer: StreamWriter) -> None:
    """Close a connection, whatever state it is in."""
    writer.close()
    with suppress(OSError, asyncio.CancelledError):
        await writer.wait_closed()


async def _copy(reader: StreamReader, writer: StreamWriter, *, ends: bool) -> None:
    with suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
        if ends and writer.can_write_eof():
            writer.write_eof()


async def _copy_body(head: RequestHead, reader: StreamReader, writer: StreamWriter) -> None:
    length = head.body_bytes
    if length is not None:
        await _copy_bytes(length, reader, writer)
        return
    while True:
        line = await reader.readuntil(b"\r\n")
        size = line.partition(b";")[0].strip()
        if len(line) > _CHUNK_LINE or not size.isalnum() or len(size) > 15:  # noqa: PLR2004 - hex digits
            raise BadRequestError("a chunk of the body has no length")
        writer.write(line)
        if int(size, 16) == 0:
            break
        await _copy_bytes(int(size, 16) + 2, reader, writer)
    while (line := await reader.readuntil(b"\r\n")) != b"\r\n":  # fields after the body are not sent on
        pass
    writer.write(line)
    await writer.drain()


async def _copy_bytes(count: int, reader: StreamReader, writer: StreamWriter) -> None:
    while count > 0:
        data = await reader.read(min(_CHUNK, count))
        if not data:
            raise BadRequestError("the body ends too soon")
        writer.write(data)
        await writer.drain()
        count -= len(data)
