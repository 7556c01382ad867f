"""Working on a job: claim it under a lease, have the agent run, and report the result.

The order is: claim, run, report, follow up, retire the agent. Every write carries the claim's fence, so a
worker that lost its lease writes nothing and neither retires the agent nor follows up: the
worker that has the job now does that.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar

import structlog

from routing.errors import STORE_AWAY
from routing.jobs.ending import Ending
from routing.jobs.job import Job, JobResult, JobState
from routing.jobs.lifecycle import CancelAskedError, Claim, Jobs, StaleLeaseError
from routing.jobs.retry import Attempts, awaiting
from routing.jobs.signal import AT_STEP, signal
from routing.jobs.turn import Hindrance
from routing.store.jobs.job_store import ClaimRefusal, JobStore
from routing.store.redis.lease import LeaseStatus
from tasks.agents.supervision.retirement import Retirement
from tasks.agents.turn.stop_signal import StopReason, StopSignal
from tasks.work.delivery import DeliveryLimits, held_up
from tasks.work.drain import ended_by_signal
from tasks.work.lease_keeper import LeaseKeeper, LeaseKind
from tasks.work.log_and_continue import LogAndContinue
from tasks.work.outcome import NextStep, Ran, TurnOutcome, of_shadow, outcome
from tasks.work.patience import DRAIN_SECONDS, FINISHED_SECONDS, patiently

T = TypeVar("T")

_log = structlog.get_logger(__name__)

#: Seconds for which claiming a job is tried. After that its message is lost: the sweep publishes it again.
CLAIM_SECONDS = 60.0

#: What `work` answers when the store did not answer it.
NOT_CLAIMED = "store_away"

#: The states in which a job ends by its worker's word, besides FAILED.
_ENDS = {
    NextStep.FINISHED: JobState.SUCCEEDED,
    NextStep.ESCALATE: JobState.ESCALATED,
    NextStep.CANCEL: JobState.CANCELLED,
}


class Runner(Protocol):
    """Runs the agent of one claimed job."""

    def run(self, claim: Claim, stop: StopSignal) -> Ran:
        """Run one attempt; never raises for what an agent, a repository or a network does."""
        ...

    def keep(self, claim: Claim) -> str:
        """Keep the work of an attempt that is over and is not delivered, and say where; "" for none."""
        ...


class Work:
    """What a worker does with a message. One instance a process, shared by its threads."""

    def __init__(
        self, *, jobs: Jobs, keeper: LeaseKeeper, leases: LeaseKind[Claim], runner: Runner,
        retire: Callable[[Job, Retirement], object], ended: Callable[[Job, NextStep, JobResult], None],
        monotonic: Callable[[], float] = time.monotonic, await_seconds: float = 3600.0,
        met: Callable[[Job, Hindrance | None], object] = lambda _job, _hindrance: None,
        delivery: DeliveryLimits = DeliveryLimits(),  # noqa: B008 - frozen
    ) -> None:  # fmt: skip
        self._jobs = jobs
        self._keeper = keeper
        self._runner = runner
        self._leases = leases
        self._retire = retire  # called after the report: job as claimed, how its agent leaves if it has ended
        self._ended = ended  # called when an attempt at a job has ended: job as claimed, step, result
        self._monotonic = monotonic
        self._await_seconds = await_seconds  # for which a job waits for mail at the most
        self._met = met  # called after the report: job as claimed, what it waits for now, None for nothing
        self._delivery = delivery  # how long finished work waits

    def work(self, job_id: str, *, worker: str) -> str:
        """Work on one job; returns the step, or why the job was not claimed, in a word.

        A message for a job that is taken, or over, changes nothing.
        """
        try:
            claim = self._claim(job_id, worker)
        except STORE_AWAY:
            return NOT_CLAIMED
        if isinstance(claim, ClaimRefusal):
            return claim.value
        with structlog.contextvars.bound_contextvars(
            job=job_id, version=claim.version.id, arm=claim.job.arm or "none"
        ):
            _log.info("job.started", attempt=claim.job.attempts, fence=claim.fence)
            stop = StopSignal()
            with ended_by_signal(stop), self._keeper.holding(self._leases, claim, stop):
                decided, ran = self._attempt(claim, stop)
            _log.info("job.ended", step=decided.step, reason=decided.reason)
            if decided.step is not NextStep.DROP:  # else the worker that has the job has its agent too
                self._follow_up(claim.job, decided, ran)
        return decided.step.value

    def _claim(self, job_id: str, worker: str) -> Claim | ClaimRefusal:
        """Win the job's lease; a store that is away is waited for. Raises what it said last."""
        claim = partial(
            self._jobs.claim, job_id, worker=worker, lease_seconds=self._leases.lease_seconds,
            call_id=secrets.token_hex(8),
        )  # fmt: skip
        give_up_at = self._monotonic() + CLAIM_SECONDS
        return patiently(
            "job.claim_delayed", claim, is_over=lambda: self._monotonic() >= give_up_at, job=job_id
        )

    def _follow_up(self, job: Job, decided: TurnOutcome, ran: Ran) -> None:
        """What the watchdog and the ticks do later if it fails here, so none keeps the next from its turn."""
        with LogAndContinue("job.not_followed_up"):
            self._ended(job, decided.step, ran.result)
        self._met(job, decided.hindrance)
        if ran.retirement is not None:
            with LogAndContinue("agent.not_retired"):
                self._retire(job, ran.retirement)

    def _attempt(self, claim: Claim, stop: StopSignal) -> tuple[TurnOutcome, Ran]:
        ran = replace(self._runner.run(claim, stop), corrects=claim.job.is_corrected)
        attempts = Attempts.of(claim.job)
        decided = self._patiently(stop, lambda: self._decided(claim, ran))
        try:
            try:
                self._patiently(stop, lambda: self._report(claim, ran, decided))
            except CancelAskedError:  # too late to end the turn, in time to cancel the job
                ran = replace(ran, ended_by=Ending.CANCEL, kept=self._kept(claim, ran))
                decided = outcome(ran, attempts)
                self._patiently(stop, lambda: self._report(claim, ran, decided))
        except StaleLeaseError as error:
            _log.warning("job.result_refused", reason=str(error))
            return TurnOutcome(step=NextStep.DROP, signal=None, reason=str(error)), ran
        return decided, ran

    def _kept(self, claim: Claim, ran: Ran) -> str:
        """Where the work is of an attempt that was over when its job was cancelled, in words."""
        if ran.result.commit:
            return f"its work is kept on the branch {ran.result.branch}"
        return ran.kept or self._runner.keep(claim)

    def _decided(self, claim: Claim, ran: Ran) -> TurnOutcome:
        """What the attempt means; the server's time is asked for only where something waits."""
        found = None
        if ran.hindrance is not None or ran.refusal is not None or ran.limit is not None:
            found = held_up(ran, claim.job, now=self._jobs.now(), limits=self._delivery)
        found = found or outcome(ran, Attempts.of(claim.job))
        return of_shadow(found) if claim.job.shadow else found

    def _patiently(self, stop: StopSignal, step: Callable[[], T]) -> T:
        """Do a step of the report, again while the store is away: an agent's work is worth the wait.

        The fence makes repeating harmless, and ends it when another worker has the job meanwhile.
        """
        begun_at = self._monotonic()

        def is_over() -> bool:
            seconds = DRAIN_SECONDS if stop.reason is StopReason.DRAIN else FINISHED_SECONDS
            return self._monotonic() - begun_at >= seconds

        return patiently("job.report_delayed", step, is_over=is_over)

    def _report(self, claim: Claim, ran: Ran, decided: TurnOutcome) -> None:
        jobs, reason = self._jobs, decided.reason
        kind = decided.signal
        facts = [signal(kind, at=AT_STEP, commit=ran.result.commit, note=reason)] if kind else []
        match decided.step:
            case NextStep.PUSHED:
                jobs.pushed(claim, ran.result, reason=reason, signals=facts)
            case NextStep.FINISHED | NextStep.ESCALATE | NextStep.CANCEL as step:
                jobs.end(
                    claim, _ENDS[step], reason=reason, result=ran.result, signals=facts,
                    keeps_turn=decided.keeps_turn, kept=ran.kept,
                )  # fmt: skip
            case NextStep.GIVE_BACK:
                jobs.give_back(claim, decided.again, reason=reason)
            case NextStep.PUT_OFF:
                jobs.put_off(claim, decided.again, reason=reason)
            case NextStep.HINDERED if decided.hindrance is not None:
                jobs.hindered(
                    claim, decided.again, reason=reason, hindrance=decided.hindrance, goes_on=ran.has_begun
                )
            case NextStep.REFUSED:
                jobs.refused(claim, reason=reason, said=ran.said, result=ran.result)
            case NextStep.AWAIT:
                jobs.park(claim, awaiting(self._await_seconds), reason=reason, result=ran.result)
            case NextStep.RETRY:
                jobs.try_again(claim, decided.again, reason=reason, result=ran.result)
            case NextStep.FAIL:
                jobs.give_up(claim, reason=reason, result=ran.result, signals=facts)
            case _:  # DROP
                pass


def job_leases(jobs: JobStore, lease_seconds: float) -> LeaseKind[Claim]:
    """The leases of jobs: all that is asked of their holders is to cancel."""

    def renew(claims: Sequence[Claim], *, extend_seconds: float, **_: bool) -> list[LeaseStatus]:
        held = [(claim.job.id, claim.fence) for claim in claims]
        return jobs.renew(held, extend_seconds=extend_seconds)

    return LeaseKind(
        name="job", lease_seconds=lease_seconds, renew=renew, asked_to=lambda _: StopReason.CANCEL
    )
