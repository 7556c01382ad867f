"""Loads the Lua files, each beside its store. A line `-- @include NAME` stands for `_NAME.lua`."""

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from hiredis import pack_command
from redis import Redis
from redis.commands.core import Script
from redis.exceptions import NoScriptError

_INCLUDE = re.compile(r"^-- @include ([a-z_]+)$", re.MULTILINE)


@cache
def script_files() -> dict[str, Traversable]:
    """All Lua files of the store, by their names; those that begin with `_` are only included."""
    rooms = [room for room in files("routing.store").iterdir() if room.is_dir()]
    return {
        file.name.removesuffix(".lua"): file
        for room in rooms
        for file in room.iterdir()
        if file.name.endswith(".lua")
    }


@cache
def lua_source(name: str) -> str:
    """The text of `NAME.lua` with its includes in place; `KeyError` where there is no such script."""
    found = script_files()
    text = found[name].read_text(encoding="utf-8")
    return _INCLUDE.sub(lambda match: found[f"_{match[1]}"].read_text(encoding="utf-8"), text)


class Scripts:
    """The scripts registered with one server; each is sent once and then called by its hash."""

    def __init__(self, redis: "Redis") -> None:
        self._redis: Any = redis  # the driver's types do not know what a connection answers
        self._registered: dict[str, Script] = {}

    def __call__(self, name: str, keys: list[str], args: list[Any], *, pipeline: Any = None) -> Any:
        """Run `NAME.lua`; within a pipeline the answer comes with the pipeline's."""
        script = self[name]
        if pipeline is not None:
            return script(keys=keys, args=args, client=pipeline)
        try:
            return self._call(script.sha, keys, args)
        except NoScriptError:
            self._redis.script_load(script.script)
            return self._call(script.sha, keys, args)

    def _call(self, sha: str, keys: list[str], args: list[Any]) -> Any:
        """One round trip on a connection of the pool.

        The client's own way there, with its retries (we allow none) and hooks, costs a third more.
        """
        pool = self._redis.connection_pool
        connection = pool.get_connection()
        try:
            connection.send_packed_command([_packed(sha, keys, args)])
            return connection.read_response()
        finally:
            pool.release(connection)

    def stream(self, name: str, calls: Iterable[tuple[list[str], list[Any]]]) -> list[Any]:
        """Run a script for each of the calls, in their order, and return the answers.

        Each call is sent as soon as it is made: the server works on it while the next one is put together.
        """
        script = self[name]
        if not self._redis.script_exists(script.sha)[0]:
            self._redis.script_load(script.script)
        pool = self._redis.connection_pool
        connection = pool.get_connection()
        try:
            sent = 0
            for keys, args in calls:
                connection.send_packed_command([_packed(script.sha, keys, args)])
                sent += 1
            return [connection.read_response() for _ in range(sent)]
        except BaseException:
            connection.disconnect()  # answers may be left on it that nobody will read
            raise
        finally:
            pool.release(connection)

    def __getitem__(self, name: str) -> Script:
        script = self._registered.get(name)
        if script is None:
            script = self._registered[name] = self._redis.register_script(lua_source(name))
        return script


def _packed(sha: str, keys: list[str], args: list[Any]) -> bytes:
    """The call as the server reads it; the driver's way to the same bytes looks at every argument twice."""
    packed: bytes = pack_command(("EVALSHA", sha, len(keys), *keys, *args))
    return packed
