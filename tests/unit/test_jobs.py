"""Jobs on their way: leases and fences, attempts, cancelling, retrying, and what the sweep repairs."""

import pytest
import redis

from routing.base import Base
from routing.errors import ConflictError, InvalidInputError
from routing.jobs.ending import Ending
from routing.jobs.job import JobResult, JobState
from routing.jobs.lifecycle import CancelAskedError, Claim, StaleLeaseError, UnknownJobError
from routing.jobs.retry import UNCOUNTED
from routing.jobs.signal import AT_STEP, SignalKind, signal
from routing.jobs.turn import Hindrance, HindranceKind
from routing.store.jobs.job_store import ClaimRefusal
from routing.store.jobs.move import Move, MoveAnswer
from routing.store.redis.lease import LeaseStatus
from tests.fleets.stepped_fleet import START, SteppedFleet, fail_attempt

PUSHED = JobResult(exit_code=0, ended_by=Ending.RESULT, commit="4be1c0ffee00", branch="coalmine/x")

HELD, LOST = LeaseStatus(held=True), LeaseStatus(held=False)
LATE = LeaseStatus(held=True, is_late=True)


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A fleet with one template; its generator says 0 when asked for jitter."""
    made = SteppedFleet(redis_client, draws=[0.0] * 100)
    made.add()
    return made


def fail(fleet: SteppedFleet, claim: Claim) -> bool:
    """An attempt ends in an error of the agent."""
    return fail_attempt(fleet.app.jobs, claim, signals=[fleet.fact(SignalKind.AGENT_ERRORED)])


def signals(fleet: SteppedFleet, job: str) -> list[str]:
    """The kinds of facts that are recorded about a job."""
    return [fact.kind.value for fact in fleet.app.signals.read(job)]


def test_claim_wins_the_lease(fleet: SteppedFleet) -> None:
    """The winner gets the content and a fence; the job runs until the lease ends."""
    job = fleet.enqueue().job
    claim = fleet.claim(job, lease_seconds=30)
    assert (claim.fence, claim.version.snapshot.prompt) == (1, "one")
    found = fleet.app.jobs.find(job)
    assert (found.state, found.attempts, found.lease_until, found.worker) == ("running", 1, START + 30, "w1")
    assert len(fleet.events("job.claimed")) == 1


def test_second_claim_finds_the_job_taken(fleet: SteppedFleet) -> None:
    """A duplicate message changes nothing."""
    job = fleet.enqueue().job
    fleet.claim(job)
    before = fleet.everything()
    assert fleet.app.jobs.claim(job, worker="w2", lease_seconds=30) == ClaimRefusal.TAKEN
    assert fleet.everything() == before


def test_fact_of_a_step_has_the_step_s_time(fleet: SteppedFleet) -> None:
    """By the store's clock, which the worker did not ask; what its words say is left as it is."""
    claim, note = fleet.claim(fleet.enqueue().job), 'the log says "at":0.0, twice'
    fleet.clock.forward(7.25)
    facts = [signal(SignalKind.FINISHED, at=AT_STEP, note=note), fleet.fact(SignalKind.MERGED)]
    fleet.clock.forward(1)
    fleet.app.jobs.end(claim, JobState.SUCCEEDED, reason="done", result=PUSHED, signals=facts)
    times = {fact.kind: (fact.at, fact.note) for fact in fleet.app.signals.read(claim.job.id)}
    assert times == {SignalKind.FINISHED: (START + 8.25, note), SignalKind.MERGED: (START + 7.25, "")}


def test_claim_of_an_unknown_job_changes_nothing(fleet: SteppedFleet) -> None:
    """A message whose job is gone is dropped."""
    assert fleet.app.jobs.claim("0" * 16, worker="w1", lease_seconds=30) == ClaimRefusal.MISSING


def test_claim_of_a_finished_job_changes_nothing(fleet: SteppedFleet) -> None:
    """A late message finds the job ended."""
    job = fleet.enqueue().job
    fleet.end(job)
    before = fleet.everything()
    assert fleet.app.jobs.claim(job, worker="w2", lease_seconds=30) == ClaimRefusal.FINAL
    assert fleet.everything() == before


def test_expired_lease_can_be_won_by_another(fleet: SteppedFleet) -> None:
    """The second worker gets a larger fence."""
    job = fleet.enqueue().job
    first = fleet.claim(job, lease_seconds=30)
    fleet.clock.forward(31)
    second = fleet.claim(job)
    assert second.fence > first.fence


def test_stale_finish_is_refused(fleet: SteppedFleet) -> None:
    """A worker that lost its lease writes nothing any more."""
    job = fleet.enqueue().job
    first = fleet.claim(job, lease_seconds=30)
    fleet.clock.forward(31)
    fleet.claim(job)
    before = fleet.everything()
    for step in (
        lambda: fleet.app.jobs.end(first, JobState.SUCCEEDED, reason="done", result=JobResult()),
        lambda: fleet.app.jobs.pushed(first, PUSHED),
        lambda: fleet.app.jobs.give_back(first, UNCOUNTED, reason="drain"),
        lambda: fail(fleet, first),
    ):
        with pytest.raises(StaleLeaseError, match="refused"):
            step()
    assert fleet.everything() == before


def test_second_finish_is_refused(fleet: SteppedFleet) -> None:
    """A job ends once, even by the word of the same worker."""
    job = fleet.enqueue().job
    claim = fleet.claim(job)
    fleet.app.jobs.end(claim, JobState.SUCCEEDED, reason="done", result=JobResult())
    with pytest.raises(StaleLeaseError):
        fleet.app.jobs.end(claim, JobState.ESCALATED, reason="no", result=JobResult())
    assert fleet.app.jobs.find(job).state is JobState.SUCCEEDED
    assert len(fleet.events("job.finished")) == 1


def test_base_of_a_jobs_work_is_noted_under_its_lease(fleet: SteppedFleet) -> None:
    """Where the work began stays with the job; a worker that lost its lease does not change it."""
    claim = fleet.claim(fleet.enqueue().job)
    began = Base(branch="main", commit="1" * 40)

    assert claim.job.base is None
    assert fleet.app.job_store.note_base(claim.job.id, claim.fence, began)
    assert not fleet.app.job_store.note_base(claim.job.id, claim.fence - 1, Base(branch="x", commit="2" * 40))
    assert fleet.app.jobs.find(claim.job.id).base == began


def test_heartbeat_extends_the_lease(fleet: SteppedFleet) -> None:
    """A renewed lease does not run out when the first would have."""
    job = fleet.enqueue().job
    claim = fleet.claim(job, lease_seconds=30)
    fleet.clock.forward(20)
    assert fleet.app.job_store.renew([(job, claim.fence)], extend_seconds=30) == [HELD]
    fleet.clock.forward(20)
    assert fleet.app.jobs.reap(at=fleet.clock()) == []
    assert fleet.app.jobs.find(job).lease_until == START + 50


def test_looking_at_a_lease_does_not_extend_it(fleet: SteppedFleet) -> None:
    """A look between two heartbeats only hears of cancels."""
    job = fleet.enqueue().job
    claim = fleet.claim(job, lease_seconds=30)
    fleet.clock.forward(20)
    assert fleet.app.job_store.renew([(job, claim.fence)], extend_seconds=0) == [HELD]
    assert fleet.app.jobs.find(job).lease_until == START + 30


def test_lease_that_ran_out_is_its_holders_until_it_is_taken(fleet: SteppedFleet) -> None:
    """Its fence renews it while nobody has taken the job; after that, and with an old fence, nothing is."""
    first, second = fleet.enqueue().job, fleet.enqueue().job
    old, kept = fleet.claim(first, lease_seconds=30), fleet.claim(second, lease_seconds=30)
    fleet.clock.forward(31)
    held = [(first, old.fence), (second, kept.fence - 1), (second, kept.fence)]
    assert fleet.app.job_store.renew(held, extend_seconds=0) == [LATE, LOST, LATE]
    assert fleet.app.job_store.renew(held[1:], extend_seconds=30) == [LOST, HELD]
    assert fleet.app.jobs.reap(at=fleet.clock()) == [first]
    assert fleet.app.job_store.renew(held, extend_seconds=30) == [LOST, LOST, HELD]


def test_claim_may_be_made_again(fleet: SteppedFleet) -> None:
    """Where its answer was lost, the same claim finds what it won; another one does not."""
    job = fleet.enqueue().job
    won = fleet.app.jobs.claim(job, worker="w1", lease_seconds=30, call_id="one")
    again = fleet.app.jobs.claim(job, worker="w1", lease_seconds=30, call_id="one")
    assert isinstance(won, Claim)
    assert again == won
    assert won.job.attempts == 1
    assert fleet.app.jobs.claim(job, worker="w1", lease_seconds=30, call_id="two") is ClaimRefusal.TAKEN
    assert fleet.app.jobs.claim(job, worker="w1", lease_seconds=30) is ClaimRefusal.TAKEN


def test_time_without_sweeps_takes_no_lease(fleet: SteppedFleet) -> None:
    """A machine that slept for an hour: the holder has some seconds to renew, and then its lease is lost."""
    kept, lost, lost_before = (fleet.enqueue().job for _ in range(3))
    fence = fleet.claim(kept, lease_seconds=30).fence
    fleet.claim(lost, lease_seconds=30)
    fleet.claim(lost_before, lease_seconds=1)
    fleet.clock.forward(2)
    fleet.app.ticks.beat()
    fleet.clock.forward(3600)
    assert fleet.app.jobs.claim(kept, worker="w2", lease_seconds=30) is ClaimRefusal.TAKEN
    fleet.app.ticks.beat()
    assert fleet.app.jobs.reap(at=fleet.clock()) == [lost_before], "that one could have been renewed"
    fleet.clock.forward(1)
    assert fleet.app.job_store.renew([(kept, fence)], extend_seconds=30) == [HELD]
    for _ in range(5):
        fleet.clock.forward(1)
        fleet.app.ticks.beat()
    assert fleet.app.jobs.reap(at=fleet.clock()) == [lost]


def test_before_the_first_sweep_no_lease_is_lost(fleet: SteppedFleet) -> None:
    """A server that went away at once: holders get time from the first sweep on, as after any pause."""
    job = fleet.enqueue().job
    fence = fleet.claim(job, lease_seconds=3).fence
    fleet.clock.forward(60)
    fleet.app.ticks.beat()
    assert fleet.app.jobs.reap(at=fleet.clock()) == []
    assert fleet.app.job_store.renew([(job, fence)], extend_seconds=3) == [HELD]
    for _ in range(9):
        fleet.clock.forward(1)
        fleet.app.ticks.beat()
    assert fleet.app.jobs.reap(at=fleet.clock()) == [job]


def test_a_lease_is_its_holders_although_no_sweep_has_begun_yet(fleet: SteppedFleet) -> None:
    """Also for a message that comes again and asks first: a worker's start began the pulse."""
    job = fleet.enqueue().job
    fleet.app.ticks.look()
    fence = fleet.claim(job, lease_seconds=3).fence
    fleet.clock.forward(60)
    assert fleet.app.jobs.claim(job, worker="w2", lease_seconds=30) is ClaimRefusal.TAKEN
    assert fleet.app.jobs.reap(at=fleet.clock()) == []
    assert fleet.app.job_store.renew([(job, fence)], extend_seconds=3) == [HELD]


def test_sweeps_that_are_always_late_take_lost_leases(fleet: SteppedFleet) -> None:
    """Each sweep comes so late that holders get time; a lease that ran out before the last one had it."""
    job = fleet.enqueue().job
    fleet.claim(job, lease_seconds=30)
    reaped: list[str] = []
    for _ in range(6):
        fleet.app.ticks.beat()
        reaped += fleet.app.jobs.reap(at=fleet.clock())
        fleet.clock.forward(10)
    assert reaped == [job]


def test_failed_attempt_is_queued_again_after_its_back_off(fleet: SteppedFleet) -> None:
    """The job waits for its delay; a message that comes earlier is not needed."""
    job = fleet.enqueue().job
    assert fail(fleet, fleet.claim(job)) is True
    found = fleet.app.jobs.find(job)
    assert (found.state, found.attempts, found.kind) == ("queued", 1, "redispatch")
    assert fleet.app.jobs.claim(job, worker="w1", lease_seconds=30) == ClaimRefusal.EARLY
    fleet.clock.forward(2.5)
    assert fleet.claim(job).job.attempts == 2


def test_failed_attempts_record_their_fact_only_at_the_end(fleet: SteppedFleet) -> None:
    """A job that fails once and then succeeds is a success: the failed attempt says nothing about the job."""
    job = fleet.enqueue().job
    fail(fleet, fleet.claim(job))
    fleet.clock.forward(10)
    fleet.end(job)
    assert signals(fleet, job) == ["finished"]


def test_last_attempt_is_a_dead_letter(fleet: SteppedFleet) -> None:
    """When the attempts are used up the job failed, its fact is recorded and a person can find it."""
    job = fleet.enqueue(max_attempts=2).job
    assert fail(fleet, fleet.claim(job)) is True
    fleet.clock.forward(10)
    assert fail(fleet, fleet.claim(job)) is False
    found = fleet.app.jobs.find(job)
    assert (found.state, found.attempts, found.reason) == ("failed", 2, "crash; attempt 2 of 2")
    assert fleet.app.job_store.dead(10) == [job]
    assert signals(fleet, job) == ["agent_errored"]


def test_person_retries_a_dead_letter(fleet: SteppedFleet) -> None:
    """A retried job has its attempts anew, is no longer a dead letter, and does not expire."""
    job = fleet.enqueue(max_attempts=1).job
    fail(fleet, fleet.claim(job))
    assert fleet.redis.ttl(fleet.app.keys.job(job)) > 0
    retried = fleet.app.jobs.retry(job, by="ada")
    assert (retried.state, retried.attempts, retried.finished_at) == ("queued", 0, None)
    assert fleet.app.job_store.dead(10) == []
    assert fleet.redis.ttl(fleet.app.keys.job(job)) == -1
    assert fleet.claim(job).job.attempts == 1


@pytest.mark.parametrize("state", ["queued", "running", "succeeded"])
def test_only_what_ended_without_success_is_retried(fleet: SteppedFleet, state: str) -> None:
    """Retrying anything else is refused and changes nothing."""
    job = fleet.enqueue().job
    if state == "running":
        fleet.claim(job)
    if state == "succeeded":
        fleet.end(job)
    before = fleet.everything()
    with pytest.raises(ConflictError, match=state):
        fleet.app.jobs.retry(job, by="ada")
    assert fleet.everything() == before


def test_retried_job_is_at_work_on_its_issue_again(fleet: SteppedFleet) -> None:
    """One active job an issue: while a retried job works, a new request for the issue leads to it."""
    job = fleet.enqueue(issue="local:shop#3").job
    fleet.end(job, SignalKind.ESCALATED)
    fleet.app.job_store.effects_done(job, "local:shop#3")
    fleet.app.jobs.retry(job, by="ada")
    assert fleet.enqueue(issue="local:shop#3").job == job


def test_job_whose_issue_is_at_work_elsewhere_is_not_retried(fleet: SteppedFleet) -> None:
    """A second job has taken over: the first is not brought back beside it."""
    first = fleet.enqueue(issue="local:shop#3").job
    fleet.end(first, SignalKind.ESCALATED)
    fleet.app.job_store.effects_done(first, "local:shop#3")
    second = fleet.enqueue(issue="local:shop#3").job
    before = fleet.everything()
    with pytest.raises(ConflictError, match=second):
        fleet.app.jobs.retry(first, by="ada")
    assert fleet.everything() == before


def test_cancel_of_a_queued_job_ends_it(fleet: SteppedFleet) -> None:
    """It is cancelled at once and its message finds it ended."""
    job = fleet.enqueue().job
    assert fleet.app.jobs.cancel(job, by="ada", at=START).state is JobState.CANCELLED
    assert fleet.app.jobs.claim(job, worker="w1", lease_seconds=30) == ClaimRefusal.FINAL
    assert signals(fleet, job) == ["cancelled"]


def test_cancel_of_a_job_that_a_limit_put_off_names_the_host_of_its_work(fleet: SteppedFleet) -> None:
    """What its turn did is in the tree there: neither pushed nor finished."""
    job = fleet.enqueue().job
    won = fleet.app.jobs.claim(job, worker="celery@bench-7", lease_seconds=30)
    assert isinstance(won, Claim)
    fleet.spend(won)
    hindrance = Hindrance(kind=HindranceKind.LIMIT, since=fleet.clock(), seen_at=fleet.clock())
    fleet.app.jobs.hindered(won, UNCOUNTED, reason="its account has reached a limit", hindrance=hindrance)
    ended = fleet.app.jobs.cancel(job, by="ada", at=fleet.clock())
    assert ended.reason.endswith("what its turn did is as it is in its work tree on bench-7")


def test_cancel_of_a_waiting_job_ends_it(fleet: SteppedFleet) -> None:
    """A pushed job whose CI is watched can be cancelled too."""
    job = fleet.enqueue().job
    fleet.app.jobs.pushed(fleet.claim(job), PUSHED)
    assert fleet.app.jobs.cancel(job, by="ada", at=START).state is JobState.CANCELLED
    assert fleet.app.job_store.waiting(10) == []


def test_cancel_reaches_the_worker_of_a_running_job(fleet: SteppedFleet) -> None:
    """The worker hears of it at its next look, and carries it out."""
    job = fleet.enqueue().job
    claim = fleet.claim(job)
    assert fleet.app.jobs.cancel(job, by="ada", at=START).state is JobState.RUNNING
    asked = LeaseStatus(held=True, stop="cancelled by ada")
    assert fleet.app.job_store.renew([(job, claim.fence)], extend_seconds=0) == [asked]
    fleet.app.jobs.end(claim, JobState.CANCELLED, reason="cancelled by ada", result=JobResult())
    assert fleet.app.jobs.find(job).state is JobState.CANCELLED


def test_cancelling_again_changes_nothing(fleet: SteppedFleet) -> None:
    """Asking again is a success that emits nothing, while it runs and when it has ended."""
    running, queued = fleet.enqueue().job, fleet.enqueue().job
    fleet.claim(running)
    for job in (running, queued):
        fleet.app.jobs.cancel(job, by="ada", at=START)
    before = fleet.everything()
    for job in (running, queued):
        fleet.app.jobs.cancel(job, by="bob", at=START)
    assert fleet.everything() == before


@pytest.mark.parametrize("kind", [SignalKind.FINISHED, SignalKind.ESCALATED])
def test_ended_job_cannot_be_cancelled(fleet: SteppedFleet, kind: SignalKind) -> None:
    """What has ended stays as it ended."""
    job = fleet.enqueue().job
    fleet.end(job, kind)
    with pytest.raises(ConflictError, match="can no longer be cancelled"):
        fleet.app.jobs.cancel(job, by="ada", at=START)


def test_cancelled_job_whose_attempt_fails_is_not_run_again(fleet: SteppedFleet) -> None:
    """A cancel that came while the attempt was failing is not forgotten."""
    job = fleet.enqueue().job
    claim = fleet.claim(job)
    fleet.app.jobs.cancel(job, by="ada", at=START)
    with pytest.raises(CancelAskedError):
        fail(fleet, claim)
    fleet.app.jobs.end(claim, JobState.CANCELLED, reason="cancelled by ada", result=JobResult())
    assert fleet.app.jobs.find(job).state is JobState.CANCELLED


def test_cancelled_job_that_is_given_back_is_not_run_again(fleet: SteppedFleet) -> None:
    """A cancel that came while the worker shut down is not forgotten."""
    job = fleet.enqueue().job
    claim = fleet.claim(job)
    fleet.app.jobs.cancel(job, by="ada", at=START)
    with pytest.raises(CancelAskedError):
        fleet.app.jobs.give_back(claim, UNCOUNTED, reason="its worker shut down")
    fleet.clock.forward(31)
    fleet.app.jobs.reap(at=fleet.clock())
    assert fleet.app.jobs.find(job).state is JobState.CANCELLED


def test_cancelled_job_that_is_pushed_is_not_watched(fleet: SteppedFleet) -> None:
    """A cancel that came while the work was pushed is not forgotten."""
    job = fleet.enqueue().job
    claim = fleet.claim(job)
    fleet.app.jobs.cancel(job, by="ada", at=START)
    with pytest.raises(CancelAskedError):
        fleet.app.jobs.pushed(claim, PUSHED)
    assert fleet.app.job_store.waiting(10) == []


def test_retried_job_is_not_cancelled_by_the_old_wish(fleet: SteppedFleet) -> None:
    """A retry takes the cancel back."""
    job = fleet.enqueue().job
    claim = fleet.claim(job)
    fleet.app.jobs.cancel(job, by="ada", at=START)
    fleet.app.jobs.end(claim, JobState.CANCELLED, reason="cancelled by ada", result=JobResult())
    fleet.app.jobs.retry(job, by="ada")
    again = fleet.claim(job)
    assert fleet.app.job_store.renew([(job, again.fence)], extend_seconds=0) == [HELD]


def test_given_back_job_does_not_lose_an_attempt(fleet: SteppedFleet) -> None:
    """A worker that shuts down returns its job at once and uses up no attempt."""
    job = fleet.enqueue(max_attempts=1).job
    fleet.app.jobs.give_back(fleet.claim(job), UNCOUNTED, reason="its worker shut down")
    found = fleet.app.jobs.find(job)
    assert (found.state, found.attempts) == ("queued", 0)
    fleet.app.relay.relay()
    assert [sent[0] for sent in fleet.broker.sent] == [job, job]
    assert fleet.claim(job).job.attempts == 1


def test_pushed_job_waits_without_a_lease(fleet: SteppedFleet) -> None:
    """While CI is watched nobody holds the job, and nothing is reaped."""
    job = fleet.enqueue().job
    fleet.app.jobs.pushed(fleet.claim(job), PUSHED)
    fleet.clock.forward(1000)
    assert fleet.app.jobs.reap(at=fleet.clock()) == []
    found = fleet.app.jobs.find(job)
    assert (found.state, found.result.commit, found.pushed_at) == ("waiting", PUSHED.commit, START)
    assert fleet.app.jobs.conclude(found, JobState.SUCCEEDED, reason="green") is True
    assert fleet.app.jobs.conclude(found, JobState.ESCALATED, reason="red") is False
    assert fleet.app.jobs.find(job).reason == "green"


def test_lost_worker_puts_the_job_back(fleet: SteppedFleet) -> None:
    """The sweep queues a job whose lease ran out, and the relay publishes it at once."""
    job = fleet.enqueue().job
    fleet.claim(job, lease_seconds=30)
    assert fleet.app.jobs.reap(at=fleet.clock()) == []
    fleet.clock.forward(31)
    assert fleet.app.jobs.reap(at=fleet.clock()) == [job]
    assert fleet.app.jobs.reap(at=fleet.clock()) == []
    assert fleet.app.jobs.find(job).state is JobState.QUEUED
    assert len(fleet.events("job.lease_expired")) == 1
    fleet.app.relay.relay()
    assert fleet.claim(job).job.attempts == 2


def test_lease_that_is_renewed_while_the_sweep_looks_is_left_alone(fleet: SteppedFleet) -> None:
    """Between the sweep's list and its write the worker may have come back."""
    job = fleet.enqueue().job
    fleet.claim(job, lease_seconds=30)
    before = fleet.everything()
    step = Move(
        job=job, allowed=[JobState.RUNNING], to=JobState.QUEUED, event="job.lease_expired", expired=True
    )
    assert fleet.app.job_store.move(step).answer is MoveAnswer.ALIVE
    assert fleet.everything() == before


def test_machine_lost_at_the_last_attempt_is_not_the_agents_fault(fleet: SteppedFleet) -> None:
    """The job failed, is a dead letter, and is left out of its trial."""
    job = fleet.enqueue(max_attempts=1).job
    fleet.claim(job, lease_seconds=30)
    fleet.clock.forward(31)
    assert fleet.app.jobs.reap(at=fleet.clock()) == [job]
    assert fleet.app.jobs.find(job).state is JobState.FAILED
    assert fleet.app.job_store.dead(10) == [job]
    assert signals(fleet, job) == ["machine_lost"]
    fleet.app.harvester.harvest()
    assert fleet.app.jobs.find(job).excluded


def test_attempts_that_are_used_up_are_not_won_from_an_expired_lease(fleet: SteppedFleet) -> None:
    """A duplicate message does not give a job one attempt more than it has."""
    job = fleet.enqueue(max_attempts=1).job
    fleet.claim(job, lease_seconds=30)
    fleet.clock.forward(31)
    assert fleet.app.jobs.claim(job, worker="w2", lease_seconds=30) == ClaimRefusal.TAKEN


def test_cancel_while_the_worker_is_lost_is_carried_out_by_the_sweep(fleet: SteppedFleet) -> None:
    """Nobody is there to hear of it, so the sweep ends the job instead of queueing it."""
    job = fleet.enqueue().job
    fleet.claim(job, lease_seconds=30)
    fleet.app.jobs.cancel(job, by="ada", at=START)
    fleet.clock.forward(31)
    assert fleet.app.jobs.claim(job, worker="w2", lease_seconds=30) == ClaimRefusal.TAKEN
    assert fleet.app.jobs.reap(at=fleet.clock()) == [job]
    found = fleet.app.jobs.find(job)
    assert (found.state, found.reason) == (JobState.CANCELLED, "cancelled by ada")
    assert signals(fleet, job) == ["cancelled"]


def test_one_unreadable_record_does_not_stop_the_sweep(fleet: SteppedFleet) -> None:
    """The jobs after it are put back all the same."""
    broken, job = fleet.enqueue().job, fleet.enqueue().job
    for one in (broken, job):
        fleet.claim(one, lease_seconds=30)
    fleet.redis.hset(fleet.app.keys.job(broken), "request", "{broken")
    fleet.clock.forward(31)
    assert job in fleet.app.jobs.reap(at=fleet.clock())


def test_lease_of_a_record_that_is_gone_is_forgotten(fleet: SteppedFleet) -> None:
    """The sweep does not find it again and again."""
    job = fleet.enqueue().job
    fleet.claim(job, lease_seconds=30)
    fleet.redis.delete(fleet.app.keys.job(job))
    fleet.clock.forward(31)
    assert fleet.app.jobs.reap(at=fleet.clock()) == []
    assert fleet.app.job_store.expired_leases(10) == []


def test_paused_fleet_claims_nothing_and_loses_nothing(fleet: SteppedFleet) -> None:
    """A message that arrives while dispatch is paused is published again when it is resumed."""
    job = fleet.enqueue().job
    fleet.app.switch.pause("maintenance")
    assert fleet.app.jobs.claim(job, worker="w1", lease_seconds=30) == ClaimRefusal.PAUSED
    fleet.clock.forward(1)
    assert fleet.app.relay.relay().published == 0
    fleet.app.switch.resume("done")
    assert fleet.app.relay.relay().published == 1
    assert [sent[0] for sent in fleet.broker.sent] == [job, job]
    assert fleet.claim(job).job.attempts == 1


def test_pausing_again_changes_nothing(fleet: SteppedFleet) -> None:
    """The switch is reported once each way."""
    assert [fleet.app.switch.pause("a"), fleet.app.switch.pause("b")] == [True, False]
    assert fleet.app.switch.reason() == "a"
    assert [fleet.app.switch.resume("c"), fleet.app.switch.resume("d")] == [True, False]
    assert fleet.app.switch.reason() is None
    assert len(fleet.events("dispatch.paused", "dispatch.resumed")) == 2


def test_running_job_goes_on_while_paused(fleet: SteppedFleet) -> None:
    """Pausing stops dispatch, not the agents that are at work."""
    job = fleet.enqueue().job
    claim = fleet.claim(job)
    fleet.app.switch.pause("maintenance")
    fleet.app.jobs.end(claim, JobState.SUCCEEDED, reason="done", result=JobResult())
    assert fleet.app.jobs.find(job).state is JobState.SUCCEEDED


def test_queued_job_of_a_rejected_canary_runs_the_champion(fleet: SteppedFleet) -> None:
    """It says so in its record, and leaves its trial."""
    trial = fleet.open(fleet.propose())
    job = fleet.enqueue().job
    fleet.app.templates.reject(trial.canary_id, by="ada")
    claim = fleet.claim(job)
    assert claim.version.snapshot.prompt == "one"
    assert (claim.job.version, claim.job.rerouted_from, claim.job.trial, claim.job.arm) == (1, 2, "", None)
    assert claim.job.attempts == 1
    rerouted = fleet.events("job.rerouted")
    assert [event.data for event in rerouted] == [{"from": "implementer@v2", "to": "implementer@v1"}]
    fleet.app.harvester.harvest()
    counts = fleet.app.harvester.evidence(fleet.app.trials.find(trial.id)).canary
    assert (counts.dispatched, counts.rerouted, counts.open) == (1, 1, 0)


def test_rerouted_job_does_not_count_for_its_old_trial(fleet: SteppedFleet) -> None:
    """What the champion makes of it is not credited to the canary."""
    trial = fleet.open(fleet.propose())
    job = fleet.enqueue().job
    fleet.app.templates.reject(trial.canary_id, by="ada")
    fleet.end(job)
    fleet.app.harvester.harvest()
    kinds = [line.kind for line in fleet.app.harvester.ledger(trial.id) if hasattr(line, "kind")]
    assert kinds == ["rerouted"]
    assert fleet.app.jobs.find(job).score == 1.0


def test_pinned_job_of_a_rejected_version_runs_the_champion(fleet: SteppedFleet) -> None:
    """A rejected version gets no more work, not even pinned."""
    second = fleet.propose()
    job = fleet.enqueue(second.id).job
    fleet.app.templates.reject(second.id, by="ada")
    assert fleet.claim(job).job.version == 1


def test_job_of_a_stopped_trial_keeps_its_version(fleet: SteppedFleet) -> None:
    """Only rejection takes work away: a stopped canary's jobs stay with it."""
    trial = fleet.open(fleet.propose())
    job = fleet.enqueue().job
    fleet.app.trials.stop(trial, by="ada")
    assert fleet.claim(job).job.version == 2


def test_report_may_be_made_again(fleet: SteppedFleet) -> None:
    """Where its answer was lost: nothing is done twice, and the worker follows it up as usual."""
    job = fleet.enqueue().job
    claim = fleet.claim(job)
    for _ in range(2):
        fleet.app.jobs.pushed(claim, PUSHED)
        assert fleet.app.jobs.find(job).state is JobState.WAITING
    assert len(fleet.events("job.waiting")) == 1


def test_report_that_another_worker_has_come_after_is_refused(fleet: SteppedFleet) -> None:
    """It was carried out, and the job has been claimed since: its agent is the next worker's."""
    job = fleet.enqueue().job
    claim = fleet.claim(job)
    fleet.app.jobs.give_back(claim, UNCOUNTED, reason="drain")
    fleet.claim(job)
    with pytest.raises(StaleLeaseError):
        fleet.app.jobs.give_back(claim, UNCOUNTED, reason="drain")
    assert fleet.app.jobs.find(job).state is JobState.RUNNING


def test_worker_of_a_rerouted_job_is_refused(fleet: SteppedFleet) -> None:
    """A job is rerouted after its lost lease: the canary's late result is not credited to the champion."""
    trial = fleet.open(fleet.propose())
    job = fleet.enqueue().job
    late = fleet.claim(job, lease_seconds=30)
    fleet.clock.forward(31)
    fleet.app.templates.reject(trial.canary_id, by="ada")
    found = fleet.app.jobs.find(job)
    champion = fleet.app.templates.champion("implementer")
    fleet.app.job_store.reroute(
        found, champion=1, content_hash=champion.content_hash, source_commit="", settlement='{"index":0'
    )
    with pytest.raises(StaleLeaseError):
        fleet.app.jobs.end(late, JobState.SUCCEEDED, reason="done", result=JobResult())


def test_settled_job_that_is_retried_and_rerouted_keeps_its_settlement(fleet: SteppedFleet) -> None:
    """One score a job: what the canary's work was worth stands in the ledger."""
    trial = fleet.open(fleet.propose())
    job = fleet.enqueue().job
    fleet.end(job, SignalKind.ESCALATED)
    fleet.app.harvester.harvest()
    fleet.app.templates.reject(trial.canary_id, by="ada")
    fleet.app.jobs.retry(job, by="ada")
    assert fleet.claim(job).job.version == 1
    kinds = [line.kind for line in fleet.app.harvester.ledger(trial.id) if hasattr(line, "kind")]
    assert kinds == ["settled"]


def test_unknown_job_is_named(fleet: SteppedFleet) -> None:
    """A job that is not there is distinguished from what is not an id."""
    with pytest.raises(UnknownJobError, match="coalmine job list"):
        fleet.app.jobs.find("0" * 16)
    with pytest.raises(InvalidInputError, match="16 hex digits"):
        fleet.app.jobs.find("../etc/passwd")
    with pytest.raises(UnknownJobError):
        fleet.app.jobs.retry("0" * 16, by="ada")
    with pytest.raises(UnknownJobError):
        fleet.app.jobs.cancel("0" * 16, by="ada", at=START)


def test_newest_jobs_come_first(fleet: SteppedFleet) -> None:
    """The list can be narrowed to states and to one template."""
    fleet.add("reviewer")
    jobs = []
    for name in ("implementer", "reviewer", "implementer"):
        jobs.append(fleet.enqueue(name).job)
        fleet.clock.forward(1)
    fleet.claim(jobs[0])
    newest = fleet.app.jobs.newest
    assert [job.id for job in newest(most=2)] == [jobs[2], jobs[1]]
    assert [job.id for job in newest(most=9, states=frozenset({JobState.RUNNING}))] == [jobs[0]]
    assert [job.id for job in newest(most=9, template="reviewer")] == [jobs[1]]


def test_a_job_whose_content_is_gone_ends_by_nobodys_fault(fleet: SteppedFleet) -> None:
    """It fails at once, is listed as a dead letter, and no arm is blamed for it."""
    job = fleet.enqueue().job
    fleet.redis.hdel(fleet.app.keys.versions("implementer"), "1")
    assert fleet.app.jobs.claim(job, worker="w1", lease_seconds=30.0) == ClaimRefusal.UNREADABLE
    fleet.app.harvester.harvest()
    ended = fleet.app.jobs.find(job)
    assert (ended.state, ended.excluded, ended.score) == (JobState.FAILED, True, None)
    assert "content of implementer@v1 is gone" in ended.reason
    assert fleet.app.job_store.dead(10) == [job]
