"""Clocks of the fleet's processes, compared with the server's own, for people who look for a wrong one."""

from collections.abc import Callable
from dataclasses import dataclass

from routing.store.redis.faults import redis_errors
from routing.store.redis.store import Store

#: Seconds for which a process is listed after its last report.
LISTED_SECONDS = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class ClockReport:
    """What a process's clock said when it was last compared."""

    process: str  # jobs@host, beat@host, …
    ahead_seconds: float  # of the server's clock; negative: it is slow


class ClockStore(Store):
    """A sorted set by the server's time of the report; it expires, and what is old goes with each report."""

    def ahead_seconds(self, wall: Callable[[], float]) -> float:
        """How far a clock is ahead of the server's, in seconds; half a round trip is the error."""
        before = wall()
        server = self.now()
        return (before + wall()) / 2 - server

    def report(self, process: str, ahead_seconds: float) -> None:
        """Note a process's clock, in place of what it reported before."""
        key, now = self.keys("clocks"), self.now()
        with redis_errors("reporting a clock"):
            pipeline = self.redis.pipeline(transaction=False)
            pipeline.zremrangebyscore(key, "-inf", now - LISTED_SECONDS)
            pipeline.zadd(key, {f"{ahead_seconds:.3f} {process}": now})
            pipeline.expire(key, 2 * LISTED_SECONDS)
            pipeline.execute()

    def reports(self) -> list[ClockReport]:
        """The last report of each process that made one of late, by its name."""
        with redis_errors("reading the reports of clocks"):
            members = self.redis.zrangebyscore(self.keys("clocks"), self.now() - LISTED_SECONDS, "+inf")
        latest = {
            process: float(ahead) for ahead, _, process in (member.partition(" ") for member in members)
        }
        return [ClockReport(process=process, ahead_seconds=latest[process]) for process in sorted(latest)]

    def swept_at(self) -> float | None:
        """When the last sweep began, seconds since the epoch; None before the first: no worker ever ran."""
        with redis_errors("asking when the fleet was last swept"):
            at = self.redis.hget(self.keys("pulse"), "at")
        return None if at is None else float(at)
