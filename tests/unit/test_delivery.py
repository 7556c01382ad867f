"""What follows when a turn, or the delivery of a finished one, was hindered or refused."""

from dataclasses import replace

import pytest
from fakeredis import FakeRedis

from routing.accounts.limit import AccountLimit, LimitKind
from routing.events import FORGE_TOKEN_ACCEPTED, FORGE_TOKEN_REFUSED
from routing.git.push_refusal import REPAIRABLE, RefusalKind
from routing.jobs.ending import Ending, NotRun
from routing.jobs.job import Job, JobRequest, JobResult, JobState
from routing.jobs.retry import UNCOUNTED
from routing.jobs.signal import SignalKind
from routing.jobs.turn import FinishedTurn, Hindrance, HindranceKind
from tasks.composition.worker import Worker
from tasks.work.delivery import DeliveryLimits, held_up
from tasks.work.outcome import NextStep, Ran, TurnOutcome
from tests.fleets.stepped_fleet import SteppedFleet

NOW = 1_000_000.0
LIMITS = DeliveryLimits(give_up_seconds=1000.0, lost_seconds=100.0)
JOB = Job(
    id="0123456789abcdef", request=JobRequest(template="implementer", task="t"), state=JobState.RUNNING,
    template="implementer", version=1, content_hash="c", created_at=NOW,
)  # fmt: skip
FINISHED = FinishedTurn(host="h1", clean=True, ended_by=Ending.RESULT, cost_usd=1.5)


def decided(ran: Ran, job: Job = JOB) -> TurnOutcome:
    """What the table says."""
    found = held_up(ran, job, now=NOW, limits=LIMITS)
    assert found is not None
    return found


def known(**fields: float) -> Job:
    """A job that has waited before."""
    seen = {"since": NOW - 10, "seen_at": NOW - 10, "times": 3} | fields
    return replace(JOB, hindrance=Hindrance(kind=HindranceKind.AWAY, **seen))


def test_what_is_neither_hindered_nor_refused_is_not_decided_here() -> None:
    """The table of outcomes does."""
    assert held_up(Ran(ended_by=Ending.RESULT, clean=True), JOB, now=NOW, limits=LIMITS) is None


@pytest.mark.parametrize("ended", [Ending.RESULT, Ending.DEADLINE, NotRun.FAULT])
def test_wait_costs_no_attempt_and_grows(ended: Ending | NotRun) -> None:
    """Before a turn as after one; the time of the first try stays."""
    found = decided(Ran(ended_by=ended, hindrance=HindranceKind.TOKEN, note="401"), known())
    assert (found.step, found.again.counts, found.again.back_off_after) == (NextStep.HINDERED, False, 4)
    assert found.hindrance == Hindrance(
        kind=HindranceKind.TOKEN, since=NOW - 10, seen_at=NOW, times=4, words="401"
    )


@pytest.mark.parametrize(("is_noted", "back_off_after"), [(True, 0), (False, 4)])
def test_a_limit_that_nothing_holds_waits_longer_each_time(*, is_noted: bool, back_off_after: int) -> None:
    """Where its account is closed the job is offered at once, as another may be open; no attempt is used."""
    ran = Ran(ended_by=Ending.RESULT, limit=AccountLimit(kind=LimitKind.RATE), is_noted=is_noted)
    seen = Hindrance(kind=HindranceKind.LIMIT, since=NOW - 10, seen_at=NOW - 10, times=3)
    found = decided(ran, replace(JOB, hindrance=seen))
    assert (found.again.counts, found.again.back_off_after) == (False, back_off_after)


@pytest.mark.parametrize(
    ("kind", "signal"),
    [
        (HindranceKind.TOKEN, SignalKind.AUTHENTICATION),
        (HindranceKind.GONE, SignalKind.AUTHENTICATION),
        (HindranceKind.AWAY, SignalKind.UNREACHABLE),
        (HindranceKind.MACHINE, SignalKind.MACHINE_LOST),
        (HindranceKind.UNABLE, SignalKind.SETUP),
    ],
)
def test_wait_that_is_too_long_is_a_persons(kind: HindranceKind, signal: SignalKind) -> None:
    """Finished work is kept for a retry; a turn that never began has failed."""
    job = known(since=NOW - 1000)
    after = decided(Ran(ended_by=Ending.RESULT, hindrance=kind), job)
    assert (after.step, after.signal, after.keeps_turn) == (NextStep.ESCALATE, signal, True)
    before = decided(Ran(ended_by=NotRun.FAULT, hindrance=kind), job)
    assert (before.step, before.signal, before.keeps_turn) == (NextStep.FAIL, signal, False)


def test_a_job_that_this_worker_cannot_do_is_offered_to_others_soon() -> None:
    """However often it was offered in vain; a worker that can do it may have been started meanwhile."""
    found = decided(Ran(ended_by=NotRun.FAULT, hindrance=HindranceKind.UNABLE, note="no secret"), known())
    assert (found.step, found.again.counts, found.again.back_off_after) == (NextStep.HINDERED, False, 0)
    assert 1 <= found.again.wait_seconds <= 15


def test_tree_that_cannot_be_read_is_not_tried_without_end() -> None:
    """It will not change; the version made it."""
    ran = Ran(ended_by=Ending.RESULT, hindrance=HindranceKind.UNREADABLE)
    assert decided(ran, known(times=1)).step is NextStep.HINDERED
    assert decided(ran, known(times=2)).step is NextStep.ESCALATE
    assert decided(ran, known(times=2)).signal is SignalKind.AGENT_ERRORED


def test_work_on_another_host_waits_for_that_host_to_try() -> None:
    """Its last try counts, however long ago the turn was; looks of others do not."""
    ran = Ran(ended_by=Ending.RESULT, hindrance=HindranceKind.ELSEWHERE, note="it is on h1")
    job = known(since=NOW - 900, seen_at=NOW - 50)
    waits = decided(ran, job)
    assert (waits.hindrance, waits.step, waits.again.counts) == (job.hindrance, NextStep.HINDERED, False)
    assert waits.again.wait_seconds > 0
    lost = decided(ran, known(seen_at=NOW - 100))
    assert (lost.step, lost.again) == (NextStep.RETRY, UNCOUNTED)
    assert decided(replace(ran, is_lost=True)).step is NextStep.RETRY


@pytest.mark.parametrize("kind", list(RefusalKind))
def test_refusal_is_the_agents_once_or_a_persons(kind: RefusalKind) -> None:
    """None of them is tried again as it is, and none counts as an unreachable forge."""
    ran = Ran(ended_by=Ending.RESULT, refusal=kind, note="no")
    first, second = decided(ran), decided(ran, replace(JOB, refusals=1))
    assert first.step is (NextStep.REFUSED if kind in REPAIRABLE else NextStep.ESCALATE)
    assert second.step is NextStep.ESCALATE
    blames_nobody = {
        RefusalKind.PROTECTED_BRANCH: SignalKind.SETUP,
        RefusalKind.NAME_TAKEN: SignalKind.SETUP,
        RefusalKind.READ_ONLY: SignalKind.SETUP,
        RefusalKind.REWRITTEN: SignalKind.SETUP,
        RefusalKind.MOVED: SignalKind.CANCELLED,
    }
    assert second.signal is blames_nobody.get(kind, SignalKind.REFUSED)
    assert second.keeps_turn is (kind is not RefusalKind.UNRELATED)


def finished_job(fleet: SteppedFleet, job: str) -> None:
    """Have a claimed job's turn end, and its worker die."""
    claim = fleet.claim(job)
    fleet.spend(claim, finished=FINISHED.model_dump_json())
    fleet.clock.forward(60)
    assert fleet.app.jobs.reap(at=fleet.clock()) == [job]


def test_finished_turn_stays_when_its_worker_gives_the_job_back() -> None:
    """Its store was away when it was to say what it had pushed, or a person ended the worker by force."""
    fleet = SteppedFleet(FakeRedis(decode_responses=True))
    fleet.add()
    job = fleet.enqueue().job
    claim = fleet.claim(job)
    fleet.spend(claim, finished=FINISHED.model_dump_json())
    fleet.app.jobs.give_back(claim, UNCOUNTED, reason="the store was away")
    found = fleet.claim(job).job
    assert (found.finished, found.attempts) == (FINISHED, 1)


def test_finished_turn_outlives_its_worker_and_costs_no_attempt() -> None:
    """It is in the record from the same step that ended the turn."""
    fleet = SteppedFleet(FakeRedis(decode_responses=True), job={"max_attempts": 1})
    fleet.add()
    job = fleet.enqueue().job
    finished_job(fleet, job)
    found = fleet.app.jobs.find(job)
    assert (found.state, found.attempts, found.finished) == (JobState.QUEUED, 0, FINISHED)


def test_turn_of_a_lost_lease_leaves_nothing_in_the_job() -> None:
    """Another worker has it: its own turn counts."""
    fleet = SteppedFleet(FakeRedis(decode_responses=True))
    fleet.add()
    job = fleet.enqueue().job
    stale = fleet.claim(job)
    fleet.clock.forward(60)
    fleet.claim(job)
    fleet.spend(stale, finished=FINISHED.model_dump_json())
    assert fleet.app.jobs.find(job).finished is None


def test_finished_turn_stays_its_versions_and_needs_no_room() -> None:
    """Neither the rejection of the version nor a limit holds what was paid."""
    limits = {"agents_at_once": 1, "day_cost_usd": 1.0}
    fleet = SteppedFleet(FakeRedis(decode_responses=True), draws=[0.1], job=limits)
    trial = fleet.on_trial()
    job = fleet.enqueue().job
    finished_job(fleet, job)
    fleet.app.templates.reject(trial.canary_id, by="ada", reason="worse")
    fleet.claim(fleet.enqueue(template="implementer@v1").job)
    claim = fleet.claim(job)
    assert (claim.version.id, claim.job.finished) == ("implementer@v2", FINISHED)


def test_refused_token_is_heard_of_once_for_a_forge_however_many_jobs_wait() -> None:
    """And its return once; a forge that is merely away is nobody's to repair."""
    fleet = SteppedFleet(FakeRedis(decode_responses=True))
    worker = Worker(coalmine=fleet.app)
    job = replace(JOB, request=JOB.request.model_copy(update={"repository": "hub:acme/shop"}))
    away = Hindrance(kind=HindranceKind.AWAY, since=NOW, seen_at=NOW)
    token = away.model_copy(update={"kind": HindranceKind.TOKEN, "words": "401"})
    for met in (away, token, token):
        worker.note_token(job, met)
    assert [(event.subject, event.data) for event in fleet.events(FORGE_TOKEN_REFUSED)] == [
        ("hub", {"reason": "401"})
    ]
    for _ in range(2):
        worker.note_token(replace(job, hindrance=token), None)
    assert len(fleet.events(FORGE_TOKEN_ACCEPTED)) == 1


def test_report_that_settles_a_turn_removes_it() -> None:
    """What comes next is another turn."""
    fleet = SteppedFleet(FakeRedis(decode_responses=True))
    fleet.add()
    job = fleet.enqueue().job
    finished_job(fleet, job)
    claim = fleet.claim(job)
    fleet.app.jobs.refused(claim, reason="GH001", said="GH001: too large", result=JobResult())
    found = fleet.app.jobs.find(job)
    assert (found.finished, found.refused, found.refusals) == (None, "GH001: too large", 1)
    assert found.kind_again == "refused"
    fleet.app.jobs.pushed(fleet.claim(job), JobResult(commit="4be1"))
    assert fleet.app.jobs.find(job).refused == ""


@pytest.mark.parametrize("stage", ["queued", "running", "lost"])
def test_cancelled_job_keeps_its_finished_turn_for_a_retry(stage: str) -> None:
    """A person who changes their mind pays for no second turn."""
    fleet = SteppedFleet(FakeRedis(decode_responses=True))
    fleet.add()
    job = fleet.enqueue().job
    finished_job(fleet, job)
    claim = fleet.claim(job) if stage != "queued" else None
    fleet.app.jobs.cancel(job, by="ada", at=fleet.clock())
    if claim is not None and stage == "running":
        fleet.app.jobs.end(claim, JobState.CANCELLED, reason="cancelled", result=JobResult())
    if stage == "lost":
        fleet.clock.forward(60)
        fleet.app.jobs.reap(at=fleet.clock())
    assert fleet.app.jobs.find(job).state is JobState.CANCELLED
    fleet.app.jobs.retry(job, by="ada")
    assert fleet.claim(job).job.finished == FINISHED


def test_words_of_a_hindrance_are_bounded() -> None:
    """They stand in the job's record."""
    found = decided(Ran(ended_by=Ending.RESULT, hindrance=HindranceKind.AWAY, note="x" * 9000))
    assert found.hindrance is not None
    assert len(found.hindrance.words) == 500
