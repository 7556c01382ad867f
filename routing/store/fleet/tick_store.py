"""Ticks in Redis: which process runs one, and whether another run was requested."""

import secrets
from typing import Any

from redis.exceptions import LockError

from routing.store.redis.faults import redis_errors
from routing.store.redis.scripts import Script
from routing.store.redis.store import Store

#: A turn at a tick, from `begin` to `end`.
Turn = Any  # the driver's lock

_PULSE = Script("lease_pulse", str, indexes="pulse", args="mark")

#: What ticks look after that have nothing to do without it; a list that is empty has no key.
LOOKED_AFTER = {
    "sweep": ("leases", "outbox", "unclaimed", "held", "limited", "bereaved", "mail_waiting", "judging"),
    "watch": ("waiting", "leases", "effects"),
    "land": ("landing", "looks"),
}

#: Seconds for which a wish is remembered that nobody fulfils.
WISH_SECONDS = 120


class TickStore(Store):
    """Every key but the pulse expires.

    The order of calls is `wish`, then `begin` and `end` until `begin` answers None.

    A wish is written before the lock is tried and read after it was given back, so whatever happened before
    `wish` is seen by a run that begins after it: by the caller's, or by one more of the process at work.
    """

    def wish(self, name: str) -> None:
        """Ask for a run that begins after this call."""
        with redis_errors(f"asking for a run of the tick {name}"):
            self.redis.delete(self._asked(name))
            self.redis.set(self._wish(name), "1", ex=WISH_SECONDS)

    def begin(self, name: str, *, lease_seconds: float) -> Turn | None:
        """Take a turn at the tick; None when nobody wishes for one, or another process is at it."""
        # Not bound to a thread: another one renews it.
        lock = self.redis.lock(
            self.keys.tick(name), timeout=lease_seconds, blocking=False, thread_local=False
        )
        with redis_errors(f"taking the tick {name}"):
            if not self.redis.exists(self._wish(name)) or not lock.acquire():
                return None
            self.redis.delete(self._wish(name))
        return lock

    def renew(self, turn: Turn) -> bool:
        """Let the lease of a turn run from now on; False when it had run out, or the turn was given back."""
        with redis_errors("renewing a tick"):
            try:
                turn.reacquire()
            except LockError:
                return False
        return True

    def end(self, name: str, turn: Turn) -> bool:
        """Give the turn back; False when its lease had run out, so that another process may be at it too."""
        with redis_errors(f"giving the tick {name} back"):
            try:
                turn.release()
            except LockError:
                return False
        return True

    def ask(self, name: str, *, seconds: int) -> bool:
        """Whether a message for the tick is needed: False when one was sent within the last seconds."""
        return self._first(self._asked(name), seconds, doing=f"asking for the tick {name}")

    def is_idle(self, name: str) -> bool:
        """Whether nothing waits that the tick looks after; the name is one of LOOKED_AFTER."""
        with redis_errors("asking whether anything waits"):
            return not self.redis.exists(*(self.keys(each) for each in LOOKED_AFTER[name]))

    def beat(self) -> str:
        """A sweep begins; returns the store's mark, which the first one gave it.

        After some seconds without one, holders of leases get time to renew them first.
        """
        return self.call(_PULSE, mark=secrets.token_hex(8), doing="noting that the sweep runs")

    def mark(self) -> str | None:
        """The store's mark: another one is another store, or one that was emptied. None before a sweep."""
        with redis_errors("asking which store it is"):
            mark: str | None = self.redis.hget(self.keys("pulse"), "mark")
        return mark

    def is_first(self, name: str, *, seconds: int) -> bool:
        """Whether this is the first call of that name, by any process, within some seconds."""
        return self._first(self.keys.tick(name), seconds, doing=f"asking who does {name}")

    def _first(self, key: str, seconds: int, *, doing: str) -> bool:
        with redis_errors(doing):
            return bool(self.redis.set(key, "1", nx=True, ex=seconds))

    def _wish(self, name: str) -> str:
        return self.keys.tick(f"{name}:again")

    def _asked(self, name: str) -> str:
        return self.keys.tick(f"{name}:asked")
