"""Jobs in Redis: accepting, claiming and moving them, and removing them from lists."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from enum import StrEnum

from redis import Redis

from routing.accounts.budget import DayBudgets
from routing.accounts.pool import AccountGate
from routing.base import Base
from routing.events import JOB_IN_REVIEW
from routing.jobs.admission import WAITS, AdmissionLimits
from routing.jobs.job import Job, JobState
from routing.jobs.signal import Signal, SignalKind, signal
from routing.store.jobs.acceptance import (
    JOB_ENQUEUE,
    PUBLISH_SECONDS,
    UNCLAIMED_SECONDS,
    Acceptance,
    Accepted,
)
from routing.store.jobs.move import JOB_MOVE, Move, MoveAnswer
from routing.store.jobs.pair_acceptance import PAIR_BASE, PAIR_ENQUEUE, PairAcceptance
from routing.store.jobs.reader import JobReader
from routing.store.jobs.record import parsed_job
from routing.store.redis.faults import redis_errors
from routing.store.redis.keys import Keys
from routing.store.redis.lease import LeaseStatus, lease_statuses
from routing.store.redis.scripts import Answered, Packed, Script, flat_json, record_or

#: Seconds for which the limits that a worker has said count as in force.
LIMITS_SECONDS = 600

#: Seconds until one of the jobs at a gate that stays shut is held anew: settings may have changed.
HELD_ANEW_SECONDS = 60

#: Seconds for which is remembered which jobs have tried the accounts of a gate where none waits any more.
GATES_SECONDS = 7200

_NO_LIMITS = AdmissionLimits()
_LIMITS = "agents_at_once per_repository day_cost_usd"
_WAITS = json.dumps(WAITS)


class ClaimRefusal(StrEnum):
    """Why a job's lease was not won."""

    MISSING = "missing"
    TAKEN = "taken"  # another worker's lease is alive
    EARLY = "early"  # it waits for its next attempt, or for mail
    PAUSED = "paused"  # dispatch is stopped
    FINAL = "final"  # the job has ended
    REJECTED = "rejected"  # its version was: it must be rerouted first
    FULL = "full"  # it waits for room
    BUDGET = "budget"  # the fleet has spent what it may spend today
    LIMITED = "limited"  # it waits for an account
    MOVED = "moved"  # its version, or its trial, is no longer what the caller read: read it again
    UNREADABLE = "unreadable"  # the content of its version is gone; the job has ended with that


_JOB_CLAIM = Script(
    "job_claim",
    record_or(ClaimRefusal),
    keys="job signals day_costs",
    indexes="outbox leases paused rejected events unclaimed held at_work spent pulse breakers limited gates "
    "trials:open due champions backtests:open",
    args=f"id lease_seconds worker call_id {_LIMITS} waits gate digest fell_back",
    flags="likely",
)
_JOB_REROUTE = Script(
    "job_reroute",
    bool,
    keys="job settlements",
    indexes="due champions rejected events trials:moved breakers",
    args="id champion content_hash source_commit settlement",
)
_JOB_CANCEL = Script("job_cancel", bool, keys="job", indexes="events children bereaved", args="id reason to")
_JOB_WAKE = Script("job_wake", bool, keys="job", indexes="outbox events", args="id")
_JOB_LAND = Script("job_land", bool, keys="job", args="fence", flags="off")
_JOB_REVIEW = Script(
    "job_review",
    bool,
    keys="job signals issue",
    indexes="due events",
    args="id fence commit reason event data facts",
)
_JOB_BASE = Script("job_base", bool, keys="job", args="fence branch commit")
_LEASE_RENEW = Script(
    "lease_renew",
    lease_statuses,
    indexes="leases trials:open backtests:open",
    args="extend_seconds",
    each_keys="job",
    each_args="id fence",
)
_HELD_RELEASE = Script(
    "held_release", int, indexes="held outbox leases at_work spent paused", args=f"{_LIMITS} most"
)
_LIMITED_RELEASE = Script(
    "limited_release",
    int,
    keys="day_costs",
    indexes="limited gates breakers leases outbox paused rejected trials:open champions",
    args="most again_seconds look_seconds keep_seconds",
)
_OUTBOX_TAKE = Script("outbox_take", list, keys="index", indexes="paused", args="most again_seconds")
_OUTBOX_PUBLISHED = Script(
    "outbox_published", int, indexes="outbox unclaimed", args="look_seconds", each_keys="job", each_args="id"
)
_EFFECTS_DONE = Script(
    "effects_done", bool, keys="issue", indexes="effects", args="id retention_seconds spent_usd"
)


class JobStore(JobReader):
    """The steps that change jobs. A refusal is an answer, not an error.

    What each caller uses:

    - The mailbox: `accept`, `accept_many` and `accept_pair`.
    - Workers: `claim`, then `renew`, `note_base`, `agree_on_base` and `move` with the fence that it gave.
    - The sweep: `release_held`, `release_limited`, `take_outbox`, `take_unclaimed`, `published` and `trim`.
    - The ticks that look at pushed work: `watched`, `look_again`, `land`, `note_review`, `effects_done` and
      `forget`.
    - `Cancellation`, for people and the sweep: `cancel_running`, `move` without a fence, `disown`, `seen_to`.

    A move without a fence is refused only by the job's state, so it is for steps that are right in any life
    of the job. `claim` raises the fence by one and counts the attempt in the same step. `reroute` raises it
    too if the job's worker was lost. After `land` a job cannot be cancelled until it is moved.

    A script is atomic: state, lists, signals and event change together. `forget`, `trim` and the steps on a
    single list are plain commands; they only touch lists, and each may be repeated. A step may be repeated
    after an UnavailableError: the fence, the state or the job's id makes the second one harmless. What
    `take_outbox` and `take_unclaimed` return comes again later, from either of them, until the job is claimed
    or moved.
    """

    def __init__(
        self, redis: "Redis", keys: Keys, clock: Callable[[], float] | None = None, *,
        retention_seconds: int = 2_592_000, limits: AdmissionLimits = _NO_LIMITS,
        budgets: DayBudgets = DayBudgets(),  # noqa: B008 - frozen
    ) -> None:  # fmt: skip
        super().__init__(redis, keys, clock)
        self.retention_seconds = retention_seconds  # for which finished jobs are remembered
        self.limits = limits
        self.budgets = budgets  # of the day; the gates of jobs carry them, others show them
        self._limits = asdict(limits)

    def accept(self, step: Acceptance) -> list[Accepted]:
        """Accept jobs of one route; an answer for each."""
        with redis_errors("enqueuing jobs"):
            return self.scripts(JOB_ENQUEUE, self._packed(step))

    def accept_many(self, steps: Iterable[Acceptance]) -> list[list[Accepted]]:
        """Carry out several steps, each of its own; one is sent while the next is made."""
        with redis_errors("enqueuing jobs"):
            return self.scripts.stream(JOB_ENQUEUE, map(self._packed, steps))

    def accept_pair(self, step: PairAcceptance) -> Accepted:
        """Accept both jobs of a pair in one step; the answer names the champion's, or the one in its way."""
        return self.call(PAIR_ENQUEUE, **step.values(self.keys), doing="enqueuing a pair")

    def agree_on_base(self, job: Job, base: Base) -> Base | None:
        """Where the work of a pair begins: `base` for the first of its jobs that asks; None: lease lost."""
        return self.call(
            PAIR_BASE, job=self.keys.job(job.id), partner=self.keys.job(job.partner), fence=job.fence,
            branch=base.branch, commit=base.commit, doing=f"agreeing on the base of job {job.id}",
        )  # fmt: skip

    def _packed(self, step: Acceptance) -> Packed:
        return step.packed(self.keys, self.now_argument())

    def claim(
        self,
        job: str,
        *,
        lease_seconds: float,
        worker: str,
        call_id: str = "",
        gate: AccountGate | None = None,
    ) -> Job | ClaimRefusal:
        """Win a job's lease, and an account of its gate, or say why not.

        With a `call_id` of its own a claim may be made again after a StoreAwayError.
        """
        found = self.call(
            _JOB_CLAIM, job=self.keys.job(job), signals=self.keys.signals(job),
            day_costs=self._day_costs() if gate and gate.budgets else self.keys.job(job), id=job,
            lease_seconds=lease_seconds, worker=worker, call_id=call_id, waits=_WAITS,
            gate=gate.json if gate else "", digest=gate.digest if gate else "",
            likely=gate is not None and gate.is_likely,
            fell_back=_fell_back(self.now()) if gate and not gate.keeps_count else "[]",
            **self._limits, doing=f"claiming job {job}",
        )  # fmt: skip
        return found if isinstance(found, ClaimRefusal) else parsed_job(job, found)

    def reroute(
        self, job: Job, *, champion: int, content_hash: str, source_commit: str, settlement: str
    ) -> bool:
        """Give a queued job of a rejected version to the champion; False when it changed meanwhile."""
        record = self.keys.job(job.id)
        return self.call(
            _JOB_REROUTE, job=record, settlements=self.keys.settlements(job.trial) if job.trial else record,
            id=job.id, champion=champion, content_hash=content_hash, source_commit=source_commit,
            settlement=settlement, doing=f"rerouting job {job.id}",
        )  # fmt: skip

    def move(self, step: Move) -> Answered[MoveAnswer]:
        """Move a job to another state."""
        return self.call(
            JOB_MOVE, **step.values(self.keys), retention_seconds=self.retention_seconds,
            doing=f"moving job {step.job} to {step.to}",
        )  # fmt: skip

    def cancel_running(self, job: str, reason: str, *, to: JobState = JobState.CANCELLED) -> bool:
        """Ask a running job's worker to end it, in the state `to`; False when it is not running."""
        return self.call(
            _JOB_CANCEL, job=self.keys.job(job), id=job, reason=reason,
            to="" if to is JobState.CANCELLED else to.value, doing=f"cancelling job {job}",
        )  # fmt: skip

    def wake(self, job: str) -> bool:
        """Have a job published now whose agent waits for mail; False when it does not."""
        return self.call(_JOB_WAKE, job=self.keys.job(job), id=job, doing=f"waking job {job}")

    def renew(self, held: Sequence[tuple[str, int]], *, extend_seconds: float) -> list[LeaseStatus]:
        """Look at the leases of jobs, by id and fence, and extend them, unless by 0."""
        each = [{"job": self.keys.job(job), "id": job, "fence": fence} for job, fence in held]
        if not each:
            return []
        return self.call(_LEASE_RENEW, each=each, extend_seconds=extend_seconds, doing="renewing leases")

    def take_outbox(self, most: int) -> list[str]:
        """Queued jobs whose message is to be published now."""
        return self._take("outbox", most, PUBLISH_SECONDS)

    def release_held(self, most: int) -> int:
        """Have jobs published that waited for room, as many as there is room for; returns how many."""
        return self.call(_HELD_RELEASE, **self._limits, most=most, doing="making use of room")

    def release_limited(self, most: int) -> int:
        """Have jobs published that waited for an account which is open, or to be tried; returns how many.

        One of each gate that stays shut is published each HELD_ANEW_SECONDS, to be held by the settings of
        now.
        """
        return self.call(
            _LIMITED_RELEASE,
            day_costs=self._day_costs(),
            most=most,
            again_seconds=UNCLAIMED_SECONDS,
            look_seconds=HELD_ANEW_SECONDS,
            keep_seconds=GATES_SECONDS,
            doing="making use of accounts",
        )

    def _day_costs(self) -> str:
        """The key of what was used today, in UTC, by the server's clock."""
        return self.keys.day_costs(int(self.now() // 86_400))

    def take_unclaimed(self, most: int) -> list[str]:
        """Queued jobs whose message was published a while ago and that nobody has claimed."""
        return self._take("unclaimed", most, UNCLAIMED_SECONDS)

    def _take(self, index: str, most: int, again_seconds: float) -> list[str]:
        return self.call(
            _OUTBOX_TAKE, index=self.keys(index), most=most, again_seconds=again_seconds,
            doing=f"reading the {index} jobs",
        )  # fmt: skip

    def published(self, jobs: Sequence[str], *, look_seconds: float = UNCLAIMED_SECONDS) -> None:
        """Note that messages of jobs were published, and when to see whether they were claimed."""
        if jobs:
            self.call(
                _OUTBOX_PUBLISHED, each=[{"job": self.keys.job(job), "id": job} for job in jobs],
                look_seconds=look_seconds, doing="noting publications",
            )  # fmt: skip

    def effects_done(self, job: str, issue: str, *, spent_usd: float = 0.0) -> None:
        """Free the issue of a final job, which was informed of its end; note what the job has cost."""
        self.call(
            _EFFECTS_DONE, issue=self.keys.issue(issue), id=job, retention_seconds=self.retention_seconds,
            spent_usd=spent_usd, doing=f"freeing issue {issue}",
        )  # fmt: skip

    def say_limits(self) -> None:
        """Note the limits by which this process gives out leases: others show these, and not their own."""
        with redis_errors("noting the limits"):
            said = {**self._limits, "budgets": self.budgets.model_dump(mode="json")}
            self.redis.set(self.keys("limits"), json.dumps(said), ex=LIMITS_SECONDS)

    def limits_in_force(self) -> AdmissionLimits:
        """The limits by which the fleet's workers give out leases; this process's if none has said any."""
        with redis_errors("reading the limits"):
            text = self.redis.get(self.keys("limits"))
        try:
            said = json.loads(text) if text else self._limits
            return AdmissionLimits(
                agents_at_once=int(said["agents_at_once"]),
                per_repository=int(said["per_repository"]),
                day_cost_usd=float(said["day_cost_usd"]),
            )
        except (ValueError, TypeError, KeyError):  # of another release
            return self.limits

    def budgets_in_force(self) -> DayBudgets:
        """The budgets of the day by which the fleet's workers go; this process's if none has said any."""
        with redis_errors("reading the limits"):
            text = self.redis.get(self.keys("limits"))
        try:
            return DayBudgets.model_validate(json.loads(text)["budgets"]) if text else self.budgets
        except (ValueError, TypeError, KeyError):  # of another release
            return self.budgets

    def tell_again(self, job: str) -> None:
        """Have a final job's issue informed of its end once more."""
        with redis_errors(f"having the issue of job {job} informed"):
            self.redis.sadd(self.keys("effects"), job)

    def disown(self, parent: str, child: str) -> None:
        """Forget a child whose record is gone."""
        with redis_errors(f"forgetting job {child}"):
            self.redis.zrem(self.keys("children"), f"{parent}:{child}")

    def seen_to(self, parent: str) -> None:
        """Note that the children of a job that ended badly were dealt with."""
        with redis_errors(f"dealing with the children of job {parent}"):
            self.redis.srem(self.keys("bereaved"), parent)

    def land(self, job: str, fence: int, *, off: bool = False) -> bool:
        """Say that a waiting job's branch is about to be merged; False when it no longer may be.

        `off`: it surely was not merged, and may be cancelled again.
        """
        return self.call(_JOB_LAND, job=self.keys.job(job), fence=fence, off=off, doing=f"landing job {job}")

    def note_review(self, job: Job, *, reason: str, facts: Sequence[Signal]) -> bool:
        """Note that a waiting job's commit is in review, with what is known of it; False when it is known."""
        commit = job.result.commit
        return self.call(
            _JOB_REVIEW, job=self.keys.job(job.id), signals=self.keys.signals(job.id), id=job.id,
            issue=self.keys.issue(job.request.issue) if job.request.issue else self.keys.job(job.id),
            fence=job.fence, commit=commit, reason=reason, event=JOB_IN_REVIEW,
            data=json.dumps({"reason": reason, "commit": commit}),
            facts=flat_json({fact.id: fact.model_dump_json() for fact in facts}),
            doing=f"noting that job {job.id} is in review",
        )  # fmt: skip

    def note_base(self, job: str, fence: int, base: Base) -> bool:
        """Note where a running job's work began; False when its lease was lost."""
        return self.call(
            _JOB_BASE, job=self.keys.job(job), fence=fence, branch=base.branch, commit=base.commit,
            doing=f"noting the base of job {job}",
        )  # fmt: skip

    def watched(self, jobs: Sequence[str]) -> None:
        """Move waiting jobs to the end of the list of those to look at."""
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
        """Put off the next look at a pushed job; None: it is no longer looked at."""
        with redis_errors(f"watching job {job}"):
            if at is None:
                self.redis.zrem(self.keys("landing"), job)
            else:
                self.redis.zadd(self.keys("landing"), {job: at}, xx=True)

    def trim(self, *, before: float) -> int:
        """Forget index entries of jobs created before a time; their records expire by themselves.

        Jobs that were due before it were never settled: while canaries are off, nothing is harvested.
        """
        with redis_errors("trimming the index of jobs"):
            dropped = self.redis.zremrangebyscore(self.keys("jobs"), "-inf", before)
            for index in ("dead", "due"):
                self.redis.zremrangebyscore(self.keys(index), "-inf", before)
        return int(dropped)


def _fell_back(now: float) -> str:
    """The id and the text of the fact that a job uses a model which the other arm of its trial may not."""
    fact = signal(SignalKind.FELL_BACK, at=now, note="its version's model was out of reach")
    return json.dumps([fact.id, fact.model_dump_json()])
