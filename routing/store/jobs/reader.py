"""Jobs as they are in Redis: single ones, and the lists that they are on. Nothing here writes."""

import json
from collections.abc import Sequence
from typing import NamedTuple

import structlog

from routing.errors import CorruptRecordError
from routing.jobs.admission import Occupancy
from routing.jobs.job import Job
from routing.store.jobs.record import parsed_job
from routing.store.redis.faults import redis_errors
from routing.store.redis.store import Store

_log = structlog.get_logger(__name__)


class JobKind(NamedTuple):
    """What lists of jobs are filtered by, as it is stored; "" for what a job has not."""

    state: str
    template: str
    parent: str


class JobWords(NamedTuple):
    """What a job is found by, as it is stored; "" for what it has not."""

    issue: str
    title: str
    version: str  # `implementer@v3`
    reason: str


class JobWait(NamedTuple):
    """Where a queued job waits, and since when."""

    queue: str
    created_at: float


class JobReader(Store):
    """What is known of jobs, for views and ticks; `JobStore` adds the steps. One round trip a question.

    Lists are read by parts (`most`): none is as long as the history. An id may outlive its record, which
    expires: `read` and `read_many` have None for it, and the caller takes the id off the list if that is its
    task.

    Several answers are not a snapshot: a job may have moved between two calls, and between the lists of one
    overview. Decide by what a step answers, never by what was read before it. A record that cannot be read is
    a CorruptRecordError from `read`; `read_many` logs it and has None, as if it were gone.
    """

    def known(self, requests: Sequence[tuple[str, str]]) -> list[str]:
        """The jobs that idempotency digests, or issues, have led to; '' where none did."""
        with redis_errors("looking up requests"):
            pipeline = self.redis.pipeline(transaction=False)
            for once, issue in requests:
                pipeline.get(self.keys.idempotency(once))
                pipeline.hget(self.keys.issue(issue), "active")
            answers = pipeline.execute()
        return [first or active or "" for first, active in zip(answers[::2], answers[1::2], strict=True)]

    def occupancy(self) -> Occupancy:
        """How much of the limits is used."""
        now = self.now()
        with redis_errors("counting what is at work"):
            pipeline = self.redis.pipeline(transaction=False)
            pipeline.zcount(self.keys("leases"), f"({now:.6f}", "+inf")
            pipeline.zcard(self.keys("held"))
            pipeline.zcard(self.keys("limited"))
            pipeline.hget(self.keys("spent"), str(int(now // 86_400)))
            running, held, limited, spent = pipeline.execute()
        return Occupancy(running=running, held=held, limited=limited, spent_usd=float(spent or 0))

    def limited(self, most: int) -> list[str]:
        """Jobs that wait for an account, those of one gate together, each by its creation."""
        with redis_errors("reading what waits for accounts"):
            members = self.redis.zrangebylex(self.keys("limited"), "-", "+", start=0, num=most)
        return [member.rpartition(":")[2] for member in members]

    def repository_of(self, job: str) -> str:
        """The repository of a job; "" for none, and for a job without a record."""
        with redis_errors(f"reading job {job}"):
            request = self.redis.hget(self.keys.job(job), "request")
        return str(json.loads(request).get("repository", "")) if request else ""

    def gate_facts(self, job: str) -> tuple[str, int, str] | None:
        """What decides which accounts a job may use: template, number of its version, trial or "".

        None for a job without a record, and for one whose turn is finished: its delivery needs no account.
        """
        names = ("template", "version", "trial", "finished")
        with redis_errors(f"reading job {job}"):
            template, version, trial, finished = self.redis.hmget(self.keys.job(job), names)
        if not template or not version or finished:
            return None
        return template, int(version), trial or ""

    def children(self, parent: str) -> list[str]:
        """The children of a job that have not ended."""
        with redis_errors(f"reading the children of job {parent}"):
            members = self.redis.zrangebylex(self.keys("children"), f"[{parent}:", f"({parent}:~")
        return [member.removeprefix(f"{parent}:") for member in members]

    def bereaved(self, most: int) -> list[str]:
        """Jobs that failed, or were cancelled, before their children ended."""
        with redis_errors("reading whose children are left"):
            return sorted(self.redis.smembers(self.keys("bereaved")))[:most]

    def expired_leases(self, most: int) -> list[str]:
        """Running jobs whose lease has run out."""
        return self._until("leases", self.now(), most)

    def running(self, most: int | None = None) -> list[str]:
        """Running jobs, all or the first, by the end of their lease."""
        with redis_errors("reading leases"):
            return list(self.redis.zrange(self.keys("leases"), 0, -1 if most is None else most - 1))

    def queued(self, most: int) -> list[str]:
        """Queued jobs with room: those yet to be published, the earliest first, then those published."""
        outbox = self._until("outbox", float("inf"), most)
        return [*outbox, *self._until("unclaimed", float("inf"), most)][:most]

    def waiting(self, most: int) -> list[str]:
        """Pushed jobs, the longest waiting first."""
        return self._until("waiting", float("inf"), most)

    def dead(self, most: int) -> list[str]:
        """Dead letters, the oldest first."""
        return self._until("dead", float("inf"), most)

    def with_effects(self, most: int) -> list[str]:
        """Final jobs whose issue has yet to be updated: any of them, so that none keeps others waiting."""
        with redis_errors("reading effects"):
            return list(self.redis.srandmember(self.keys("effects"), most))

    def landings(self, most: int) -> list[str]:
        """Pushed jobs of which it is time to ask whether they were merged, closed or reverted."""
        return self._until("landing", self.now(), most)

    def newest(self, most: int, start: int = 0) -> list[str]:
        """Job ids, the newest first."""
        with redis_errors("listing jobs"):
            return list(self.redis.zrevrange(self.keys("jobs"), start, start + most - 1))

    def place_after(self, job: str) -> int | None:
        """The place in the list of `newest`, from 0, after that of a job; None for one that is not listed."""
        with redis_errors(f"looking for job {job}"):
            created = self.redis.zscore(self.keys("jobs"), job)
            if created is None:
                return None
            start = int(self.redis.zcount(self.keys("jobs"), f"({created!r}", "+inf"))
        # Many jobs may have been created in the same moment.
        while ids := self.newest(200, start):
            if job in ids:
                return start + ids.index(job) + 1
            start += len(ids)
        return None

    def read(self, job: str) -> Job | None:
        """One job; None when it does not exist, or no longer."""
        with redis_errors(f"reading job {job}"):
            fields = self.redis.hgetall(self.keys.job(job))
        return parsed_job(job, fields) if fields else None

    def read_many(self, jobs: Sequence[str]) -> list[Job | None]:
        """Several jobs in one round trip; an unreadable record is logged, and does not hide the others."""
        with redis_errors("reading jobs"):
            pipeline = self.redis.pipeline(transaction=False)
            for job in jobs:
                pipeline.hgetall(self.keys.job(job))
            found = pipeline.execute()
        return [_readable(job, fields) if fields else None for job, fields in zip(jobs, found, strict=True)]

    def kinds(self, jobs: Sequence[str]) -> list[JobKind]:
        """What lists are filtered by, of several jobs in one round trip; "" for what is not there."""
        return [JobKind(*fields) for fields in self._some(jobs, "state", "template", "parent")]

    def words(self, jobs: Sequence[str]) -> list[JobWords | None]:
        """What jobs are found by, in one round trip, not reading them whole; None for one that is gone."""
        found = self._some(jobs, "request", "template", "version", "reason")
        return [_words(*fields) for fields in found]

    def waits(self, jobs: Sequence[str]) -> list[JobWait]:
        """Where queued jobs wait, in one round trip; without those that are gone or damaged."""
        found = self._some(jobs, "queue", "created_at")
        read = [(queue or "champion", _seconds(at)) for queue, at in found]
        return [JobWait(queue, at) for queue, at in read if at is not None]

    def _some(self, jobs: Sequence[str], *names: str) -> list[list[str]]:
        """Some fields of several jobs; "" for what is not there."""
        with redis_errors("reading jobs"):
            pipeline = self.redis.pipeline(transaction=False)
            for job in jobs:
                pipeline.hmget(self.keys.job(job), names)
            found = pipeline.execute()
        return [[field or "" for field in fields] for fields in found]

    def active_on(self, issues: Sequence[str]) -> list[tuple[str, int]]:
        """For each issue the job at work on it ('' for none) and the number of jobs that ended on it."""
        with redis_errors("reading issues"):
            pipeline = self.redis.pipeline(transaction=False)
            for issue in issues:
                pipeline.hmget(self.keys.issue(issue), ["active", "rounds"])
            return [(active or "", int(rounds or 0)) for active, rounds in pipeline.execute()]

    def spent_on(self, issue: str) -> float:
        """What the jobs that have ended on an issue have cost together, in USD."""
        with redis_errors(f"reading what issue {issue} has cost"):
            return float(self.redis.hget(self.keys.issue(issue), "spent_usd") or 0.0)

    def depths(self) -> dict[str, int]:
        """How many jobs are in each kind of list, for overviews.

        `queued`: yet to be published, published and not claimed, without room, or without an account.
        `running`: claimed, with a lease, which may have run out until the sweep comes. `waiting`: pushed, and
        CI is watched. `dead`: listed as dead letters, for a person to retry or to leave.
        """
        with redis_errors("counting jobs"):
            pipeline = self.redis.pipeline(transaction=False)
            for index in ("outbox", "unclaimed", "held", "limited", "leases", "waiting", "dead"):
                pipeline.zcard(self.keys(index))
            outbox, unclaimed, held, limited, running, waiting, dead = pipeline.execute()
        return {
            "queued": outbox + unclaimed + held + limited,
            "running": running,
            "waiting": waiting,
            "dead": dead,
        }

    def _until(self, index: str, score: float, most: int) -> list[str]:
        with redis_errors(f"reading {index}"):
            return list(self.redis.zrangebyscore(self.keys(index), "-inf", score, start=0, num=most))


def _readable(job: str, fields: dict[str, str]) -> Job | None:
    try:
        return parsed_job(job, fields)
    except CorruptRecordError as error:
        _log.error("job.unreadable", job=job, reason=str(error))
        return None


def _words(request: str, template: str, version: str, reason: str) -> JobWords | None:
    """From the stored fields; None for a record that has no request, or one that cannot be read."""
    try:
        asked = json.loads(request)
        issue, title = str(asked.get("issue") or ""), str(asked.get("title") or "")
    except (ValueError, AttributeError):
        return None
    return JobWords(issue=issue, title=title, version=f"{template}@v{version}", reason=reason)


def _seconds(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:  # "" for a record that is gone, or one that cannot be read
        return None
