"""Judging a pair: one worker, under a lease of the pair, judges what both halves handed over.

The order was drawn when both had said what they had to say. Both are judged here, one after the other, with
the same command, limits and host; a worker that is killed in between leaves both to be judged again, by
another one. A judge that cannot be run, not on the base either, leaves the pair out and is not asked about
the other half. Work that has cost several workers their life scores 0, if the base can be judged.
"""

import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog

from routing.errors import CoalmineError
from routing.jobs.job import Job
from routing.jobs.signal import Signal, judgement
from routing.store.judging.judging_store import (
    BASE,
    AtAnswer,
    EndAnswer,
    HandedWork,
    JudgingClaim,
    JudgingRefusal,
    JudgingStore,
)
from routing.templates.trial import Arm
from tasks.agents.pairs.judge import Judge, Judgement, blamed
from tasks.agents.turn.stop_signal import StopReason, StopSignal
from tasks.work.drain import ended_by_signal
from tasks.work.lease_keeper import LeaseKeeper, LeaseKind
from tasks.work.patience import patiently

_log = structlog.get_logger(__name__)

#: Workers that may be lost at the work of one half, or before either: then the work, or the judge, is broken.
MOST_LOST = 3

#: Seconds after which a pair whose repository could not be reached is tried again.
AWAY_SECONDS = 30.0


#: What the store says to a step.
Answer = TypeVar("Answer", AtAnswer, EndAnswer)


class Judging(StrEnum):
    """What became of the message for a pair."""

    JUDGED = "judged"
    GIVEN_BACK = "given_back"  # to be judged by another worker, or later
    LOST = "lost"  # another worker has it; nothing was written
    REFUSED = "refused"  # it is taken, judged, or no longer needed


@dataclass(frozen=True, kw_only=True)
class PairJudging:
    """One a worker process; threads share it."""

    store: JudgingStore
    keeper: LeaseKeeper
    leases: LeaseKind[JudgingClaim]
    find: Callable[[str], Job]  # raises what it cannot find
    judge_of: Callable[[Job], Judge | None]  # who judges the work of a job's pair; None: nobody is set
    lender_of: Callable[[Job, HandedWork], Path]  # a repository of this host that has the work's base
    work_dir: Path  # where the clones are made
    now: Callable[[], float]  # by the server's clock
    judged: Callable[[], object] = lambda: None  # called when a pair was judged
    say: Callable[[str, str, str], object] = lambda *_said: None  # adds to a job's log
    flush: Callable[[], object] = lambda: None  # writes what was added

    def judge(self, pair: str, *, worker: str) -> Judging:
        """Judge a pair, by its id.

        A message for a pair that is taken, judged or no longer needed changes nothing.
        """
        claim = self.store.claim(
            pair, lease_seconds=self.leases.lease_seconds, worker=worker, call_id=secrets.token_hex(8)
        )
        if isinstance(claim, JudgingRefusal):
            return Judging.REFUSED
        with structlog.contextvars.bound_contextvars(job=pair):
            stop = StopSignal()
            with ended_by_signal(stop), self.keeper.holding(self.leases, claim, stop):
                job = self.find(pair)
                known = replace(claim, canary=claim.canary or job.partner)  # of an earlier release
                return self._judged(known, job, stop)

    def _judged(self, claim: JudgingClaim, job: Job, stop: StopSignal) -> Judging:
        try:
            found = self._judgements(claim, job, stop)
        except CoalmineError as error:  # of the repository, on a host that has not got the base yet
            _log.warning("pair.judging_delayed", reason=str(error))
            return self._give_back(claim, wait_seconds=AWAY_SECONDS)
        if stop.reason is StopReason.LEASE_LOST:
            return Judging.LOST
        if stop.reason is not None:  # the next claim finds out whether anybody needs it still
            _log.info("pair.judging_stopped", reason=stop.reason)
            return self._give_back(claim)
        said = self._facts(claim, found)
        self._log_words(claim, found)
        answer = self._patiently(lambda: self.store.end(claim, said))
        notes = {arm.value: fact.note for arm, fact in said.items()}
        _log.info("pair.judged", answer=answer, first=claim.first, **notes)
        if answer is EndAnswer.STALE:
            return Judging.LOST
        self.judged()
        return Judging.JUDGED

    def _judgements(self, claim: JudgingClaim, job: Job, stop: StopSignal) -> Mapping[Arm, Judgement]:
        judge = self.judge_of(job)
        if judge is None:
            return _left_out(claim, f"no judge is set for {job.request.repository}; set judge.command")
        if claim.lost.get("", 0) >= MOST_LOST or claim.lost.get(BASE, 0):
            return _left_out(claim, f"{sum(claim.lost.values())} workers were lost while they judged it")
        found: dict[Arm, Judgement] = {}
        for arm in claim.order:
            found[arm] = self._one(judge, claim, arm, job, stop)
            if stop.reason is not None:
                break
            if found[arm].value is None:
                return {each: replace(found[arm], is_cause=each is arm) for each in claim.order}
        return found

    def _one(self, judge: Judge, claim: JudgingClaim, arm: Arm, job: Job, stop: StopSignal) -> Judgement:
        """What the judge says of one half; where that has cost several workers their life, by its base."""
        work, repository, lost = claim.works[arm], job.request.repository, claim.lost.get(arm, 0)
        lender = self.lender_of(job, work)
        name = repository.rpartition("/")[2].rpartition(":")[2]
        self._patiently(lambda: self.store.at(claim, BASE if lost >= MOST_LOST else arm))
        if lost < MOST_LOST:
            return judge.judge_handed(work, lender, work_dir=self.work_dir, name=name, stop=stop)
        of_base = judge.judge_base(work, lender, work_dir=self.work_dir, name=name, stop=stop)
        note = f"{lost} workers were lost while they judged it"
        return blamed(Judgement(value=None, note=note), of_base)

    def _facts(self, claim: JudgingClaim, found: Mapping[Arm, Judgement]) -> dict[Arm, Signal]:
        at = self.now()
        return {
            arm: judgement(
                at=at, commit=claim.works[arm].commit, value=said.value, note=said.note, overdue=said.overdue,
                place=claim.order.index(arm) + 1, is_cause=said.is_cause,
            )
            for arm, said in found.items()
        }  # fmt: skip

    def _log_words(self, claim: JudgingClaim, found: Mapping[Arm, Judgement]) -> None:
        """What the judge printed last goes to the log of each job."""
        jobs = {Arm.CHAMPION: claim.champion, Arm.CANARY: claim.canary}
        for arm, said in found.items():
            for line in said.last_lines:
                self.say(jobs[arm], "judge", line)
        with suppress(CoalmineError):  # nothing is decided by a log
            self.flush()

    def _give_back(self, claim: JudgingClaim, *, wait_seconds: float = 0.0) -> Judging:
        step = partial(self.store.give_back, claim, wait_seconds=wait_seconds)
        return Judging.GIVEN_BACK if self._patiently(step) is EndAnswer.OK else Judging.LOST

    def _patiently(self, step: Callable[[], Answer]) -> Answer:
        """A judgement is worth the wait for the store, for as long as nobody else could have the lease."""
        give_up_at = time.monotonic() + self.leases.lease_seconds
        return patiently("pair.report_delayed", step, is_over=lambda: time.monotonic() >= give_up_at)


def _left_out(claim: JudgingClaim, note: str) -> Mapping[Arm, Judgement]:
    """No score for either half, and neither is why: but work at which workers were lost is."""
    return {
        arm: Judgement(value=None, note=note, is_cause=claim.lost.get(arm, 0) >= MOST_LOST)
        for arm in claim.order
    }
