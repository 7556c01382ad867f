"""The pause switch of the fleet, in Redis, and the switches of the settings, as its workers have them."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

from redis import Redis

from routing.events import DISPATCH_PAUSED, DISPATCH_RESUMED
from routing.store.redis.faults import redis_errors
from routing.store.redis.keys import Keys
from routing.store.redis.scripts import Script
from routing.store.redis.store import Store

_SWITCH = Script("switch", bool, indexes="paused events", args="reason kind data", flags="pause")

#: Seconds for which what a worker has said of its settings counts as in force.
SAID_SECONDS = 600


@dataclass(frozen=True, kw_only=True, slots=True)
class SetSwitches:
    """The switches that are settings of a process."""

    kill_switch: bool = False  # nothing is dispatched from any forge
    canaries: bool = True  # versions are tried; off: open trials are stopped


class Switch(Store):
    """While it is set nothing is dispatched and no job is claimed; what is queued stays queued.

    It is stored, and a person turns it. The kill switch is another thing: a setting, which needs no store.
    What workers say of theirs is for others to show, and decides nothing.
    """

    def __init__(
        self,
        redis: "Redis",
        keys: Keys,
        clock: Callable[[], float] | None = None,
        *,
        own: SetSwitches = SetSwitches(),
    ) -> None:
        super().__init__(redis, keys, clock)
        self._own = own  # of this process

    def say_settings(self) -> None:
        """Note the switches by which this process goes: others show these, and not their own."""
        with redis_errors("noting the switches of the settings"):
            self.redis.set(self.keys("switches"), json.dumps(asdict(self._own)), ex=SAID_SECONDS)

    def settings_in_force(self) -> SetSwitches:
        """The switches by which the fleet's workers go; this process's if none has said any."""
        with redis_errors("reading the switches of the settings"):
            text = self.redis.get(self.keys("switches"))
        try:
            said = json.loads(text) if text else asdict(self._own)
            return SetSwitches(kill_switch=bool(said["kill_switch"]), canaries=bool(said["canaries"]))
        except (ValueError, TypeError, KeyError):  # of another release
            return self._own

    def pause(self, reason: str) -> bool:
        """Stop dispatch; False when it was stopped already."""
        return self._set(DISPATCH_PAUSED, reason, pause=True)

    def resume(self, reason: str) -> bool:
        """Go on; False when nothing was stopped."""
        return self._set(DISPATCH_RESUMED, reason, pause=False)

    def reason(self) -> str | None:
        """Why dispatch is stopped; None when it is not."""
        with redis_errors("reading the pause switch"):
            value = self.redis.get(self.keys("paused"))
        return None if value is None else str(value)

    def _set(self, kind: str, reason: str, *, pause: bool) -> bool:
        return self.call(
            _SWITCH, reason=reason or "no reason given", kind=kind, data=json.dumps({"reason": reason}),
            pause=pause, doing="turning the pause switch",
        )  # fmt: skip
