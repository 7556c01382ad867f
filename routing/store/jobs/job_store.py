"""Jobs in Redis: accepting, claiming, moving, and what the lists of them forget."""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from redis import Redis

from routing.jobs.admission import WAITS, AdmissionLimits
from routing.jobs.job import Job
from routing.store.jobs.acceptance import PUBLISH_SECONDS, UNCLAIMED_SECONDS, Acceptance
from routing.store.jobs.move import Move
from routing.store.jobs.reader import JobReader
from routing.store.jobs.record import parsed_job
from routing.store.redis.faults import redis_errors
from routing.store.redis.keys import Keys

_NO_LIMITS = AdmissionLimits()

_WAITS = json.dumps(WAITS)


class JobStore(JobReader):
    """One call a step; the answers are the scripts' own words."""

    def __init__(
        self, redis: "Redis", keys: Keys, clock: Callable[[], float] | None = None, *,
        retention_seconds: int = 2_592_000, limits: AdmissionLimits = _NO_LIMITS,
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
        return str(self.run(
            "job_move", step.keys(self.keys), *step.arguments(self.retention_seconds),
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

    def effects_done(self, job: str, issue: str, *, spent_usd: float = 0.0) -> None:
        """Note that a final job's issue was told of its end, and what the job has cost."""
        with redis_errors(f"freeing issue {issue}"):
            self.scripts(
                "effects_done", [self.keys("effects"), self.keys.issue(issue)],
                [job, self.retention_seconds, spent_usd],
            )  # fmt: skip

    def tell_again(self, job: str) -> None:
        """Have a final job's issue told of its end once more."""
        with redis_errors(f"having the issue of job {job} told"):
            self.redis.sadd(self.keys("effects"), job)

    def disown(self, parent: str, child: str) -> None:
        """Forget a child whose record is gone."""
        with redis_errors(f"forgetting job {child}"):
            self.redis.zrem(self.keys("children"), f"{parent}:{child}")

    def seen_to(self, parent: str) -> None:
        """The children of a job that ended badly are seen to."""
        with redis_errors(f"seeing to the children of job {parent}"):
            self.redis.srem(self.keys("bereaved"), parent)

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

    def look_again(self, job: str, *, at: float | None) -> None:
        """Put off the next look at a pushed job; None: no more looks."""
        with redis_errors(f"watching job {job}"):
            if at is None:
                self.redis.zrem(self.keys("landing"), job)
            else:
                self.redis.zadd(self.keys("landing"), {job: at}, xx=True)

    def trim(self, *, before: float) -> int:
        """Forget index entries of jobs created before a time; their records expire by themselves.

        Jobs that were to be settled before it were not, as nobody harvests while canaries are off.
        """
        with redis_errors("trimming the index of jobs"):
            dropped = self.redis.zremrangebyscore(self.keys("jobs"), "-inf", before)
            for index in ("dead", "due"):
                self.redis.zremrangebyscore(self.keys(index), "-inf", before)
        return int(dropped)
