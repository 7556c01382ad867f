"""Whether a job is tried again: every ending, at every attempt, and the same for the job and its session."""

from itertools import product
from typing import Final

import pytest

from routing.jobs.ending import Ending, NotRun
from routing.jobs.job import Job, JobRequest, JobState
from routing.jobs.retry import BUSY_SECONDS, Again, Attempts, BackOff, GiveUp, is_done, retry
from routing.jobs.transitions import after_lost_worker
from tasks.agents.mail.role import Role
from tasks.agents.runtimes.agent_event import Usage
from tasks.agents.session.step import step_after
from tasks.agents.turn.result import TurnResult
from tasks.work.outcome import NextStep, Ran, outcome
from tests.fleets.stepped_fleet import ScriptedGenerator

ENDINGS: Final = [*Ending, *NotRun]
NUMBERS: Final = [Attempts(used=used, allowed=allowed) for used in (1, 2, 3, 4) for allowed in (1, 2, 3)]
NO_YES = (False, True)

#: Endings after which the worker that saw them does not try the job again.
FINAL = {Ending.CANCEL, Ending.LEASE_LOST, NotRun.JOB_LIMIT}

#: Endings that are nobody's failure: the attempt does not count.
FREE = {Ending.DRAIN: 0.0, NotRun.BUSY: BUSY_SECONDS}


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


def turn(ended_by: Ending, *, clean: bool) -> TurnResult:
    """A turn that ended so."""
    return TurnResult(
        ended_by=ended_by, exit_code=0 if clean else 1, clean=clean, session_id=None, session_lost=False,
        resume_mismatch=False, duration_seconds=1.0, usage=Usage(), api_error=None, events=0,
        malformed_lines=0, oversized_lines=0, output_bytes=0, output_tail="", survivors=0, log_failure="",
    )  # fmt: skip
