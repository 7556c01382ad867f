"""What agents say, kept in Redis for a while: bounded, a stream a job. Losing it loses no work."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from redis import Redis

from routing.store.redis.faults import redis_errors
from routing.store.redis.keys import Keys
from routing.store.redis.store import Store

#: Entries kept of one job.
KEPT = 500

#: Characters kept of one entry.
TEXT_LENGTH = 2000

#: Seconds for which the log of a job is kept after its last entry.
LOG_SECONDS = 7 * 86_400


@dataclass(frozen=True, kw_only=True, slots=True)
class LogLine:
    """One entry, redacted by its writer."""

    id: str  # of the stream
    kind: str  # text, tool, result, …
    text: str


class LogStore(Store):
    """What agents say, for people who watch a job. Nothing is decided by it, and what is lost is not missed.

    `say` only collects, as many agents say much: it does not speak to the server and never fails. `flush`
    writes what all threads have collected. The lease keeper calls it again and again, and a worker once more
    when a job's attempt has ended. If the server does not answer, what was collected is lost, and
    UnavailableError says so.

    One a process, because it holds what is not written yet. Entries are redacted before they come here. A
    stream keeps about KEPT entries, and expires LOG_SECONDS after the last one.
    """

    def __init__(self, redis: "Redis", keys: Keys, clock: Callable[[], float] | None = None) -> None:
        super().__init__(redis, keys, clock)
        self._waiting: dict[str, list[tuple[str, str]]] = {}
        self._lock = threading.Lock()

    def say(self, job: str, kind: str, text: str) -> None:
        """Collect an entry; of more than a stream holds between two flushes, the latest are kept."""
        with self._lock:
            lines = self._waiting.setdefault(job, [])
            lines.append((kind, text[:TEXT_LENGTH]))
            del lines[:-KEPT]

    def flush(self) -> None:
        """Write what was collected, in one round trip."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        if not waiting:
            return
        with redis_errors("writing the logs of jobs"):
            pipeline = self.redis.pipeline(transaction=False)
            for job, lines in waiting.items():
                key = self.keys.log(job)
                for kind, text in lines:
                    pipeline.xadd(key, {"kind": kind, "text": text}, maxlen=KEPT, approximate=True)
                pipeline.expire(key, LOG_SECONDS)
            pipeline.execute()

    def read(self, job: str, *, after: str = "0-0", wait_seconds: float = 0.0) -> Iterator[LogLine]:
        """Entries after the id `after`, waiting for the first one if asked."""
        block = int(wait_seconds * 1000) or None
        with redis_errors(f"reading the log of job {job}"):
            answer = self.redis.xread({self.keys.log(job): after}, block=block)
        for _, entries in answer:
            for identifier, fields in entries:
                yield LogLine(id=identifier, kind=fields["kind"], text=fields["text"])
