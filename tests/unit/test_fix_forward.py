"""Fixing forward: a pushed job whose commit is red goes back to its agent, as the job that it was."""

import json

import pytest
import redis

from harvest.settling.settling import spent
from routing.errors import ConflictError
from routing.jobs.ending import Ending
from routing.jobs.job import Job, JobResult, JobState
from routing.jobs.lifecycle import Claim
from routing.jobs.retry import UNCOUNTED, awaiting
from routing.jobs.signal import SignalKind
from routing.jobs.turn import CHECK_CHARACTERS, LOG_END_CHARACTERS, MOST_CHECKS, MOST_JUDGED, Repair
from tests.fleets.stepped_fleet import SteppedFleet, fail_attempt, red

RED = Repair(commit="4be1c0ffee00", checks=("unit", "lint"), log="FAILED test_sum")
ISSUE = "local:shop#3"


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A fleet with a trial whose next job is the canary's; three attempts, no jitter."""
    made = SteppedFleet(redis_client, draws=[0.1] + [0.0] * 50)
    made.on_trial()
    return made


def pushed(commit: str = RED.commit) -> JobResult:
    """The result of a turn that pushed a commit."""
    return JobResult(
        exit_code=0, ended_by=Ending.RESULT, commit=commit, branch="coalmine/x", tail="I am done"
    )


def waiting(fleet: SteppedFleet) -> Job:
    """A job on an issue that was pushed and waits for CI, in its second attempt."""
    job = fleet.enqueue(issue=ISSUE).job
    fail(fleet, fleet.claim(job))
    fleet.clock.forward(10)
    fleet.app.jobs.pushed(fleet.claim(job), pushed())
    fleet.broker.sent.clear()
    return fleet.app.jobs.find(job)


def fail(fleet: SteppedFleet, claim: Claim) -> bool:
    """An attempt ends in an error of the agent; returns whether the job runs again."""
    return fail_attempt(fleet.app.jobs, claim)


def send_back(fleet: SteppedFleet, job: Job, repair: Repair = RED, most: int = 5) -> bool:
    """What the watcher does when CI is red."""
    return fleet.app.corrections.send_back(job, red(repair, most=most))


def sent_back(fleet: SteppedFleet) -> Job:
    """A job that is queued for its first corrective turn."""
    job = waiting(fleet)
    assert send_back(fleet, job)
    return fleet.app.jobs.find(job.id)


def test_red_job_is_queued_for_a_corrective_turn(fleet: SteppedFleet) -> None:
    """What is to be repaired is in its record; attempts begin anew, and it is published at once."""
    job = sent_back(fleet)
    assert (job.state, job.kind, job.attempts, job.fix_forwards) == (JobState.QUEUED, "fix_forward", 0, 1)
    assert (job.judged, job.repair, job.reason) == ((RED.commit,), RED, "CI is red")
    assert fleet.app.job_store.waiting(10) == []
    fleet.app.relay.relay()
    assert [sent for sent, _, _ in fleet.broker.sent] == [job.id]
    claim = fleet.claim(job.id)
    assert (claim.job.kind, claim.job.attempts, claim.job.repair) == ("fix_forward", 1, RED)


def test_corrective_turn_is_the_same_jobs(fleet: SteppedFleet) -> None:
    """Version, arm, trial, draw and place in the trial stay; nothing is drawn; the issue stays taken."""
    before = waiting(fleet)
    asked = fleet.generator.asked
    assert before.arm == "canary"
    assert send_back(fleet, before)
    after = fleet.app.jobs.find(before.id)
    for name in ("version", "content_hash", "trial", "draw", "bet", "sequence", "queue", "request"):
        assert getattr(after, name) == getattr(before, name), name
    assert fleet.generator.asked == asked
    assert fleet.app.job_store.active_on([ISSUE]) == [(before.id, 0)]


def test_event_tells_commit_number_and_checks(fleet: SteppedFleet) -> None:
    """One event a corrective turn, and the red commit is a fact about the job."""
    job = sent_back(fleet)
    (event,) = fleet.events("job.fix_forward")
    fields = {name: event.data[name] for name in ("commit", "attempt", "most", "checks")}
    assert fields == {"commit": RED.commit, "attempt": 1, "most": 5, "checks": ["unit", "lint"]}
    (fact,) = fleet.app.signals.read(job.id)
    assert (fact.kind, fact.commit) == (SignalKind.CI_RED, RED.commit)


def test_second_tick_of_the_same_run_changes_nothing(fleet: SteppedFleet) -> None:
    """Two watchers that read the job at one time send it back once."""
    job = waiting(fleet)
    assert send_back(fleet, job)
    before = fleet.everything()
    assert not send_back(fleet, job)
    assert fleet.everything() == before


def test_late_tick_does_not_send_back_the_next_run(fleet: SteppedFleet) -> None:
    """A tick that read the job before its corrective turn knows nothing of the commit that is there now."""
    job = waiting(fleet)
    assert send_back(fleet, job)
    fleet.app.jobs.pushed(fleet.claim(job.id), pushed("new"))
    before = fleet.everything()
    assert not send_back(fleet, job, Repair(commit="other"))
    assert fleet.everything() == before


def test_cancelled_job_is_not_sent_back(fleet: SteppedFleet) -> None:
    """What has ended stays so."""
    job = waiting(fleet)
    fleet.app.jobs.cancel(job.id, by="ada", at=fleet.clock())
    assert not send_back(fleet, job)
    assert fleet.app.jobs.find(job.id).state is JobState.CANCELLED


def test_commits_that_were_red_are_kept(fleet: SteppedFleet) -> None:
    """The worker that pushes one of them again knows that CI has judged it."""
    job = sent_back(fleet)
    fleet.app.jobs.pushed(fleet.claim(job.id), pushed("new"))
    assert send_back(fleet, fleet.app.jobs.find(job.id), Repair(commit="new"))
    found = fleet.app.jobs.find(job.id)
    assert (found.judged, found.fix_forwards) == ((RED.commit, "new"), 2)


def test_judged_commits_are_bounded(fleet: SteppedFleet) -> None:
    """However often a job is sent back, its record remembers the newest commits only."""
    job = waiting(fleet)
    for number in range(MOST_JUDGED + 2):
        assert send_back(fleet, job, Repair(commit=f"c{number}"), most=100)
        fleet.app.jobs.pushed(fleet.claim(job.id), pushed(f"c{number + 1}"))
        job = fleet.app.jobs.find(job.id)
    assert len(job.judged) == MOST_JUDGED
    assert (job.judged[0], job.judged[-1]) == ("c2", f"c{MOST_JUDGED + 1}")


def test_what_is_to_be_repaired_is_bounded() -> None:
    """Of a long log the end is kept, of many checks the first, of a long name the beginning."""
    checks = tuple(f"{number:03}{'x' * 1000}" for number in range(200))
    repair = Repair(commit="c", checks=checks, log="beginning" + "x" * LOG_END_CHARACTERS + "the end")
    assert (len(repair.log), repair.log[-7:]) == (LOG_END_CHARACTERS, "the end")
    assert (len(repair.checks), len(repair.checks[0])) == (MOST_CHECKS, CHECK_CHARACTERS)


def test_new_commit_is_watched_anew(fleet: SteppedFleet) -> None:
    """The clock of CI begins at the new push; what was repaired is not kept."""
    job = sent_back(fleet)
    claim = fleet.claim(job.id)
    fleet.clock.forward(20)
    fleet.app.jobs.pushed(claim, pushed("new"))
    found = fleet.app.jobs.find(job.id)
    assert (found.state, found.result.commit) == (JobState.WAITING, "new")
    assert found.pushed_at == fleet.clock()
    assert (found.repair, found.judged, found.fix_forwards) == (None, (RED.commit,), 1)


def test_retry_inside_a_corrective_turn_stays_one(fleet: SteppedFleet) -> None:
    """An attempt that failed is not another corrective turn, and the next one knows what to repair."""
    job = sent_back(fleet)
    assert fail(fleet, fleet.claim(job.id))
    fleet.clock.forward(10)
    claim = fleet.claim(job.id)
    assert (claim.job.kind, claim.job.attempts, claim.job.repair) == ("fix_forward", 2, RED)
    assert claim.job.fix_forwards == 1


def test_attempts_of_a_corrective_turn_run_out(fleet: SteppedFleet) -> None:
    """After the last one the job has failed, and its record holds no log any more."""
    job = sent_back(fleet)
    runs = []
    for _ in range(3):
        fleet.clock.forward(600)
        runs.append(fail(fleet, fleet.claim(job.id)))
    assert runs == [True, True, False]
    found = fleet.app.jobs.find(job.id)
    assert (found.state, found.repair) == (JobState.FAILED, None)
    assert "repair" not in fleet.redis.hgetall(fleet.app.keys.job(job.id))


def test_attempt_that_pushed_nothing_takes_no_push_away(fleet: SteppedFleet) -> None:
    """The branch is where it was: the record says so, while the job runs again and when it has failed."""
    job = sent_back(fleet)
    fail(fleet, fleet.claim(job.id))
    assert fleet.app.jobs.find(job.id).result.commit == RED.commit
    fleet.clock.forward(10)
    claim = fleet.claim(job.id)
    fleet.app.jobs.end(claim, JobState.FAILED, reason="crash", result=JobResult(exit_code=1))
    result = fleet.app.jobs.find(job.id).result
    assert (result.commit, result.branch, result.exit_code) == (RED.commit, job.branch, 1)


def test_corrective_turns_are_spent(fleet: SteppedFleet) -> None:
    """A trial's guardrail counts them, however many attempts one took."""
    job = sent_back(fleet)
    fail(fleet, fleet.claim(job.id))
    assert spent(fleet.app.jobs.find(job.id))["fix_forwards"] == 1.0


def test_lost_worker_of_a_corrective_turn(fleet: SteppedFleet) -> None:
    """The next worker learns what to repair."""
    job = sent_back(fleet)
    fleet.claim(job.id, lease_seconds=30)
    fleet.clock.forward(31)
    assert fleet.app.jobs.reap(at=fleet.clock()) == [job.id]
    claim = fleet.claim(job.id)
    assert (claim.job.kind, claim.job.repair, claim.job.fix_forwards) == ("fix_forward", RED, 1)


def test_drained_corrective_turn(fleet: SteppedFleet) -> None:
    """A worker that shuts down gives it back as what it is, and the attempt does not count."""
    job = sent_back(fleet)
    fleet.app.jobs.give_back(fleet.claim(job.id), UNCOUNTED, reason="drain")
    found = fleet.app.jobs.find(job.id)
    assert (found.kind, found.attempts, found.repair) == ("fix_forward", 0, RED)


def test_corrective_turn_that_waits_for_mail(fleet: SteppedFleet) -> None:
    """Its next turn is about the mail; if that fails, the one after it is about the repair again."""
    job = sent_back(fleet)
    fleet.app.jobs.park(fleet.claim(job.id), awaiting(60), reason="awaits", result=JobResult())
    assert fleet.app.jobs.wake(job.id)
    claim = fleet.claim(job.id)
    assert (claim.job.kind, claim.job.repair) == ("mail", RED)
    fail(fleet, claim)
    assert fleet.app.jobs.find(job.id).kind == "fix_forward"


def test_ended_job_keeps_what_was_judged(fleet: SteppedFleet) -> None:
    """The log goes, the count and the commits stay."""
    job = sent_back(fleet)
    fleet.app.jobs.end(fleet.claim(job.id), JobState.ESCALATED, reason="no", result=pushed())
    found = fleet.app.jobs.find(job.id)
    assert (found.repair, found.judged, found.fix_forwards) == (None, (RED.commit,), 1)


def test_persons_retry_begins_anew(fleet: SteppedFleet) -> None:
    """It is a redispatch without judged commits, which may be sent back again."""
    job = sent_back(fleet)
    fleet.app.jobs.end(fleet.claim(job.id), JobState.ESCALATED, reason="no", result=pushed())
    again = fleet.app.jobs.retry(job.id, by="ada")
    assert (again.kind, again.judged, again.repair, again.fix_forwards) == ("redispatch", (), None, 0)


def test_issue_of_a_corrective_turn_takes_no_other_job(fleet: SteppedFleet) -> None:
    """The refusal of a retry of another job on it says who works on it."""
    other = fleet.enqueue(issue=ISSUE).job
    fleet.end(other, SignalKind.NOTHING_PUSHED)
    fleet.app.job_store.effects_done(other, ISSUE)
    job = sent_back(fleet)
    with pytest.raises(ConflictError, match=job.id):
        fleet.app.jobs.retry(other, by="ada")


def test_record_of_before_is_read(fleet: SteppedFleet) -> None:
    """A job that a release without corrective turns has written has none, and can have one."""
    job = waiting(fleet)
    stored = fleet.redis.hgetall(fleet.app.keys.job(job.id))
    assert {"judged", "repair", "fix_forwards"}.isdisjoint(stored)
    assert (job.judged, job.repair, job.fix_forwards) == ((), None, 0)
    assert send_back(fleet, job)
    assert json.loads(fleet.redis.hget(fleet.app.keys.job(job.id), "judged")) == [RED.commit]
