"""The pause switch of the fleet, in Redis."""

import json

from routing.events import DISPATCH_PAUSED, DISPATCH_RESUMED
from routing.store.redis.faults import redis_errors
from routing.store.redis.scripts import Script
from routing.store.redis.store import Store

_SWITCH = Script("switch", bool, indexes="paused events", args="reason kind data", flags="pause")


class Switch(Store):
    """While it is set nothing is dispatched and no job is claimed; what is queued stays queued.

    It is stored, and a person turns it. The kill switch is another thing: a setting, which needs no store.
    """

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
