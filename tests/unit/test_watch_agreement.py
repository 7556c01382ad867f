"""The rows of the watch table without a push are decided where the turn ends: there they are the same."""

from dataclasses import replace

import pytest
import redis

from routing.forges.commit_status import CiVerdict
from routing.jobs.job import Job, JobRequest, JobResult, JobState
from routing.jobs.lost_worker import after_lost_worker
from routing.jobs.signal import SignalKind
from tasks.issues.watch import Action, TurnState, Watched, WatchLimits, watch
from tasks.work.outcome import NextStep, Ran, outcome
from tests.fleets.forge_fleet import ForgeFleet
from tests.fleets.stepped_fleet import SteppedFleet

ATTEMPTS = 3

JOB = Job(
    id="0123456789abcdef", request=JobRequest(template="implementer", task="mend it"), state=JobState.RUNNING,
    template="implementer", version=1, content_hash="", created_at=0.0, max_attempts=ATTEMPTS,
)  # fmt: skip


def decided(turn: TurnState, attempts: int) -> Action:
    """What the table says of a run without a push at its n-th attempt."""
    seen = Watched(turn=turn, pushed=False, ci=CiVerdict.UNKNOWN, redispatches=attempts - 1)
    return watch(seen, WatchLimits(redispatches=ATTEMPTS - 1)).action


def test_a_turn_that_ends_without_a_push_is_handed_over() -> None:
    """By the worker that ran it."""
    ended = outcome(Ran(ended_by="result", clean=True, has_repository=True))
    assert (ended.step, ended.signal) == (NextStep.ESCALATE, SignalKind.NOTHING_PUSHED)
    assert decided(TurnState.IDLE, 1) is Action.ESCALATE_PREPUSH


@pytest.mark.parametrize("ended_by", ["exit", "stall", "deadline", "budget", "parser_error"])
def test_a_turn_that_fails_is_handed_over_when_no_attempt_is_left(
    fake_redis: redis.Redis, ended_by: str
) -> None:
    """An attempt that fails is followed by another one; the table speaks of a run that is not tried again."""
    ran = outcome(Ran(ended_by=ended_by, has_repository=True))
    assert ran.step is NextStep.RETRY
    fleet = SteppedFleet(fake_redis, draws=[0.5] * 9, job={"max_attempts": ATTEMPTS})
    fleet.add()
    job = fleet.enqueue().job
    again = []
    for _ in range(ATTEMPTS):
        fleet.clock.forward(1000)
        again.append(
            fleet.app.jobs.attempt_failed(fleet.claim(job), reason="", result=JobResult(), signals=[])
        )
    assert again == [True, True, False]
    assert fleet.app.jobs.find(job).state is JobState.FAILED
    assert decided(TurnState.ERROR, ATTEMPTS) is Action.ESCALATE_PREPUSH


@pytest.mark.parametrize("attempts", range(1, ATTEMPTS + 2))
def test_a_turn_whose_worker_is_lost_is_dispatched_again(attempts: int) -> None:
    """As often as the table says, and then handed over."""
    move = after_lost_worker(replace(JOB, attempts=attempts), at=0.0)
    again = decided(TurnState.VANISHED, attempts) is Action.REDISPATCH
    assert move.to is (JobState.QUEUED if again else JobState.FAILED)


def test_ci_is_not_asked_of_what_is_not_pushed(fake_redis: redis.Redis) -> None:
    """Nor of what is being repaired: the watcher shows a running job, and waits."""
    fleet = ForgeFleet(fake_redis, acts={1: ["red"]})
    ref = fleet.forge.person_opens(1)
    fleet.poll()
    fleet.dispatch()
    fleet.hands.claim(fleet.jobs(ref)[0].id)
    fleet.watch()
    assert fleet.jobs(ref)[0].state is JobState.RUNNING
    assert fleet.forge.calls_of("statuses") == 0
    assert "- [~] tests red" in fleet.forge.checklists(ref)[0]
    assert decided(TurnState.RUNNING, 1) is Action.WAIT


@pytest.mark.parametrize("act", ["fails", "lost"])
def test_what_was_handed_over_looks_the_same_whoever_decided(fake_redis: redis.Redis, act: str) -> None:
    """The issue is escalated, labelled, and its slot is free."""
    fleet = ForgeFleet(fake_redis, acts={1: ["fails"]})
    ref = fleet.forge.person_opens(1)
    fleet.poll()
    (job,) = fleet.dispatch()
    if act == "lost":
        for _ in range(ATTEMPTS):
            fleet.hands.claim(job, lease_seconds=5)
            fleet.clock.forward(6)
            fleet.hands.app.jobs.reap(at=fleet.clock())
    else:
        fleet.work()
    fleet.watch()
    assert fleet.item(ref).state.value == "escalated"
    assert list(fleet.forge.issues[ref].labels) == ["coalmine", "ready-for-human"]
    assert fleet.hands.app.job_store.active_on([str(ref)])[0][0] == ""
