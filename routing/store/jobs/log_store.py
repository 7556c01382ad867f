"""What agents say, and what their turns cost meanwhile, kept in Redis bounded; losing it loses no work."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import structlog
from redis import Redis
from redis.exceptions import DataError, ResponseError

from routing.cost import Cost
from routing.errors import CoalmineError
from routing.store.redis.faults import redis_errors, translate
from routing.store.redis.keys import Keys
from routing.store.redis.store import Store

#: Entries kept of one job.
KEPT = 500

#: Characters kept of one entry.
TEXT_LENGTH = 2000

#: Seconds for which the log of a job is kept after its last entry.
LOG_SECONDS = 7 * 86_400

#: Seconds for which is kept what a turn has cost so far, after it last said so.
SPENDING_SECONDS = 86_400

#: Entries that are sent at once: what is lost together when the connection breaks.
SENT_AT_ONCE = 200

_log = structlog.get_logger(__name__)


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
    when a job's attempt has ended. An entry that the server refuses is lost alone, and counted in `lost`. If
    the server does not answer, what was just sent is lost, and UnavailableError says so; the rest waits.

    One a process, because it holds what is not written yet. Entries are redacted before they come here. A
    stream keeps about KEPT entries, and expires LOG_SECONDS after the last one.
    """

    def __init__(self, redis: "Redis", keys: Keys, clock: Callable[[], float] | None = None) -> None:
        super().__init__(redis, keys, clock)
        self.lost = 0  # entries that the server, or the driver, would not take
        self._waiting: dict[str, list[tuple[str, str]]] = {}
        self._spending: dict[str, str] = {}  # by job, what its turn has cost so far
        self._lock = threading.Lock()

    def say(self, job: str, kind: str, text: str) -> None:
        """Collect an entry; of more than a stream holds between two flushes, the latest are kept."""
        with self._lock:
            lines = self._waiting.setdefault(job, [])
            lines.append((kind, _storable(text)))
            del lines[:-KEPT]

    def spend(self, job: str, fence: int, cost: Cost) -> None:
        """Collect what a job's turn has cost so far; only the newest word of it is written.

        The turn's end counts it for good: this is what people see until then.
        """
        with self._lock:
            self._spending[job] = json.dumps({"fence": fence, "cost": dict(cost.measures())})

    def flush(self) -> None:
        """Write what was collected, in one round trip for every SENT_AT_ONCE entries; spending is another."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
            spending, self._spending = self._spending, {}
        self._write_lines(waiting)
        if spending:
            with redis_errors("writing what turns have cost"):
                pipeline = self.redis.pipeline(transaction=False)
                for job, record in spending.items():
                    pipeline.set(self.keys.spending(job), record, ex=SPENDING_SECONDS)
                pipeline.execute()

    def spending(self, turns: Sequence[tuple[str, int]]) -> list[Cost | None]:
        """What turns that are run have cost so far, by job and fence of its lease; None where nobody said.

        What an earlier turn of the job has left is passed over.
        """
        if not turns:
            return []
        with redis_errors("reading what turns have cost"):
            found = self.redis.mget([self.keys.spending(job) for job, _ in turns])
        return [_spent(record, fence) for record, (_, fence) in zip(found, turns, strict=True)]

    def last_lines(self, jobs: Sequence[str]) -> list[LogLine | None]:
        """The last entry of each job's log, in one round trip; None where there is none."""
        with redis_errors("reading the last lines of logs"):
            pipeline = self.redis.pipeline(transaction=False)
            for job in jobs:
                pipeline.xrevrange(self.keys.log(job), count=1)
            found = pipeline.execute() if jobs else []
        return [
            LogLine(id=entries[0][0], kind=entries[0][1]["kind"], text=entries[0][1]["text"])
            if entries
            else None
            for entries in found
        ]

    def _write_lines(self, waiting: Mapping[str, Sequence[tuple[str, str]]]) -> None:
        """Write entries by parts; what comes after a part that was not sent is put back."""
        entries = [(job, *line) for job, lines in waiting.items() for line in lines]
        for start in range(0, len(entries), SENT_AT_ONCE):
            try:
                with redis_errors("writing the logs of jobs"):
                    self._write(entries[start : start + SENT_AT_ONCE])
            except CoalmineError:
                self._put_back(entries[start + SENT_AT_ONCE :])
                raise

    def _write(self, entries: Sequence[tuple[str, str, str]]) -> None:
        """Send entries together; what the driver cannot send is found by sending each alone."""
        pipeline = self.redis.pipeline(transaction=False)
        for job, kind, text in entries:
            pipeline.xadd(self.keys.log(job), {"kind": kind, "text": text}, maxlen=KEPT, approximate=True)
        for job in dict.fromkeys(job for job, _, _ in entries):
            pipeline.expire(self.keys.log(job), LOG_SECONDS)
        try:
            answers = pipeline.execute(raise_on_error=False)
        except (DataError, UnicodeError) as error:  # raised before anything is sent
            if len(entries) == 1:
                self._note_lost([error])
                return
            for entry in entries:
                self._write([entry])
            return
        self._note_lost([answer for answer in answers[: len(entries)] if isinstance(answer, Exception)])

    def _note_lost(self, errors: Sequence[Exception]) -> None:
        """Count what was refused; raise the error of a server that takes nothing for now."""
        self.lost += len(errors)
        for error in errors:
            if isinstance(error, ResponseError) and translate(error, doing="") is not None:
                raise error
        if errors:
            _log.warning("log.lines_lost", lines=len(errors), reason=str(errors[0]))

    def _put_back(self, entries: Sequence[tuple[str, str, str]]) -> None:
        """Have entries written by the next flush, before those that were collected meanwhile."""
        before: dict[str, list[tuple[str, str]]] = {}
        for job, kind, text in entries:
            before.setdefault(job, []).append((kind, text))
        with self._lock:
            for job, lines in before.items():
                self._waiting[job] = [*lines, *self._waiting.get(job, [])][-KEPT:]

    def read(self, job: str, *, after: str = "0-0", wait_seconds: float = 0.0) -> Iterator[LogLine]:
        """Entries after the id `after`, waiting for the first one if asked."""
        block = int(wait_seconds * 1000) or None
        with redis_errors(f"reading the log of job {job}"):
            answer = self.redis.xread({self.keys.log(job): after}, block=block)
        for _, entries in answer:
            for identifier, fields in entries:
                yield LogLine(id=identifier, kind=fields["kind"], text=fields["text"])


def _storable(text: str) -> str:
    """The text as UTF-8 can say it, cut to TEXT_LENGTH: a lone surrogate becomes a question mark."""
    return text[:TEXT_LENGTH].encode("utf-8", "replace").decode()


def _spent(record: str | None, fence: int) -> Cost | None:
    """The cost of a record that belongs to the fence; None for another's, and for one that cannot be read."""
    try:
        stored = json.loads(record or "{}")
        if stored.get("fence") != fence:
            return None
        return Cost.stored(stored["cost"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
