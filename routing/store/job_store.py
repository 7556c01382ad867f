"""Jobs in Redis: accepting, claiming, moving, and the order in which they are looked at."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from redis import Redis

from routing.admission import WAITS, Limits, Occupancy
from routing.errors import CorruptRecordError
from routing.job import Job, JobResult, JobState
from routing.repair import Repair
from routing.signal import Signal
from routing.store.acceptance import PUBLISH_SECONDS, UNCLAIMED_SECONDS, Acceptance
from routing.store.faults import redis_errors
from routing.store.job_record import parsed_job, repair_fields, result_fields
from routing.store.keys import Keys
from routing.store.store import Store

_log = structlog.get_logger(__name__)


_NO_LIMITS = Limits()

_WAITS = json.dumps(WAITS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """A step of a job from one of some states to another."""

    job: str
    allowed: Sequence[JobState]
    to: JobState
    event: str
    fence: int | None = None  # the lease that the caller holds; None for the ticks
    reason: str = ""
    delay_seconds: float = 0.0  # before it may be claimed again
    result: JobResult | None = None
    kind: str = ""  # of the next turn
    repair: Repair | None = None  # what a corrective turn is about
    judged: Sequence[str] = ()  # with a repair: the commits that CI was red at
    signals: Sequence[Signal] = ()
    issue: str = ""  # that a 'fresh' job goes on with
    flags: Iterable[str] = ()  # refund, dead, expired, fresh, mend: see job_move.lua
    data: dict[str, Any] = field(default_factory=dict)


class JobStore(Store):
    """One call a step; the answers are the scripts' own words."""

    def __init__(
        self, redis: "Redis", keys: Keys, clock: Callable[[], float] | None = None, *,
        retention_seconds: int = 2_592_000, limits: Limits = _NO_LIMITS,
    ) -> None:  # fmt: skip
        super().__init__(redis, keys, clock)
        self.retention_seconds = retention_seconds  # for which finished jobs are remembered
        self.limits = limits
        self._limits = [limits.agents_at_once, limits.per_repository, limits.day_cost_usd]

    def accept(self, step: Acceptance) -> list[str]:
        """Accept jobs of one route; the answer has two words for each."""
        with redis_errors("enqueuing jobs"):
            answer: list[str] = self.scripts("job_enqueue", *self._call(step))
        return answer

    def accept_many(self, steps: Iterable[Acceptance]) -> list[list[str]]:
        """Carry out several steps, each of its own; one is sent while the next is made."""
        with redis_errors("enqueuing jobs"):
            return self.scripts.stream("job_enqueue", map(self._call, steps))

    def _call(self, step: Acceptance) -> tuple[list[str], list[Any]]:
        return step.keys(self.keys), [self.now_argument(), *step.arguments()]

    def known(self, requests: Sequence[tuple[str, str]]) -> list[str]:
        """The jobs that idempotency digests, or issues, have led to; '' where none did."""
        with redis_errors("looking up requests"):
            pipeline = self.redis.pipeline(transaction=False)
            for once, issue in requests:
                pipeline.get(self.keys.idempotency(once))
                pipeline.hget(self.keys.issue(issue), "active")
            answers = pipeline.execute()
        return [first or active or "" for first, active in zip(answers[::2], answers[1::2], strict=True)]

    def claim(self, job: str, *, lease_seconds: float, worker: str) -> tuple[str, Job | None]:
        """Win a job's lease; returns ('ok', job) or (why not, None)."""
        keys = self.keys
        answer = self.run(
            "job_claim",
            [keys.job(job), keys("outbox"), keys("leases"), keys("paused"), keys("rejected"), keys("events"),
             keys("unclaimed"), keys("held"), keys("at_work"), keys("spent")],
            job, lease_seconds, worker, *self._limits, _WAITS,
            doing=f"claiming job {job}",
        )  # fmt: skip
        if answer[0] != "ok":
            return str(answer[0]), None
        return "ok", parsed_job(job, dict(zip(answer[1::2], answer[2::2], strict=True)))

    def reroute(
        self, job: Job, *, champion: int, content_hash: str, source_commit: str, settlement: str
    ) -> str:
        """Give a queued job of a rejected version to the champion."""
        keys = self.keys
        settlements = keys.settlements(job.trial) if job.trial else keys.job(job.id)
        return str(self.run(
            "job_reroute",
            [keys.job(job.id), keys("champions"), keys("rejected"), keys("events"), settlements,
             keys("trials", "moved")],
            job.id, champion, content_hash, source_commit, settlement,
            doing=f"rerouting job {job.id}",
        ))  # fmt: skip

    def move(self, step: Move) -> str:
        """Move a job to another state."""
        keys = self.keys
        fields = result_fields(step.result) if step.result else []
        if step.kind:
            fields += ["kind", step.kind]
        if step.repair:
            fields += repair_fields(step.repair, step.judged)
        facts = [part for signal in step.signals for part in (signal.id, signal.model_dump_json())]
        return str(self.run(
            "job_move",
            [keys.job(step.job), keys("leases"), keys("waiting"), keys("outbox"), keys("dead"),
             keys("events"), keys.signals(step.job), keys("due"), keys("effects"), keys("unclaimed"),
             keys("landing"), keys.issue(step.issue) if step.issue else keys.job(step.job),
             keys("held"), keys("at_work"), keys("spent"), keys("children"), keys("bereaved")],
            step.job, ",".join(step.allowed), step.to, "" if step.fence is None else step.fence,
            step.reason, step.delay_seconds, self.retention_seconds, step.event,
            json.dumps({"state": step.to, "reason": step.reason} | step.data),
            json.dumps(fields), json.dumps(facts), ",".join(step.flags),
            doing=f"moving job {step.job} to {step.to}",
        ))  # fmt: skip

    def cancel_running(self, job: str, reason: str) -> str:
        """Ask a running job's worker to end it."""
        return str(self.run(
            "job_cancel",
            [self.keys.job(job), self.keys("events"), self.keys("children"), self.keys("bereaved")],
            job, reason,
            doing=f"cancelling job {job}",
        ))  # fmt: skip

    def wake(self, job: str) -> str:
        """Have a job published now whose agent waits for mail."""
        return str(self.run(
            "job_wake", [self.keys.job(job), self.keys("outbox"), self.keys("events")], job,
            doing=f"waking job {job}",
        ))  # fmt: skip

    def renew(self, held: Sequence[tuple[str, int]], *, extend_seconds: float) -> list[str]:
        """Look at leases and extend them, unless by 0: 'ok', 'lost' or 'cancel:REASON' each."""
        if not held:
            return []
        return list(self.run(
            "lease_renew",
            [self.keys("leases"), *(self.keys.job(job) for job, _ in held)],
            extend_seconds, *(part for job, fence in held for part in (job, fence)),
            doing="renewing leases",
        ))  # fmt: skip

    def take_outbox(self, most: int) -> list[str]:
        """Queued jobs whose message is to be published now."""
        return self._take("outbox", most, PUBLISH_SECONDS)

    def release_held(self, most: int) -> int:
        """Have jobs published that waited for room, as many as there is room for; returns how many."""
        names = ("held", "outbox", "leases", "at_work", "spent", "paused")
        return int(self.run(
            "held_release", [self.keys(name) for name in names], *self._limits, most,
            doing="making use of room",
        ))  # fmt: skip

    def occupancy(self) -> Occupancy:
        """How much of the limits is used."""
        now = self.now()
        with redis_errors("counting what is at work"):
            pipeline = self.redis.pipeline(transaction=False)
            pipeline.zcount(self.keys("leases"), f"({now:.6f}", "+inf")
            pipeline.zcard(self.keys("held"))
            pipeline.hget(self.keys("spent"), str(int(now // 86_400)))
            running, held, spent = pipeline.execute()
        return Occupancy(running=running, held=held, spent_usd=float(spent or 0))

    def take_unclaimed(self, most: int) -> list[str]:
        """Queued jobs whose message was published a while ago and that nobody has claimed."""
        return self._take("unclaimed", most, UNCLAIMED_SECONDS)

    def _take(self, index: str, most: int, again_seconds: float) -> list[str]:
        return list(self.run(
            "outbox_take", [self.keys(index), self.keys("paused")], most, again_seconds,
            doing=f"reading the {index} jobs",
        ))  # fmt: skip

    def published(self, jobs: Sequence[str]) -> None:
        """Note that messages of jobs were published."""
        if jobs:
            self.run(
                "outbox_published",
                [self.keys("outbox"), self.keys("unclaimed"), *map(self.keys.job, jobs)],
                UNCLAIMED_SECONDS, *jobs,
                doing="noting publications",
            )  # fmt: skip

    def effects_done(self, job: str, issue: str) -> None:
        """Note that a final job's issue was told of its end."""
        with redis_errors(f"freeing issue {issue}"):
            self.scripts(
                "effects_done", [self.keys("effects"), self.keys.issue(issue)], [job, self.retention_seconds]
            )

    def children(self, parent: str) -> list[str]:
        """The children of a job that have not ended."""
        with redis_errors(f"reading the children of job {parent}"):
            members = self.redis.zrangebylex(self.keys("children"), f"[{parent}:", f"({parent}:~")
        return [member.removeprefix(f"{parent}:") for member in members]

    def disown(self, parent: str, child: str) -> None:
        """Forget a child whose record is gone."""
        with redis_errors(f"forgetting job {child}"):
            self.redis.zrem(self.keys("children"), f"{parent}:{child}")

    def bereaved(self, most: int) -> list[str]:
        """Jobs that failed, or were cancelled, before their children ended."""
        with redis_errors("reading whose children are left"):
            return sorted(self.redis.smembers(self.keys("bereaved")))[:most]

    def seen_to(self, parent: str) -> None:
        """The children of a job that ended badly are seen to."""
        with redis_errors(f"seeing to the children of job {parent}"):
            self.redis.srem(self.keys("bereaved"), parent)

    def expired_leases(self, most: int) -> list[str]:
        """Running jobs whose lease has run out."""
        return self._until("leases", self.now(), most)

    def running(self, most: int) -> list[str]:
        """Running jobs, those first whose lease ends first."""
        return self._until("leases", float("inf"), most)

    def waiting(self, most: int) -> list[str]:
        """Pushed jobs, the longest waiting first."""
        return self._until("waiting", float("inf"), most)

    def dead(self, most: int) -> list[str]:
        """Dead letters, the oldest first."""
        return self._until("dead", float("inf"), most)

    def _until(self, index: str, score: float, most: int) -> list[str]:
        with redis_errors(f"reading {index}"):
            return list(self.redis.zrangebyscore(self.keys(index), "-inf", score, start=0, num=most))

    def land(self, job: str, fence: int) -> bool:
        """Say that a waiting job's branch is about to be merged; False when it is not to be any more."""
        return bool(self.run("job_land", [self.keys.job(job)], fence, doing=f"landing job {job}"))

    def watched(self, jobs: Sequence[str]) -> None:
        """Put waiting jobs behind those that were not looked at."""
        if jobs:
            with redis_errors("noting what was watched"):
                now = self.now()
                self.redis.zadd(self.keys("waiting"), dict.fromkeys(jobs, now), xx=True)

    def forget(self, job: str) -> None:
        """Drop what the watcher's lists hold of a job whose record is gone."""
        with redis_errors(f"forgetting job {job}"):
            pipeline = self.redis.pipeline(transaction=False)
            pipeline.zrem(self.keys("waiting"), job)
            pipeline.zrem(self.keys("landing"), job)
            pipeline.srem(self.keys("effects"), job)
            pipeline.execute()

    def with_effects(self, most: int) -> list[str]:
        """Final jobs whose issue is yet to be told: any of them, so that none keeps others waiting."""
        with redis_errors("reading effects"):
            return list(self.redis.srandmember(self.keys("effects"), most))

    def newest(self, most: int, start: int = 0) -> list[str]:
        """Job ids, the newest first."""
        with redis_errors("listing jobs"):
            return list(self.redis.zrevrange(self.keys("jobs"), start, start + most - 1))

    def read(self, job: str) -> Job | None:
        """One job; None when there is none (any more)."""
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

    def landings(self, most: int) -> list[str]:
        """Pushed jobs of which it is time to ask whether they were merged, thrown away or reverted."""
        return self._until("landing", self.now(), most)

    def look_again(self, job: str, *, at: float | None) -> None:
        """Put off the next look at a pushed job; None: no more looks."""
        with redis_errors(f"watching job {job}"):
            if at is None:
                self.redis.zrem(self.keys("landing"), job)
            else:
                self.redis.zadd(self.keys("landing"), {job: at}, xx=True)

    def active_on(self, issues: Sequence[str]) -> list[tuple[str, int]]:
        """For each issue the job at work on it ('' for none) and the number of jobs that ended on it."""
        with redis_errors("reading issues"):
            pipeline = self.redis.pipeline(transaction=False)
            for issue in issues:
                pipeline.hmget(self.keys.issue(issue), ["active", "rounds"])
            return [(active or "", int(rounds or 0)) for active, rounds in pipeline.execute()]

    def depths(self) -> dict[str, int]:
        """How many jobs stand where, for overviews."""
        with redis_errors("counting jobs"):
            pipeline = self.redis.pipeline(transaction=False)
            for index in ("outbox", "unclaimed", "held", "leases", "waiting", "dead"):
                pipeline.zcard(self.keys(index))
            outbox, unclaimed, held, running, waiting, dead = pipeline.execute()
        return {"queued": outbox + unclaimed + held, "running": running, "waiting": waiting, "dead": dead}

    def trim(self, *, before: float) -> int:
        """Forget index entries of jobs created before a time; their records expire by themselves.

        Jobs that were to be settled before it were not, as nobody harvests while canaries are off.
        """
        with redis_errors("trimming the index of jobs"):
            dropped = self.redis.zremrangebyscore(self.keys("jobs"), "-inf", before)
            for index in ("dead", "due"):
                self.redis.zremrangebyscore(self.keys(index), "-inf", before)
        return int(dropped)


def _readable(job: str, fields: dict[str, str]) -> Job | None:
    try:
        return parsed_job(job, fields)
    except CorruptRecordError as error:
        _log.error("job.unreadable", job=job, reason=str(error))
        return None
