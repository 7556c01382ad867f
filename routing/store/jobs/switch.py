"""The pause switch of the fleet, in Redis."""

import json

from routing.store.redis.faults import redis_errors
from routing.store.redis.store import Store


class Switch(Store):
    """While it is set nothing is dispatched and no job is claimed; what is queued stays queued."""

    def pause(self, reason: str) -> bool:
        """Stop dispatch; False when it was stopped already."""
        return self._set("1", reason, "dispatch.paused")

    def resume(self, reason: str) -> bool:
        """Go on; False when nothing was stopped."""
        return self._set("", reason, "dispatch.resumed")

    def reason(self) -> str | None:
        """Why dispatch is stopped; None when it is not."""
        with redis_errors("reading the pause switch"):
            value = self.redis.get(self.keys("paused"))
        return None if value is None else str(value)

    def _set(self, value: str, reason: str, kind: str) -> bool:
        return bool(self.run(
            "switch", [self.keys("paused"), self.keys("events")],
            value, reason or "no reason given", kind, json.dumps({"reason": reason}),
            doing="turning the pause switch",
        ))  # fmt: skip
