"""A client of Redis whose every writing step is noted, and may meet with a mishap."""

import hashlib
from collections.abc import Iterator
from functools import cache
from typing import Any

import fakeredis
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.declared_scripts import script_sources
from tests.fakes.mishaps import Mishaps

#: Commands that change nothing, or only what the server knows by itself.
_READS = frozenset(
    {
        "GET", "MGET", "HGET", "HMGET", "HGETALL", "HVALS", "HEXISTS", "EXISTS", "TTL", "TYPE", "TIME",
        "ZRANGE", "ZRANGEBYSCORE", "ZRANGEBYLEX", "ZREVRANGE", "ZCARD", "ZCOUNT", "ZSCORE", "SMEMBERS",
        "SISMEMBER", "SRANDMEMBER", "LRANGE", "LLEN", "XRANGE", "XREVRANGE", "XREAD", "XINFO", "SCRIPT",
        "MULTI", "EXEC", "CLIENT", "HELLO", "SELECT", "PING", "SCAN",
    }
)  # fmt: skip


@cache
def _scripts() -> dict[str, str]:
    """The names of our scripts by their hash."""
    sources = script_sources()
    return {hashlib.sha1(text.encode()).hexdigest(): name for name, text in sources.items()}  # noqa: S324 - theirs


class _Watching:
    """One connection; `mishaps` is shared by all of a process."""

    def __init__(self, *args: Any, mishaps: Mishaps, asked: list[str], **given: Any) -> None:
        self._mishaps = mishaps
        self._asked = asked
        self._real: Any = super()  # a kind of connection, by its place in the family of classes
        self._real.__init__(*args, **given)  # type: ignore[misc]

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - theirs
        """What is sent together is one step."""
        sent = b"".join(command) if isinstance(command, list) else command
        names = list(_commands(bytes(sent)))
        self._asked += [name for name in names if name not in {"HELLO", "CLIENT"}]
        steps = [name for name in names if name.upper() not in _READS]
        if not steps:
            self._real.send_packed_command(command, check_health)
            return
        try:
            with self._mishaps.during("+".join(steps), effect=True):
                self._real.send_packed_command(command, check_health)
                if self._mishaps.is_near:
                    self._real.can_read(timeout=5)  # it is carried out before anything happens after it
        except BaseException:
            self._real.disconnect()  # no answer is left for the next step
            raise


def _commands(sent: bytes) -> Iterator[str]:
    """The name of each command, or of the script that it runs."""
    rest = sent
    while rest:
        head, _, rest = rest.partition(b"\r\n")
        words = []
        for _ in range(int(head[1:])):
            size, _, rest = rest.partition(b"\r\n")
            words.append(rest[: int(size[1:])].decode(errors="replace"))
            rest = rest[int(size[1:]) + 2 :]
        name = words[0].upper()
        yield _scripts().get(words[1], name) if name == "EVALSHA" else name


@cache
def _watching(kind: type) -> type:
    """Connections of a kind, watched."""
    return type("Watched", (_Watching, kind), {})


#: Those of clients that were made since the last were closed.
_pools: list[redis.ConnectionPool] = []


def watched(client: redis.Redis, mishaps: Mishaps, asked: list[str]) -> redis.Redis:
    """Another client of the same server, for one process; `asked` gets the names of all commands."""
    pool = client.connection_pool
    given = pool.connection_kwargs | {"mishaps": mishaps, "asked": asked, "retry": Retry(NoBackoff(), 0)}
    made = redis.ConnectionPool(connection_class=_watching(pool.connection_class), **given)
    _pools.append(made)
    return redis.Redis(connection_pool=made)


def close_watched() -> None:
    """Close the connections of all such clients, whose cycles would free a socket before its connection."""
    while _pools:
        _pools.pop().disconnect()


def load_scripts(client: redis.Redis) -> None:
    """Have the server know all scripts, so that no step is sent twice for want of one."""
    server = client.connection_pool.connection_kwargs.get("server")
    if server is None:  # a real one
        for text in script_sources().values():
            client.script_load(text)
    else:
        server.script_cache |= _loaded()


@cache
def _loaded() -> dict[bytes, bytes]:
    """What a server keeps that was sent all scripts."""
    server = fakeredis.FakeServer()
    with fakeredis.FakeRedis(server=server) as client:
        for text in script_sources().values():
            client.script_load(text)
    return server.script_cache
