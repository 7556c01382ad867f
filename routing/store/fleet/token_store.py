"""Tokens of forges in Redis: whether one is refused, and whether its rate limit is used up.

People hear of a refusal once and not for each job, and the limit that one process meets all others wait for.
"""

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
    """Steps may be repeated. A refusal is one key a forge, and each change of it has an event.

    A limit is one key a token, named by a digest, that expires when the limit ends, so no clocks are
    compared. Two processes that note different ends at once may leave the earlier one: then one request too
    many is sent, and its answer notes the end again.
    """

    def refused(self, forge: str, *, reason: str) -> bool:
        """Note that a forge refused our token; True when it did not before."""
        return self._note(forge, {"reason": reason[:500]}, refused=True)

    def accepted(self, forge: str) -> bool:
        """Note that it took the token; True when it had refused it."""
        return self._note(forge, {}, refused=False)

    def closed_seconds(self, token: str) -> float:
        """For how long the token's limit lasts; 0 when it may be used. `token` is a digest."""
        with redis_errors("reading a rate limit"):
            return max(0.0, int(self.redis.pttl(self.keys.rate_limit(token))) / 1000)

    def close(self, token: str, seconds: float) -> None:
        """Have nobody use the token for so long; a longer time that is noted stays."""
        if seconds <= self.closed_seconds(token):
            return
        with redis_errors("noting a rate limit"):
            self.redis.set(self.keys.rate_limit(token), "1", px=max(1, int(seconds * 1000)))

    def _note(self, forge: str, data: dict[str, str], *, refused: bool) -> bool:
        return self.call(
            _TOKEN_REFUSED, token=self.keys.token(forge), forge=forge, data=json.dumps(data),
            retention_seconds=RETENTION_SECONDS, refused=refused, doing=f"noting the token of {forge}",
        )  # fmt: skip
