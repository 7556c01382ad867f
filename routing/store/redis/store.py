"""What every store has: a connection, its keys, its scripts and, in tests, a clock."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from redis import Redis

from routing.store.redis.faults import redis_errors
from routing.store.redis.keys import Keys
from routing.store.redis.scripts import Packed, Script, Scripts

A = TypeVar("A")


class Store:
    """The base of the typed wrappers. `clock` replaces the server's time where a test moves it.

    Safe to share between threads. A method is one round trip unless it says otherwise, and raises
    UnavailableError when the server does not answer: what was sent may have been carried out.
    """

    def __init__(self, redis: "Redis", keys: Keys, clock: Callable[[], float] | None = None) -> None:
        self.redis: Any = redis  # decodes its answers, which the driver's types do not show
        self.keys = keys
        self.clock = clock
        self.scripts = Scripts(redis)

    def now_argument(self) -> str:
        """A script's `time`: '' lets the server's clock decide."""
        return "" if self.clock is None else f"{self.clock():.6f}"

    def now(self) -> float:
        """Seconds since the epoch by the server's clock."""
        if self.clock is not None:
            return self.clock()
        with redis_errors("asking for the time"):
            seconds, microseconds = self.redis.time()
        return float(seconds) + float(microseconds) / 1e6

    def ping(self) -> None:
        """Nothing, when the server answers and lets us in; else our error for what it says."""
        with redis_errors("asking the store"):
            self.redis.ping()

    def call(
        self, script: Script[A], /, *, doing: str, each: Iterable[Mapping[str, Any]] = (), **values: Any
    ) -> A:
        """Run a script with the values that it declares; driver errors come out as ours, with `doing`."""
        with redis_errors(doing):
            return self.scripts(script, self.packed(script, each, **values))

    def packed(self, script: Script[Any], each: Iterable[Mapping[str, Any]] = (), /, **values: Any) -> Packed:
        """A call of a script, for `scripts.stream`."""
        return script.packed(self.keys, self.now_argument(), values, each)
