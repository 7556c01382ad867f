"""Ticks in Redis: which process runs one, and whether another run was requested."""

import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from routing.store.redis.faults import redis_errors
from routing.store.redis.scripts import Script
from routing.store.redis.store import Store


@dataclass(frozen=True, kw_only=True, slots=True)
class TickTurn:
    """A turn at a tick, from `begin` to `end`."""

    name: str
    token: str  # nobody else's
    lease_seconds: float

    @property
    def lease_milliseconds(self) -> int:
        """As the server counts it."""
        return round(self.lease_seconds * 1000)


class TickEnd(StrEnum):
    """What became of a turn that was to end."""

    GIVEN_BACK = "given back"
    GOES_ON = "goes on"  # it goes on with another run, which somebody wished for meanwhile
    RAN_OUT = "ran out"  # its lease had run out, so that another process may be at the tick too


class Pulse(NamedTuple):
    """What a sweep learns at its beginning."""

    mark: str  # of the store, which the first sweep gave it
    is_idle: bool  # nothing waits that the sweep looks after


#: What ticks look after that have nothing to do without it; a list that is empty has no key.
LOOKED_AFTER = {
    "sweep": ("leases", "outbox", "unclaimed", "held", "limited", "bereaved", "mail_waiting", "judging"),
    "watch": ("waiting", "leases", "effects"),
    "land": ("landing", "looks"),
}

#: Seconds for which a wish is remembered that nobody fulfils.
WISH_SECONDS = 120

_BEGIN = Script(
    "tick_begin", bool, keys="tick wish asked", args="token lease_milliseconds wish_seconds useful_until",
    flags="only_wished",
)  # fmt: skip
_RENEW = Script("tick_renew", bool, keys="tick", args="token lease_milliseconds")
_END = Script("tick_end", TickEnd, keys="tick wish", args="token lease_milliseconds", flags="goes_on")
_PULSE = Script(
    "lease_pulse",
    lambda found: Pulse(mark=found[0], is_idle=not found[1]),
    indexes=f"pulse {' '.join(LOOKED_AFTER['sweep'])}",
    args="mark",
)


class TickStore(Store):
    """Every key but the pulse expires. `begin`, then `end` until that no longer answers GOES_ON.

    Whatever happened before `begin` is seen by a run that begins after it: by the caller's, or by one more of
    the process at work.
    """

    def begin(
        self, name: str, *, lease_seconds: float, until: float | None = None, only_wished: bool = False
    ) -> TickTurn | None:
        """Take a turn at the tick; None when another process is at it, which then runs it once more.

        Nothing is done after `until`, by the server's clock. `only_wished`: not unless a wish was left.
        """
        turn = TickTurn(name=name, token=secrets.token_hex(16), lease_seconds=lease_seconds)
        begun = self.call(
            _BEGIN, tick=self.keys.tick(name), wish=self._wish(name), asked=self._asked(name),
            token=turn.token, lease_milliseconds=turn.lease_milliseconds, wish_seconds=WISH_SECONDS,
            useful_until=until, only_wished=only_wished, doing=f"taking the tick {name}",
        )  # fmt: skip
        return turn if begun else None

    def renew(self, turn: TickTurn) -> bool:
        """Let the lease of a turn run from now on; False when it had run out, or the turn was given back."""
        return self.call(
            _RENEW, tick=self.keys.tick(turn.name), token=turn.token,
            lease_milliseconds=turn.lease_milliseconds, doing=f"renewing the tick {turn.name}",
        )  # fmt: skip

    def end(self, turn: TickTurn, *, goes_on: bool = False) -> TickEnd:
        """Give the turn back; with `goes_on` it is kept for another run, where one was wished for."""
        return self.call(
            _END, tick=self.keys.tick(turn.name), wish=self._wish(turn.name), token=turn.token,
            lease_milliseconds=turn.lease_milliseconds, goes_on=goes_on,
            doing=f"giving the tick {turn.name} back",
        )  # fmt: skip

    def ask(self, name: str, *, seconds: int) -> bool:
        """Whether a message for the tick is needed: False when one was sent within the last seconds."""
        return self._first(self._asked(name), seconds, doing=f"asking for the tick {name}")

    def is_idle(self, name: str) -> bool:
        """Whether nothing waits that the tick looks after; the name is one of LOOKED_AFTER."""
        with redis_errors("asking whether anything waits"):
            return not self.redis.exists(*(self.keys(each) for each in LOOKED_AFTER[name]))

    def beat(self) -> Pulse:
        """A sweep begins. After some seconds without one, holders of leases get time to renew them first."""
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
