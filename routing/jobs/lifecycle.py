"""Jobs after they were accepted: claim, finish, retry, cancel, and what the sweep repairs.

States: queued → running → (waiting → queued →)* a final state; a person may retry a job that ended without
success. A worker's writes carry the fence of its claim; ticks write under the fence that they read. A write
under an old fence is refused, so two of them never both succeed.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

from routing.accounts.pool import GateOf, no_gate
from routing.back_off import BackOff
from routing.base import Base
from routing.errors import ConflictError, CorruptRecordError, NotFoundError
from routing.events import (
    JOB_AWAITING,
    JOB_FINISHED,
    JOB_HINDERED,
    JOB_LIMITED,
    JOB_PUT_OFF,
    JOB_REFUSED,
    JOB_RETRIED,
    JOB_RETURNED,
    JOB_WAITING,
)
from routing.generator import Generator
from routing.jobs.cancellation import Cancellation
from routing.jobs.job import Job, JobResult, JobState, checked_job_id
from routing.jobs.retry import Again, Attempts
from routing.jobs.signal import Signal, SignalKind, signal
from routing.jobs.transitions import after_lost_worker, review_ended, still_pushed, unreadable
from routing.jobs.turn import Hindrance, HindranceKind, TurnKind
from routing.store.jobs.job_page import JobFilter, JobPage, listed, read_page
from routing.store.jobs.job_store import ClaimRefusal, JobStore
from routing.store.jobs.move import Move, MoveAnswer
from routing.store.trials.version_store import VersionStore
from routing.templates.version import Version


class UnknownJobError(NotFoundError):
    """No job has that id, or its record has expired."""


class CancelAskedError(ConflictError):
    """The job is to be cancelled, so it is neither queued again nor watched. End it as cancelled."""


class StaleLeaseError(ConflictError):
    """The lease was lost: another worker has the job, or it has ended. The write was refused."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A job whose lease was won, with the content that works on it."""

    job: Job
    version: Version

    @property
    def fence(self) -> int:
        """The token that every write of this worker carries."""
        return self.job.fence


class Jobs:
    """Moves accepted jobs from state to state, and finds them. `Mailbox` accepts them; `Relay` publishes.

    Who calls what:

    - A worker: `claim`, then exactly one of `pushed`, `end`, `try_again`, `give_up`, `give_back`, `put_off`,
      `park`, `hindered` and `refused`. Leases are extended by `JobStore.renew`, not here.
    - Ticks: `reap` and `see_to_children` in the sweep, `wake` when mail came, `conclude` and `brought_up`
      for jobs that wait for CI or people; `CorrectionStore` sends those back to their agents.
    - People: `cancel` and `retry`. `cancel` is also called for a parent's end, a rejected version and a
      revoked task.

    Every change of state is one step of the store, with its event, its signals and its lists. `claim`,
    `cancel`, `reap` and `see_to_children` are several steps; a death between two of them leaves the rest
    to the next call. Any number of processes and threads may make steps at once: the first one of two that
    exclude each other is carried out.

    A worker's report raises StaleLeaseError when its lease was lost: drop the result, and leave the agent to
    the job's next worker. It raises CancelAskedError when the job may only end: report it again by `end`, as
    cancelled. After an UnavailableError the report may have been carried out. Make it again: if it was, the
    second one changes nothing. A tick that came too late gets False. People get UnknownJobError, or
    ConflictError for a state that does not allow the step. `cancel` may be repeated; a second `retry` of a
    job that is queued by then is a ConflictError.
    """

    def __init__(
        self, jobs: JobStore, versions: VersionStore, *, back_off: BackOff, generator: Generator,
        keeps_children: bool = False, gate: GateOf = no_gate,
    ) -> None:  # fmt: skip
        self._jobs = jobs
        self._gate = gate
        self._versions = versions
        self._back_off = back_off
        self._generator = generator
        self._cancellation = Cancellation(jobs, find=self.find, keeps_children=keeps_children)
        self._contents: dict[tuple[str, int], Version] = {}

    def claim(
        self, job: str, *, worker: str, lease_seconds: float, call_id: str = ""
    ) -> Claim | ClaimRefusal:
        """Win a job's lease, or say why not. A job of a rejected version goes to the champion.

        With a `call_id` of its own it may be repeated after a StoreAwayError, and finds what it won.
        """
        anew = False
        while True:
            gate = self._gate(job, anew=anew)
            found = self._jobs.claim(
                job, worker=worker, lease_seconds=lease_seconds, call_id=call_id, gate=gate
            )
            if isinstance(found, Job):
                return self._claimed(found)
            if found is ClaimRefusal.REJECTED:
                self._reroute(job)
            elif found is not ClaimRefusal.MOVED:
                return found
            anew = True

    def _claimed(self, job: Job) -> Claim | ClaimRefusal:
        """The claim with its content; a job whose content is gone fails, which is not the agent's fault."""
        try:
            return Claim(job=job, version=self._content(job))
        except CorruptRecordError as error:
            fact = signal(SignalKind.UNREACHABLE, at=job.claimed_at or job.created_at, note=str(error))
            self._jobs.move(Move(
                job=job.id, allowed=[JobState.RUNNING], to=JobState.FAILED, event=JOB_FINISHED,
                fence=job.fence, reason=str(error), signals=[fact], list_dead=True,
            ))  # fmt: skip
            return ClaimRefusal.UNREADABLE

    def _content(self, job: Job) -> Version:
        """A version's content is immutable: it is read once a process, unless the store was emptied since."""
        kept = self._contents.get((job.template, job.version))
        if kept is None or kept.content_hash != job.content_hash:
            kept = self._versions.read(job.template, job.version)
            if kept is None or kept.content_hash != job.content_hash:
                message = f"the content of {job.version_id} is gone; job {job.id} cannot be worked on"
                raise CorruptRecordError(message)
            self._contents[job.template, job.version] = kept
        return kept

    def _reroute(self, job_id: str) -> None:
        job = self.find(job_id)
        if job.shadow:
            self.cancel(job_id, by="the end of its trial", at=self.now())
            return
        champion = self._versions.read(job.template, int(self._versions.field(job.template, "champion") or 0))
        if champion is None:
            message = f"template {job.template} has no readable champion; job {job_id} cannot be rerouted"
            raise CorruptRecordError(message)
        why = f"{job.version_id} was rejected, or did not start and was replaced"
        line = json.dumps({"v": 1, "index": job.sequence, "kind": "rerouted", "reason": why})[:-1]
        self._jobs.reroute(
            job, champion=champion.number, content_hash=champion.content_hash,
            source_commit=champion.source_commit, settlement=line if job.trial and not job.partner else "",
        )  # fmt: skip

    def pushed(
        self, claim: Claim, result: JobResult, *, reason: str = "", signals: Sequence[Signal] = ()
    ) -> None:
        """The work is pushed: give the lease back and watch what CI says of the commit."""
        why = reason or f"pushed {result.commit[:12]}"
        review_end, review_said = review_ended(claim.job, result)
        self._fenced(claim, Move(
            job=claim.job.id, allowed=[JobState.RUNNING], to=JobState.WAITING, event=JOB_WAITING,
            fence=claim.fence, result=result, reason=f"{why}, watching CI", refused="",
            review_end=review_end, review_said=review_said, signals=signals, data={"commit": result.commit},
        ))  # fmt: skip

    def end(
        self, claim: Claim, state: JobState, *, reason: str, result: JobResult,
        signals: Sequence[Signal] = (), keeps_turn: bool = False, kept: str = "",
    ) -> None:  # fmt: skip
        """The job ends in a final state, as the worker that holds its lease reports.

        A cancelled one ends with the reason of the cancel, followed by what is `kept` of the turn, and as
        succeeded if its work has landed meanwhile.
        `keeps_turn`: its finished turn is kept, so that a person's retry delivers it; that of a cancelled one
        always is.
        """
        asked = self._jobs.read(claim.job.id) if state is JobState.CANCELLED else None
        if asked is not None:
            state, reason = asked.cancel_to, asked.cancel or reason
            if result.commit not in {"", claim.job.result.commit}:  # people should know what is there now
                reason = f"{reason}; {result.commit[:12]} had been pushed to {result.branch} a moment before"
            signals = signals if state is JobState.CANCELLED else ()
        if state is JobState.CANCELLED and kept not in reason:
            reason = f"{reason}; {kept}"
        self._fenced(claim, Move(
            job=claim.job.id, allowed=[JobState.RUNNING], to=state, event=JOB_FINISHED, fence=claim.fence,
            reason=reason, result=result, signals=signals, list_dead=state is JobState.FAILED,
            keeps_turn=keeps_turn or state is JobState.CANCELLED,
        ))  # fmt: skip

    def try_again(self, claim: Claim, again: Again, *, reason: str, result: JobResult) -> None:
        """An attempt failed, and another one follows it, see `retry`."""
        why = f"{reason}; {Attempts.of(claim.job)}"
        self._queue_again(
            claim, again, event=JOB_RETRIED, reason=why, kind=claim.job.kind_again, result=result,
            delay_name="delay_seconds",
        )  # fmt: skip

    def give_up(self, claim: Claim, *, reason: str, result: JobResult, signals: Sequence[Signal]) -> None:
        """An attempt failed, and none is left, see `retry`: a person finds the job among the dead letters."""
        why = f"{reason}; {Attempts.of(claim.job)}"
        self.end(claim, JobState.FAILED, reason=why, result=result, signals=signals)

    def give_back(self, claim: Claim, again: Again, *, reason: str) -> None:
        """A worker returns the job, as it shuts down or its store was away; a turn that it finished stays."""
        self._queue_again(
            claim, again, event=JOB_RETURNED, reason=reason, kind=claim.job.kind_again, keeps_turn=True,
            cuts_short=True,
        )  # fmt: skip

    def put_off(self, claim: Claim, again: Again, *, reason: str) -> None:
        """Nothing was run, as the job's agent is busy elsewhere: it waits a moment, as it was."""
        self._queue_again(claim, again, event=JOB_PUT_OFF, reason=reason)

    def hindered(
        self, claim: Claim, again: Again, *, reason: str, hindrance: Hindrance, goes_on: bool = False
    ) -> None:
        """Something outside is in the way: the job waits as it is, with its finished turn if it has one.

        A limit of its account ended a turn: `goes_on` says that its next turn can begin where that was.
        """
        delay = again.delay_seconds(self._back_off, self._generator)
        limit = hindrance.kind is HindranceKind.LIMIT
        self._fenced(claim, Move(
            job=claim.job.id, allowed=[JobState.RUNNING], to=JobState.QUEUED, fence=claim.fence,
            event=JOB_LIMITED if limit else JOB_HINDERED, reason=reason, delay_seconds=delay, refund=True,
            keeps_turn=not limit, hindrance=hindrance, limit=limit, kind=TurnKind.LIFTED if goes_on else "",
            data={"why": hindrance.kind, "times": hindrance.times, "delay_seconds": round(delay, 3)},
        ))  # fmt: skip

    def refused(self, claim: Claim, *, reason: str, said: str, result: JobResult) -> None:
        """The server did not take the work: the agent gets a turn to repair it, with what was said."""
        self._fenced(claim, Move(
            job=claim.job.id, allowed=[JobState.RUNNING], to=JobState.QUEUED, event=JOB_REFUSED,
            fence=claim.fence, reason=reason, result=result, kind=TurnKind.REFUSED, refund=True,
            refused=said, refusals=claim.job.refusals + 1,
        ))  # fmt: skip

    def park(self, claim: Claim, again: Again, *, reason: str, result: JobResult) -> None:
        """The job's agent awaits mail: its next turn begins with that, or when the time is over."""
        self._queue_again(
            claim, again, event=JOB_AWAITING, reason=reason, kind=TurnKind.MAIL, result=result,
            delay_name="wait_seconds",
        )  # fmt: skip

    def _queue_again(
        self, claim: Claim, again: Again, *, event: str, reason: str, kind: str = "",
        result: JobResult | None = None, delay_name: str = "", keeps_turn: bool = False,
        cuts_short: bool = False,
    ) -> None:  # fmt: skip
        """Queue a running job again; `again` alone says after how long, and whether the attempt counts.

        `delay_name` is what the event calls the delay; "" for an event that does not carry it.
        """
        delay = again.delay_seconds(self._back_off, self._generator)
        self._fenced(claim, Move(
            job=claim.job.id, allowed=[JobState.RUNNING], to=JobState.QUEUED, event=event, fence=claim.fence,
            reason=reason, result=result, kind=kind, delay_seconds=delay, refund=not again.counts,
            keeps_turn=keeps_turn, cuts_short=cuts_short,
            data={delay_name: round(delay, 3)} if delay_name else {},
        ))  # fmt: skip

    def wake(self, job: str) -> bool:
        """Mail arrived for a job's agent; True when the job waited for it, and is published now."""
        return self._jobs.wake(job)

    def _fenced(self, claim: Claim, step: Move) -> None:
        if step.result is not None:
            step = replace(step, result=still_pushed(claim.job, step.result))
        moved = self._jobs.move(step)
        if moved.answer is MoveAnswer.CANCELLING:
            message = f"job {claim.job.id} is to be cancelled; its move to {step.to} was refused: end it"
            raise CancelAskedError(message)
        if not moved.done:
            message = (
                f"the lease of job {claim.job.id} (fence {claim.fence}) is no longer held ({moved}); "
                f"its move to {step.to} was refused"
            )
            raise StaleLeaseError(message)

    def conclude(
        self, job: Job, state: JobState, *, reason: str, signals: Sequence[Signal] = (), own: bool = True
    ) -> bool:
        """A tick ends a job that was waiting for CI. Returns False when the job has moved on.

        Also while it is being merged, unless the caller is the tick that merges: `own`.
        """
        return self._jobs.move(Move(
            job=job.id, allowed=[JobState.WAITING], to=state, event=JOB_FINISHED, fence=job.fence,
            reason=reason, signals=signals, unless_merging=not own,
        )).done  # fmt: skip

    def brought_up(self, job: Job, *, commit: str, base: Base) -> bool:
        """A tick notes that the branch of a job that waits was brought up to date: CI judges that anew.

        Version, turns and facts stay. False when the job has moved on.
        """
        reason = f"brought up to date with {base.branch} at {base.commit[:12]}"
        return self._jobs.move(Move(
            job=job.id, allowed=[JobState.WAITING], to=JobState.WAITING, event=JOB_WAITING, fence=job.fence,
            reason=reason, result=replace(job.result, commit=commit), base=base,
        )).done  # fmt: skip

    def cancel(self, job_id: str, *, by: str, at: float) -> Job:
        """End a job in any state that is not final, and its children; a worker stops a running agent."""
        return self._cancellation.cancel(job_id, by=by, at=at)

    def end_by_people(
        self, job_id: str, to: JobState, *, reason: str, facts: Sequence[Signal], at: float,
        fence: int | None = None,
    ) -> Job:  # fmt: skip
        """End a job as people decided: as succeeded, its work landed; as cancelled, it is not wanted.

        `facts` must be recorded already if the job is running: its worker ends it, and knows none of them.
        `fence`, as read, is given by the tick that merges: it may end a job that it had taken for its merge.
        """
        return self._cancellation.end(job_id, to, reason=reason, facts=facts, at=at, fence=fence)

    def see_to_children(self, *, at: float, most: int = 500) -> None:
        """Cancel the children of jobs that were cancelled, or that failed, unless those are kept."""
        self._cancellation.see_to_children(at=at, most=most)

    def retry(self, job_id: str, *, by: str) -> Job:
        """A person queues a job again that had ended without success; its attempts begin anew.

        One whose finished turn could not be delivered is delivered first.
        """
        ended = [JobState.FAILED, JobState.ESCALATED, JobState.CANCELLED, JobState.BLOCKED]
        job = self.find(job_id)
        moved = self._jobs.move(Move(
            job=job_id, allowed=ended, to=JobState.QUEUED, event=JOB_RETRIED, issue=job.request.issue,
            reason=f"retried by {by}", kind=TurnKind.REDISPATCH, fresh=True, keeps_turn=True,
        ))  # fmt: skip
        if moved.answer is MoveAnswer.MISSING:
            raise _unknown(job_id)
        if moved.answer is MoveAnswer.ACTIVE:
            message = f"{job.request.issue} is worked on by job {moved.detail}; job {job_id} was not retried"
            raise ConflictError(message)
        if not moved.done:
            message = f"job {job_id} is {moved}; only a job that ended without success can be retried"
            raise ConflictError(message)
        return self.find(job_id)

    def reap(self, *, at: float, most: int = 500) -> list[str]:
        """Put jobs whose lease ran out back into the queue, or end those that have no attempt left."""
        return [job for job in self._jobs.expired_leases(most) if self._reap(job, at)]

    def _reap(self, job_id: str, at: float) -> bool:
        try:
            job = self._jobs.read(job_id)
        except CorruptRecordError as error:
            return self._jobs.move(unreadable(job_id, str(error))).done
        step = unreadable(job_id, "its record is gone") if job is None else after_lost_worker(job, at=at)
        return self._jobs.move(step).done

    def now(self) -> float:
        """The server's time, seconds since the epoch."""
        return self._jobs.now()

    def find(self, job_id: str) -> Job:
        """One job, or UnknownJobError."""
        job = self._jobs.read(checked_job_id(job_id))
        if job is None:
            raise _unknown(job_id)
        return job

    def newest(
        self, *, most: int, states: frozenset[JobState] = frozenset(), template: str = "", parent: str = ""
    ) -> list[Job]:
        """Jobs, the newest first, of states, a template, a parent if asked; all are looked at."""
        only = JobFilter(states=states, template=template, parent=parent)
        return list(islice((job for _, job in listed(self._jobs, 0, only) if job), most))

    def page(self, only: JobFilter, *, most: int, after: str = "") -> JobPage:
        """A page of them, after `next` of the page before; it looks at LOOKED_AT jobs at most."""
        start = self._jobs.place_after(checked_job_id(after)) if after else 0
        if start is None:
            raise _unknown(after)
        return read_page(self._jobs, start, most=most, only=only)


def _unknown(job_id: str) -> UnknownJobError:
    return UnknownJobError(f"no job has the id {job_id} (finished jobs expire); see `coalmine job list`")
