"""Whether a job is tried again: every ending, at every attempt, and the same for the job and its session."""

from dataclasses import dataclass
from itertools import product
from typing import Final

import pytest
import redis

from routing.back_off import BackOff
from routing.jobs.ending import Ending, NotRun
from routing.jobs.job import Job, JobRequest, JobState
from routing.jobs.lifecycle import Claim
from routing.jobs.retry import BUSY_SECONDS, Again, Attempts, GiveUp, is_done, retry
from routing.jobs.transitions import after_lost_worker
from routing.store.jobs.job_store import ClaimRefusal
from tasks.agents.mail.role import Role
from tasks.agents.runtimes.agent_event import Usage
from tasks.agents.session.step import step_after
from tasks.agents.turn.result import TurnResult
from tasks.agents.turn.stop_signal import StopSignal
from tasks.work.lease_keeper import LeaseKeeper, LeaseTimes
from tasks.work.outcome import NextStep, Ran, outcome
from tasks.work.work import Work, job_leases
from tests.fleets.stepped_fleet import ScriptedGenerator, SteppedFleet

ENDINGS: Final = [*Ending, *NotRun]
NUMBERS: Final = [Attempts(used=used, allowed=allowed) for used in (1, 2, 3, 4) for allowed in (1, 2, 3, 6)]
NO_YES = (False, True)
AWAIT_SECONDS = 60.0

#: Endings after which the worker that saw them does not try the job again.
FINAL = {Ending.CANCEL, Ending.LEASE_LOST, NotRun.JOB_LIMIT}

#: Endings that are nobody's failure: the attempt does not count.
FREE = {Ending.DRAIN: 0.0, NotRun.STORE_AWAY: 0.0, NotRun.BUSY: BUSY_SECONDS}


def expected(ended_by: Ending | NotRun, attempts: Attempts) -> tuple[bool, float | None]:
    """Whether the attempt counts, and the delay before the next one without jitter; None for no next one."""
    if ended_by in FINAL:
        return True, None
    if ended_by in FREE:
        return False, FREE[ended_by]
    if attempts.used >= attempts.allowed:
        return True, None
    return True, 0.0 if ended_by is NotRun.WORKER_LOST else 5.0 * 2 ** (attempts.used - 1)


@pytest.mark.parametrize("attempts", NUMBERS, ids=str)
@pytest.mark.parametrize("ended_by", ENDINGS)
def test_every_ending_at_every_attempt(ended_by: Ending | NotRun, attempts: Attempts) -> None:
    """The whole table, with the delays of the default back-off at its full length."""
    counts, delay = expected(ended_by, attempts)
    decided = retry(ended_by, attempts)
    if delay is None:
        assert isinstance(decided, GiveUp)
        assert decided.reason
    else:
        assert isinstance(decided, Again)
        assert decided.counts is counts
        assert decided.delay_seconds(BackOff(), ScriptedGenerator([1.0])) == delay


@pytest.mark.parametrize("ended_by", ENDINGS)
def test_an_attempt_counts_as_the_table_says(redis_client: redis.Redis, ended_by: Ending | NotRun) -> None:
    """What is stored of a job after its first attempt, as the worker reports it, or the sweep repairs it."""
    fleet = SteppedFleet(redis_client, draws=[0.5])
    fleet.add()
    job = fleet.enqueue().job
    if ended_by is NotRun.WORKER_LOST:
        fleet.claim(job)
        fleet.clock.forward(31)
        fleet.app.jobs.reap(at=fleet.clock())
    else:
        work(fleet, job, Ran(ended_by=ended_by))
    assert fleet.app.jobs.find(job).attempts == (0 if ended_by in FREE else 1)


def test_a_turn_that_ends_to_wait_for_mail_does_not_count(redis_client: redis.Redis) -> None:
    """It is queued again with all its attempts, and may be claimed when the longest wait is over."""
    fleet = SteppedFleet(redis_client)
    fleet.add()
    job = fleet.enqueue().job
    work(fleet, job, Ran(ended_by=Ending.RESULT, clean=True, awaits=True))
    found = fleet.app.jobs.find(job)
    assert (found.state, found.attempts) == (JobState.QUEUED, 0)
    assert fleet.app.jobs.claim(job, worker="w1", lease_seconds=30) is ClaimRefusal.EARLY
    fleet.clock.forward(AWAIT_SECONDS + 1)
    assert fleet.claim(job).job.attempts == 1


def test_chance_is_asked_only_where_there_is_jitter() -> None:
    """The generator draws canaries too: a job that is given back takes no number from it."""
    generator = ScriptedGenerator([0.0])
    for ended_by in (Ending.DRAIN, NotRun.BUSY, NotRun.WORKER_LOST, Ending.STALL):
        decided = retry(ended_by, Attempts(used=1, allowed=3))
        assert isinstance(decided, Again)
        decided.delay_seconds(BackOff(), generator)
    assert generator.asked == 1


@pytest.mark.parametrize(("ended_by", "clean", "said_done"), [*product(ENDINGS, NO_YES, NO_YES)])
def test_what_is_done(ended_by: Ending | NotRun, *, clean: bool, said_done: bool) -> None:
    """A clean exit is; so is an agent that had said so and was ended because it stayed."""
    stayed = ended_by in {Ending.STALL, Ending.DEADLINE}
    done = (ended_by is Ending.RESULT and clean) or (stayed and said_done)
    assert is_done(ended_by, clean=clean, said_done=said_done) is done


@pytest.mark.parametrize("attempts", NUMBERS, ids=str)
@pytest.mark.parametrize(("ended_by", "clean", "said"), [*product(Ending, NO_YES, NO_YES)])
def test_session_ends_exactly_when_its_job_does(
    ended_by: Ending, attempts: Attempts, *, clean: bool, said: bool
) -> None:
    """A parent hears of a death when no attempt follows, and never before one that does."""
    clean = clean and ended_by is Ending.RESULT
    decided = outcome(
        Ran(ended_by=ended_by, clean=clean, said_done=said and not clean, has_repository=True), attempts
    )
    step = step_after(
        turn(ended_by, clean=clean), role=Role.BUILDER, terminal_seen=said, awaiting=False, attempts=attempts
    )
    if ended_by is Ending.LEASE_LOST:
        assert (decided.step, step) == (NextStep.DROP, None)
    else:
        assert step is not None
        assert step.is_end is not decided.step.runs_again


@pytest.mark.parametrize("attempts", NUMBERS, ids=str)
def test_sweep_decides_about_a_lost_worker_by_the_same_table(attempts: Attempts) -> None:
    """It queues the job again at once while attempts are left; then the job has failed."""
    job = Job(
        id="0123456789abcdef", request=JobRequest(template="implementer", task="repair it"),
        state=JobState.RUNNING, template="implementer", version=1, content_hash="", created_at=0.0,
        attempts=attempts.used, max_attempts=attempts.allowed,
    )  # fmt: skip
    move = after_lost_worker(job, at=0.0)
    again = isinstance(retry(NotRun.WORKER_LOST, attempts), Again)
    assert move.to is (JobState.QUEUED if again else JobState.FAILED)
    assert (str(attempts) in move.reason) is not again


def work(fleet: SteppedFleet, job: str, ran: Ran) -> None:
    """One attempt at a job that went so, claimed and reported by a worker."""
    keeper = LeaseKeeper(LeaseTimes(lease_seconds=30.0), monotonic=fleet.clock)
    Work(
        jobs=fleet.app.jobs, keeper=keeper, leases=job_leases(fleet.app.job_store, 30.0), runner=Went(ran),
        retire=lambda *_: None, ended=lambda *_: None, await_seconds=AWAIT_SECONDS,
    ).work(job, worker="w1")  # fmt: skip


@dataclass(frozen=True)
class Went:
    """A runner whose turns all go the same way."""

    ran: Ran

    def run(self, claim: Claim, stop: StopSignal) -> Ran:
        """Nothing is run."""
        del claim, stop
        return self.ran

    def keep(self, claim: Claim) -> str:
        """It did nothing."""
        del claim
        return ""


def turn(ended_by: Ending, *, clean: bool) -> TurnResult:
    """A turn that ended so."""
    return TurnResult(
        ended_by=ended_by, exit_code=0 if clean else 1, clean=clean, session_id=None, session_lost=False,
        resume_mismatch=False, duration_seconds=1.0, usage=Usage(), api_error=None, events=0,
        malformed_lines=0, oversized_lines=0, output_bytes=0, output_tail="", survivors=0, log_failure="",
    )  # fmt: skip
