"""How far events were traced, and what is remembered of each job meanwhile."""

from collections.abc import Mapping, Sequence

from routing.store.redis.faults import redis_errors
from routing.store.redis.store import Store

#: Seconds for which is kept what was traced of a job: as long as a score may take, and jobs are kept.
_KEPT_SECONDS = 40 * 86_400


class TraceStore(Store):
    """Texts of `tasks.telemetry`, by job, and one place in the stream of events."""

    def place(self) -> str | None:
        """The id of the last event that was traced; None before the first."""
        with redis_errors("reading how far events were traced"):
            found = self.redis.get(self.keys("traced"))
        return None if found is None else str(found)

    def read(self, jobs: Sequence[str]) -> list[str | None]:
        """What is remembered of jobs."""
        if not jobs:
            return []
        with redis_errors("reading what was traced of jobs"):
            return list(self.redis.mget([self.keys("traced", job) for job in jobs]))

    def move(self, place: str, traced: Mapping[str, str]) -> None:
        """Note that events up to a place were traced, and what to remember of their jobs, in one step."""
        with redis_errors("noting how far events were traced"):
            pipeline = self.redis.pipeline(transaction=True)
            for job, text in traced.items():
                pipeline.set(self.keys("traced", job), text, ex=_KEPT_SECONDS)
            pipeline.set(self.keys("traced"), place)
            pipeline.execute()
