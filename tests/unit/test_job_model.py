"""Jobs against a simple model: whatever workers, people and the sweep do in whatever order, both agree."""

import random
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import fakeredis
import pytest
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule
from hypothesis.strategies import integers, sampled_from

from routing.errors import ConflictError
from routing.jobs.job import JobResult, JobState
from routing.jobs.lifecycle import CancelAskedError, Claim, StaleLeaseError
from routing.jobs.retry import AT_ONCE, UNCOUNTED
from routing.store.jobs.job_store import ClaimRefusal
from tests.fleets.stepped_fleet import SteppedFleet, request
from tests.leaks import leaks

LEASE = 30.0

#: Attempts that a job may have.
MOST = 2

QUEUED, RUNNING, WAITING = JobState.QUEUED, JobState.RUNNING, JobState.WAITING


@dataclass
class ModelledJob:
    """A job, as the model has it."""

    state: JobState = QUEUED
    fence: int = 0
    until: float = 0.0  # the end of its lease
    attempts: int = 0
    is_cancelled: bool = False  # its worker was asked to end it
    ends: int = 0  # events of its end


class JobMachine(RuleBasedStateMachine):
    """Two workers, a person and the sweep, on a few jobs."""

    jobs, claims = Bundle("jobs"), Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.client = fakeredis.FakeRedis(decode_responses=True, server=fakeredis.FakeServer())
        self.fleet = SteppedFleet(self.client, generator=random.Random(1), job={"max_attempts": MOST})
        self.fleet.add()
        self.app, self.clock = self.fleet.app, self.fleet.clock
        self.model: dict[str, ModelledJob] = {}

    def teardown(self) -> None:
        """Nothing is left that lives for ever, and each end was noted once."""
        ends = [event.subject for event in self.fleet.events("job.finished")]
        assert {job: ends.count(job) for job in self.model} == {
            job: each.ends for job, each in self.model.items()
        }
        assert leaks(self.client, self.app.keys) == []
        self.client.close()

    @rule(target=jobs, key=integers(0, 2))
    def enqueue(self, key: int) -> str:
        """The same key is the same job, however often it is asked for."""
        job = self.app.mailbox.enqueue(request(idempotency_key=f"k{key}")).job
        self.model.setdefault(job, ModelledJob())
        assert len(self.model) <= 3
        return job

    @rule(target=claims, job=jobs)
    def claim(self, job: str) -> Any:
        """Won by the first that comes to a job that waits, or whose lease is over."""
        known, now = self.model[job], self.clock()
        found = self.app.jobs.claim(job, worker="w", lease_seconds=LEASE)
        is_free = known.until <= now and known.attempts < MOST and not known.is_cancelled
        if known.state is QUEUED or (known.state is RUNNING and is_free):
            assert isinstance(found, Claim), found
            known.state, known.until = RUNNING, now + LEASE
            known.fence, known.attempts = known.fence + 1, known.attempts + 1
            assert found.fence == known.fence
            return found
        assert found is (ClaimRefusal.TAKEN if known.state is RUNNING else ClaimRefusal.FINAL)
        return None

    @rule(claim=claims)
    def renew(self, claim: Claim | None) -> None:
        """A lease is held until somebody else has the job, or it has ended."""
        if claim is None:
            return
        (status,) = self.app.job_store.renew([(claim.job.id, claim.fence)], extend_seconds=LEASE)
        known = self.model[claim.job.id]
        assert status.held == self._holds(claim)
        assert bool(status.stop) == (status.held and known.is_cancelled)
        if status.held:
            known.until = self.clock() + LEASE

    @rule(claim=consumes(claims), what=sampled_from(["end", "push", "again", "back", "fail"]))
    def report(self, claim: Claim | None, what: str) -> None:
        """The holder's word counts, once; all others are refused, and a cancelled job may only end."""
        if claim is None:
            return
        known, was_held = self.model[claim.job.id], self._holds(claim)
        try:
            self._report(claim, what)
        except StaleLeaseError:
            assert not was_held
            return
        except CancelAskedError:
            assert was_held
            assert known.is_cancelled
            self.app.jobs.end(claim, JobState.CANCELLED, reason="r", result=JobResult())
            self._ends(known, JobState.CANCELLED)
            return
        assert was_held
        if what in {"end", "fail"}:
            self._ends(known, JobState.SUCCEEDED if what == "end" else JobState.FAILED)
        else:
            assert not known.is_cancelled
            known.state = WAITING if what == "push" else QUEUED
            known.attempts -= what == "back"

    def _report(self, claim: Claim, what: str) -> None:
        jobs, result = self.app.jobs, JobResult()
        if what == "end":
            jobs.end(claim, JobState.SUCCEEDED, reason="r", result=result)
        elif what == "push":
            jobs.pushed(claim, JobResult(commit="c0ffee", branch="b"))
        elif what == "again":
            jobs.try_again(claim, AT_ONCE, reason="r", result=result)
        elif what == "back":
            jobs.give_back(claim, UNCOUNTED, reason="r")
        else:
            jobs.give_up(claim, reason="r", result=result, signals=())

    @rule(job=jobs)
    def cancel(self, job: str) -> None:
        """A job that nobody works on ends at once; a worker is asked to end its own."""
        known = self.model[job]
        if known.state in {JobState.SUCCEEDED, JobState.FAILED}:
            with pytest.raises(ConflictError):
                self.app.jobs.cancel(job, by="ada", at=self.clock())
            return
        self.app.jobs.cancel(job, by="ada", at=self.clock())
        if known.state is RUNNING:
            known.is_cancelled = True
        elif not known.state.is_final:
            self._ends(known, JobState.CANCELLED)

    @precondition(lambda self: self.model)
    @rule()
    def reap(self) -> None:
        """The sweep puts back what was lost, or ends it."""
        lost = [job for job, known in self.model.items()
                if known.state is RUNNING and known.until <= self.clock()]  # fmt: skip
        assert sorted(self.app.jobs.reap(at=self.clock())) == sorted(lost)
        for known in map(self.model.__getitem__, lost):
            if known.is_cancelled:
                self._ends(known, JobState.CANCELLED)
            elif known.attempts >= MOST:
                self._ends(known, JobState.FAILED)
            else:
                known.state = QUEUED

    @rule(seconds=sampled_from([1.0, LEASE / 2, LEASE + 1]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.clock.forward(seconds)

    @rule(is_down=sampled_from([False, False, True]))
    def publish(self, is_down: bool) -> None:  # noqa: FBT001 - hypothesis draws it
        """The relay makes up for a broker that was away, or lost its messages."""
        self.fleet.broker.down = is_down
        self.fleet.broker.queues["champion"].clear()
        with suppress(Exception):
            self.app.relay.relay()

    @invariant()
    def the_records_say_what_the_model_says(self) -> None:
        """State, fence and attempts; and each job is on the list of its state alone."""
        for job, known in self.model.items():
            found = self.app.jobs.find(job)
            assert (found.state, found.fence, found.attempts) == (known.state, known.fence, known.attempts)
        states = [known.state for known in self.model.values()]
        assert self.app.job_store.depths() == {
            "queued": states.count(QUEUED), "running": states.count(RUNNING),
            "waiting": states.count(WAITING), "dead": states.count(JobState.FAILED),
        }  # fmt: skip

    def _holds(self, claim: Claim) -> bool:
        known = self.model[claim.job.id]
        return known.state is RUNNING and known.fence == claim.fence

    @staticmethod
    def _ends(known: ModelledJob, state: JobState) -> None:
        known.state, known.ends, known.is_cancelled = state, known.ends + 1, False


JobMachine.TestCase.settings = settings(max_examples=12, stateful_step_count=20)
TestJobsAgreeWithTheirModel = JobMachine.TestCase
