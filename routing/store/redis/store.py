"""What every store has: a connection, its keys, its scripts and, in tests, a clock."""

from collections.abc import Callable
from typing import Any

from redis import Redis

from routing.store.redis.faults import redis_errors
from routing.store.redis.keys import Keys
from routing.store.redis.scripts import Scripts


class Store:
    """The base of the typed wrappers. `clock` replaces the server's time where a test moves it."""

    def __init__(self, redis: "Redis", keys: Keys, clock: Callable[[], float] | None = None) -> None:
        self.redis: Any = redis  # decodes its answers, which the driver's types cannot tell
        self.keys = keys
        self.clock = clock
        self.scripts = Scripts(redis)

    def now_argument(self) -> str:
        """The first argument of a script: '' lets the server's clock decide."""
        return "" if self.clock is None else f"{self.clock():.6f}"

    def now(self) -> float:
        """Seconds since the epoch by the server's clock."""
        if self.clock is not None:
            return self.clock()
        with redis_errors("asking for the time"):
            seconds, microseconds = self.redis.time()
        return float(seconds) + float(microseconds) / 1e6

    def run(self, name: str, keys: list[str], *args: Any, doing: str) -> Any:
        """Run a script whose first argument is the time; driver errors come out as ours."""
        with redis_errors(doing):
            return self.scripts(name, keys, [self.now_argument(), *args])
