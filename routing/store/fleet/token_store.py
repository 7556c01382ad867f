"""Tokens of forges in Redis: whether one is refused, so that people hear of it once and not for each job."""

import json

from routing.store.redis.faults import redis_errors
from routing.store.redis.scripts import Script
from routing.store.redis.store import Store

_TOKEN_REFUSED = Script(
    "token_refused",
    bool,
    keys="token",
    indexes="events",
    args="forge data retention_seconds",
    flags="refused",
)

#: Seconds for which a refusal is remembered that nobody meets again.
RETENTION_SECONDS = 604_800


class TokenStore(Store):
    """One key a forge whose token is refused now; each change has an event. Steps may be repeated."""

    def refused(self, forge: str, *, reason: str) -> bool:
        """Note that a forge refused our token; True when it did not before."""
        return self._note(forge, {"reason": reason[:500]}, refused=True)

    def accepted(self, forge: str) -> bool:
        """Note that it took the token; True when it had refused it."""
        return self._note(forge, {}, refused=False)

    def is_refused(self, forge: str) -> bool:
        """Whether the forge refused the token when it was last used."""
        with redis_errors(f"reading what {forge} says of its token"):
            return bool(self.redis.exists(self.keys.token(forge)))

    def _note(self, forge: str, data: dict[str, str], *, refused: bool) -> bool:
        return self.call(
            _TOKEN_REFUSED, token=self.keys.token(forge), forge=forge, data=json.dumps(data),
            retention_seconds=RETENTION_SECONDS, refused=refused, doing=f"noting the token of {forge}",
        )  # fmt: skip
