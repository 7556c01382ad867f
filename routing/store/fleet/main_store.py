"""Main branches in Redis: what CI said of the newest commit of each, at the last look."""

from dataclasses import dataclass

from routing.store.redis.faults import redis_errors
from routing.store.redis.scripts import Script
from routing.store.redis.store import Store

_MAIN_LOOK = Script(
    "main_look",
    str,
    keys="main_look",
    indexes="events",
    args="repository commit reason keep_seconds",
    flags="judged",
)

#: Seconds for which a verdict is remembered that no look has renewed.
KEEP_SECONDS = 3600


@dataclass(frozen=True, kw_only=True, slots=True)
class MainLook:
    """The last look at a main branch."""

    looked_at: float  # seconds since the epoch
    red: str  # why it is red, "" when it is not as far as is known


class MainStore(Store):
    """One key a repository, `forge:repo`, that expires; a change to red, or back, has an event."""

    def last(self, repository: str) -> MainLook | None:
        """The last look; None when there was none of late."""
        with redis_errors(f"reading what is known of the main branch of {repository}"):
            at, reason = self.redis.hmget(self.keys.main_look(repository), "looked_at", "reason")
        return None if at is None else MainLook(looked_at=float(at), red=reason or "")

    def green(self, repository: str, commit: str) -> str:
        """Note that CI passed it; returns ""."""
        return self._note(repository, commit, "", judged=True)

    def red(self, repository: str, commit: str, *, reason: str) -> str:
        """Note that CI failed it; returns the reason."""
        return self._note(repository, commit, reason[:500], judged=True)

    def silent(self, repository: str, commit: str = "") -> str:
        """Note a look that found no verdict; returns why the branch is red by an earlier one, or ""."""
        return self._note(repository, commit, "", judged=False)

    def _note(self, repository: str, commit: str, reason: str, *, judged: bool) -> str:
        return self.call(
            _MAIN_LOOK, main_look=self.keys.main_look(repository), repository=repository, commit=commit,
            reason=reason, keep_seconds=KEEP_SECONDS, judged=judged,
            doing=f"noting what CI says of the main branch of {repository}",
        )  # fmt: skip
