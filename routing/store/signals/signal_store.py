"""Signals in Redis, and the order in which jobs are scored."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import structlog

from routing.errors import CorruptRecordError
from routing.jobs.job import Job
from routing.jobs.signal import Signal, parsed_signal
from routing.store.jobs.record import parsed_job
from routing.store.redis.faults import redis_errors
from routing.store.redis.store import Store

_log = structlog.get_logger(__name__)

#: Seconds after which a job that could not be read is looked at again.
PUT_OFF_SECONDS = 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Scoring:
    """What is written about a job's worth, computed from `seen` signals."""

    job: str
    seen: int
    what: Literal["settled", "excluded", "provisional", "late", "defer"]
    score: float | None = None
    reason: str = ""
    trial: str = ""
    settlement: str = ""  # JSON for the trial's ledger
    look_again_at: float | None = None  # seconds since the epoch; None: never

    def values(self) -> list[Any]:
        """The script's arguments behind the time."""
        score = "" if self.score is None else repr(self.score)
        again = "" if self.look_again_at is None else f"{self.look_again_at:.6f}"
        data = json.dumps({"score": self.score, "reason": self.reason, "excluded": self.what == "excluded"})
        return [
            self.job, self.seen, self.what, score, self.reason, self.settlement, self.trial, again, data,
        ]  # fmt: skip


class SignalStore(Store):
    """One call a step."""

    def add(self, job: str, signals: Sequence[Signal]) -> int:
        """Record facts about a job, each once; returns how many were new, -1 for an unknown job."""
        keys = self.keys
        return int(self.run(
            "signal_add",
            [keys.job(job), keys.signals(job), keys("due"), keys("events")],
            job, *(part for signal in signals for part in (signal.id, signal.model_dump_json())),
            doing=f"recording signals of job {job}",
        ))  # fmt: skip

    def read(self, job: str) -> list[Signal]:
        """The facts about a job, by time."""
        with redis_errors(f"reading signals of job {job}"):
            return _sorted(self.redis.hvals(self.keys.signals(job)))

    def due(self, most: int) -> list[str]:
        """Jobs that must be looked at now, the longest due first."""
        with redis_errors("reading due jobs"):
            return list(self.redis.zrangebyscore(self.keys("due"), "-inf", self.now(), start=0, num=most))

    def read_due(self, jobs: Sequence[str]) -> list[tuple[str, Job | None, list[Signal]]]:
        """Jobs with their signals, in one round trip; unreadable ones are logged, put off and left out."""
        with redis_errors("reading due jobs"):
            pipeline = self.redis.pipeline(transaction=False)
            for job in jobs:
                pipeline.hgetall(self.keys.job(job))
                pipeline.hvals(self.keys.signals(job))
            answers = pipeline.execute()
        pairs = zip(jobs, answers[::2], answers[1::2], strict=True)
        found = []
        for job, fields, facts in pairs:
            try:
                found.append((job, parsed_job(job, fields) if fields else None, _sorted(facts)))
            except CorruptRecordError as error:
                _log.error("job.unreadable", job=job, reason=str(error))
                self._put_off(job)
        return found

    def _put_off(self, job: str) -> None:
        with redis_errors(f"putting off job {job}"):
            self.redis.zadd(self.keys("due"), {job: self.now() + PUT_OFF_SECONDS}, xx=True)

    def score(self, scorings: Sequence[Scoring]) -> list[str]:
        """Write scores in one round trip: 'ok', 'stale', 'already' or 'missing' each."""
        keys = self.keys
        with redis_errors("writing scores"):
            pipeline = self.redis.pipeline(transaction=False)
            for scoring in scorings:
                job, trial = keys.job(scoring.job), scoring.trial
                names = [
                    job, keys.signals(scoring.job), keys("due"), keys.settlements(trial) if trial else job,
                    keys("trials", "moved"), keys("events"),
                ]  # fmt: skip
                arguments = [self.now_argument(), *scoring.values()]
                self.scripts("job_score", names, arguments, pipeline=pipeline)
            return list(pipeline.execute())


def _sorted(facts: Sequence[str]) -> list[Signal]:
    return sorted(map(parsed_signal, facts), key=lambda signal: (signal.at, signal.id))
