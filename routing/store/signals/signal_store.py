"""Signals in Redis, and the order in which jobs are scored.

A new signal makes its job due. A score is written only when it was computed from all signals that are
stored, so the harvest may race with them; the loser's job stays due.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import structlog

from routing.errors import CorruptRecordError
from routing.jobs.job import Job
from routing.jobs.signal import Signal, parsed_signal
from routing.store.jobs.record import parsed_job
from routing.store.redis.faults import redis_errors
from routing.store.redis.keys import Keys
from routing.store.redis.scripts import Script
from routing.store.redis.store import Store

_log = structlog.get_logger(__name__)

#: Seconds after which a job that could not be read is looked at again.
PUT_OFF_SECONDS = 3600.0


class ScoringKind(StrEnum):
    """What is written about a job's worth. The values are known to `job_score`, and stored in the ledger."""

    SETTLED = "settled"  # final, and happens once
    EXCLUDED = "excluded"  # the same, without a score
    PROVISIONAL = "provisional"  # may change
    LATE = "late"  # what signals after the final score would make of it
    AGED = "aged"  # it has none yet, and is late with it: noted once
    DEFER = "defer"  # no score, only the time of the next look


@dataclass(frozen=True, kw_only=True, slots=True)
class Scoring:
    """What is written about a job's worth, computed from `seen` signals."""

    job: str
    seen: int
    what: ScoringKind
    score: float | None = None
    reason: str = ""
    trial: str = ""
    settlement: str = ""  # JSON for the trial's ledger
    look_again_at: float | None = None  # seconds since the epoch; None: never

    def values(self, keys: Keys) -> dict[str, Any]:
        """What the script is given."""
        job = keys.job(self.job)
        data = {"score": self.score, "reason": self.reason, "excluded": self.what is ScoringKind.EXCLUDED}
        return {
            "job": job,
            "signals": keys.signals(self.job),
            "settlements": keys.settlements(self.trial) if self.trial else job,
            "id": self.job,
            "seen": self.seen,
            "what": self.what,
            "score": None if self.score is None else repr(self.score),
            "reason": self.reason,
            "settlement": self.settlement,
            "trial": self.trial,
            "look_again_at": None if self.look_again_at is None else f"{self.look_again_at:.6f}",
            "data": json.dumps(data),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class PairScoring:
    """What is written about a pair, computed from so many signals of each of its jobs."""

    champion: str  # id of its job, like the next
    canary: str
    trial: str
    champion_seen: int
    canary_seen: int
    settlement: str  # JSON for the trial's ledger
    leaves_out: bool = False  # whether the pair says nothing
    data: dict[str, Any]  # of the event


class ScoreAnswer(StrEnum):
    """What became of a score. All but OK wrote nothing."""

    OK = "ok"
    STALE = "stale"  # newer signals came, or the job left its trial; it stays due
    ALREADY = "already"  # the job is settled
    MISSING = "missing"


_JOB_SCORE = Script(
    "job_score",
    ScoreAnswer,
    keys="job signals settlements",
    indexes="due trials:moved events",
    args="id seen what score reason settlement trial look_again_at data",
)
_PAIR_SETTLE = Script(
    "pair_settle",
    ScoreAnswer,
    keys="champion canary champion_signals canary_signals settlements",
    indexes="trials:moved events",
    args="id trial champion_seen canary_seen settlement data",
)
_SIGNAL_ADD = Script(
    "signal_add", int, keys="job signals", indexes="due events", args="id fence", each_args="signal fact"
)


class SignalStore(Store):
    """Facts about jobs, the list of jobs that are due for scoring, and the scores.

    What a fact is worth is decided in `harvest`.

    `add` serves people and the look for landings; facts that come with a move are written by `JobStore`. Each
    fact has an id and is recorded once, so `add` may be repeated. -1: the job has no record, or no longer.

    Scoring goes `due`, `read_due`, `score`, and any number of harvests may do this at once. `score` is a step
    for each job, not one for all. It refuses a score that was computed from fewer signals than there are now
    (STALE: the job stays due), and a second final one (ALREADY). A process that dies before a job's step
    leaves the job due.
    """

    def add(self, job: str, signals: Sequence[Signal], *, fence: int | None = None) -> int:
        """Record facts about a job, each once; returns how many were new, -1 for an unknown job.

        With the `fence` of a lease -2 when that was lost: then nothing was recorded.
        """
        return self.call(
            _SIGNAL_ADD, job=self.keys.job(job), signals=self.keys.signals(job), id=job,
            fence="" if fence is None else fence,
            each=[{"signal": signal.id, "fact": signal.model_dump_json()} for signal in signals],
            doing=f"recording signals of job {job}",
        )  # fmt: skip

    def read(self, job: str) -> list[Signal]:
        """The facts about a job, by time."""
        with redis_errors(f"reading signals of job {job}"):
            return _sorted(self.redis.hvals(self.keys.signals(job)))

    def read_many(self, jobs: Sequence[str]) -> list[list[Signal] | None]:
        """The facts about several jobs in one round trip, each by time.

        None for a job of which a fact cannot be read: it is logged, and does not hide the others.
        """
        with redis_errors("reading signals of jobs"):
            pipeline = self.redis.pipeline(transaction=False)
            for job in jobs:
                pipeline.hvals(self.keys.signals(job))
            found = pipeline.execute() if jobs else []
        return [_readable(job, facts) for job, facts in zip(jobs, found, strict=True)]

    def due(self, most: int) -> list[str]:
        """Jobs that must be looked at now, the longest due first."""
        with redis_errors("reading due jobs"):
            return list(self.redis.zrangebyscore(self.keys("due"), "-inf", self.now(), start=0, num=most))

    def unsettled(self, most: int) -> list[str]:
        """Jobs without a score, by the time of the next look at them."""
        with redis_errors("reading jobs without a score"):
            return list(self.redis.zrange(self.keys("due"), 0, most - 1))

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

    def score(self, scorings: Sequence[Scoring]) -> list[ScoreAnswer]:
        """Write scores in one round trip."""
        with redis_errors("writing scores"):
            return self.scripts.stream(
                _JOB_SCORE, (self.packed(_JOB_SCORE, **scoring.values(self.keys)) for scoring in scorings)
            )

    def settle_pair(self, step: PairScoring) -> ScoreAnswer:
        """Write what became of a pair, once."""
        keys = self.keys
        return self.call(
            _PAIR_SETTLE, champion=keys.job(step.champion), canary=keys.job(step.canary),
            champion_signals=keys.signals(step.champion), canary_signals=keys.signals(step.canary),
            settlements=keys.settlements(step.trial), id=step.champion, trial=step.trial,
            champion_seen=step.champion_seen, canary_seen=step.canary_seen, settlement=step.settlement,
            data=json.dumps(step.data), doing=f"settling the pair of job {step.champion}",
        )  # fmt: skip


def _sorted(facts: Sequence[str]) -> list[Signal]:
    return sorted(map(parsed_signal, facts), key=lambda signal: (signal.at, signal.id))


def _readable(job: str, facts: Sequence[str]) -> list[Signal] | None:
    try:
        return _sorted(facts)
    except CorruptRecordError as error:
        _log.error("signals.unreadable", job=job, reason=str(error))
        return None
