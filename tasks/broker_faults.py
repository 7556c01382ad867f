"""Whose fault an error is that comes out of the connection to the broker: the server's, or the program's.

A server that is away is waited for, however long. A mistake of ours must not look like one: it is logged with
its trace, and ends what it stands in the way of.
"""

import sys
import traceback

from kombu.exceptions import KombuError
from redis.exceptions import RedisError

#: Packages that read what a server sends. A reply that was cut in two comes out of them as whatever they
#: stumble over.
DRIVERS = frozenset({"amqp", "hiredis", "kombu", "redis"})


def is_servers(error: BaseException) -> bool:
    """Whether the server, or the way to it, is at fault: by the error's kind, or by who stumbled."""
    return isinstance(error, (KombuError, OSError, RedisError)) or _raised_in(error) in DRIVERS


def _raised_in(error: BaseException) -> str:
    """The package whose code raised an error, or called what did in Python's own library; "" for none."""
    frames = [frame for frame, _line in traceback.walk_tb(error.__traceback__)]
    names = [str(frame.f_globals.get("__name__", "")).partition(".")[0] for frame in reversed(frames)]
    return next((name for name in names if name not in sys.stdlib_module_names), "")
