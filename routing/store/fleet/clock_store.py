"""Processes of the fleet: how far their clocks are from the server's own, and what they run and serve."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from routing.store.redis.faults import redis_errors
from routing.store.redis.store import Store

#: Seconds for which a process is listed after its last report.
LISTED_SECONDS = 300

#: Between the name of a process, its version and its queues: none of them has it.
_MARK = "\t"


@dataclass(frozen=True, kw_only=True, slots=True)
class ClockReport:
    """What a process's clock said when it was last compared."""

    process: str  # jobs@host, beat@host, …
    ahead_seconds: float  # of the server's clock; negative: it is slow
    version: str = ""  # of Coalmine; "" for a process that does not say
    queues: tuple[str, ...] = ()  # that a worker takes from; () for beat, and for one that does not say


class ClockStore(Store):
    """A sorted set by the server's time of the report; it expires, and what is old goes with each report."""

    def ahead_seconds(self, wall: Callable[[], float]) -> float:
        """How far a clock is ahead of the server's, in seconds; half a round trip is the error."""
        before = wall()
        server = self.now()
        return (before + wall()) / 2 - server

    def report(
        self, process: str, ahead_seconds: float, *, version: str = "", queues: Sequence[str] = ()
    ) -> None:
        """Note a process's clock, version and queues, in place of what it reported before.

        A reader of an earlier release takes the whole for the name of the process.
        """
        key, now = self.keys("clocks"), self.now()
        with redis_errors("reporting a clock"):
            pipeline = self.redis.pipeline(transaction=False)
            pipeline.zremrangebyscore(key, "-inf", now - LISTED_SECONDS)
            said = _MARK.join([process, *([version, ",".join(queues)] if version else [])])
            pipeline.zadd(key, {f"{ahead_seconds:.3f} {said}": now})
            pipeline.expire(key, 2 * LISTED_SECONDS)
            pipeline.execute()

    def reports(self) -> list[ClockReport]:
        """The last report of each process that made one of late, by its name."""
        with redis_errors("reading the reports of clocks"):
            members = self.redis.zrangebyscore(self.keys("clocks"), self.now() - LISTED_SECONDS, "+inf")
        latest: dict[str, ClockReport] = {}
        for member in members:
            ahead, _, said = member.partition(" ")
            process, version, queues = (*said.split(_MARK), "", "")[:3]
            latest[process] = ClockReport(
                process=process,
                ahead_seconds=float(ahead),
                version=version,
                queues=tuple(filter(None, queues.split(","))),
            )
        return [latest[process] for process in sorted(latest)]

    def swept_at(self) -> float | None:
        """When the last sweep began, seconds since the epoch; None before the first: no worker ever ran."""
        with redis_errors("asking when the fleet was last swept"):
            at = self.redis.hget(self.keys("pulse"), "at")
        return None if at is None else float(at)
