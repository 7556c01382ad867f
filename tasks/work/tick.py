"""A tick: short, idempotent, and in one pair of hands at a time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from redis.exceptions import LockError

from routing.errors import CoalmineError
from routing.store.redis.faults import redis_errors
from routing.store.redis.store import Store

_log = structlog.get_logger(__name__)

#: Seconds after which a tick whose process died may be taken up by another.
TICK_SECONDS = 120.0

#: Seconds after which a tick that was asked for and has not begun is asked for again.
ASKED_SECONDS = 5


@contextmanager
def spared(name: str) -> Iterator[None]:
    """What a server or a forge does to a tick is told in one line: the next tick tries again."""
    try:
        yield
    except CoalmineError as error:
        _log.warning("tick.failed", tick=name, reason=str(error))


class Ticks(Store):
    """Runs ticks under a lock of their name, so that two beats, or two workers, do the work once."""

    def run_alone(self, name: str, tick: Callable[[], Any], *, lease_seconds: float = TICK_SECONDS) -> Any:
        """Run the tick; when another process is at it, have that one run it once more, and return None.

        The wish for another run is written before the lock is tried and read after it is given back, so
        that whatever happened before this call is seen by a run that begins after it. `lease_seconds` is
        how long the tick stands still when the process that runs it dies.
        """
        wish = self.keys.tick(f"{name}:again")
        lock = self.redis.lock(self.keys.tick(name), timeout=lease_seconds, blocking=False)
        answer = None
        with redis_errors(f"taking the tick {name}"):
            self.redis.delete(self._asked(name))
            self.redis.set(wish, "1", ex=int(TICK_SECONDS))
            while self.redis.exists(wish) and lock.acquire():
                self.redis.delete(wish)
                try:
                    answer = tick()
                finally:
                    self._release(lock, name, lease_seconds)
        return answer

    def ask(self, name: str) -> bool:
        """Whether the tick is to be sent for: not when it was a moment ago and has yet to begin.

        A run that begins after this call sees whatever happened before it, so one message does for many.
        """
        with redis_errors(f"asking for the tick {name}"):
            return bool(self.redis.set(self._asked(name), "1", nx=True, ex=ASKED_SECONDS))

    def _asked(self, name: str) -> str:
        return self.keys.tick(f"{name}:asked")

    def _release(self, lock: Any, name: str, lease_seconds: float) -> None:
        try:
            lock.release()
        except LockError:  # it took longer than its lease; ticks are idempotent, so no harm was done
            _log.warning("tick.overran", tick=name, seconds=lease_seconds)
