"""What the code of commit 134cb88 stored is read by this one, which goes on where that left off.

`tests/recordings/store-134cb88.json` is a whole server as that code left it; its head says how it was made.
"""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from harvest.evidence.policy import TrialPolicy
from routing.backlog.backlog import Backlog
from routing.backlog.item import BacklogState
from routing.backlog.settings import BacklogSettings
from routing.jobs.job import Job, JobResult, JobState
from routing.jobs.lifecycle import Claim
from routing.jobs.signal import SignalKind
from routing.store.backlog.metadata_store import MetadataStore
from routing.store.jobs.acceptance import PUBLISH_SECONDS
from routing.store.jobs.run_store import RunStore
from routing.store.redis.keys import Keys
from routing.store.sessions.session_store import TurnEnd, TurnRefusal
from tasks.agents.session.record import SessionRecord
from tasks.agents.session.state import ALLOWED, SessionState
from tasks.issues.projection import RunLabel
from tasks.notify.notices import parsed_notice, revive
from tests.fakes.issues import IssueForge, ref
from tests.fleets.stepped_fleet import SteppedFleet
from tests.leaks import leaks

RECORDING = Path(__file__).parents[1] / "recordings" / "store-134cb88.json"
STORED = json.loads(RECORDING.read_text(encoding="utf-8"))
NAMES: dict[str, Any] = STORED["names"]
JOBS: dict[str, str] = NAMES["jobs"]


def load(client: Any) -> None:
    """Put every key where it was, with what was left of its time to live."""
    put: dict[str, Callable[[str, Any], object]] = {
        "string": client.set,
        "hash": lambda key, value: client.hset(key, mapping=value),
        "list": lambda key, value: client.rpush(key, *value),
        "set": lambda key, value: client.sadd(key, *value),
        "zset": lambda key, value: client.zadd(key, dict(value)),
        "stream": lambda key, value: [client.xadd(key, fields, id=entry) for entry, fields in value],
    }
    for one in STORED["keys"]:
        put[one["type"]](one["key"], one["value"])
        if one["ttl"] is not None:
            client.expire(one["key"], one["ttl"])


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A fleet of this code on that server, at the time when the other stopped."""
    load(redis_client)
    policy = TrialPolicy(share=0.5, revert_window_seconds=0.0)
    made = SteppedFleet(redis_client, draws=[0.1, 0.9] * 50, policy=policy)
    made.clock.now = NAMES["clock"]
    return made


@pytest.fixture
def backlog(fleet: SteppedFleet) -> Backlog:
    """The backlog, with a forge that has lost its issues."""
    return Backlog(
        fleet.app.backlog_store, forges={"local": IssueForge()}, settings=BacklogSettings(),
        escalation_label="ready-for-human",
    )  # fmt: skip


def find(fleet: SteppedFleet, name: str) -> Job:
    """A job by what it is an example of."""
    return fleet.app.jobs.find(JOBS[name])


def held(fleet: SteppedFleet, name: str) -> Claim:
    """The claim of the worker that ran a job before."""
    job = find(fleet, name)
    return Claim(job=job, version=fleet.app.templates.find(job.version_id))


def test_every_key_is_of_a_kind_that_is_known(fleet: SteppedFleet) -> None:
    """Nothing is of a kind that would now be left behind for ever."""
    assert leaks(fleet.redis, Keys()) == []


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("queued", "queued"), ("running", "running"), ("child", "queued"), ("waiting", "waiting"),
        ("to_repair", "queued"), ("parked", "queued"), ("retried", "queued"), ("dead", "failed"),
        ("blocked", "blocked"), ("cancelled", "cancelled"), ("cancelling", "running"),
        ("ended", "succeeded"), ("lost", "running"), ("held", "queued"), ("unpublished", "queued"),
        ("pushed_to_broker", "queued"),
    ],
)  # fmt: skip
def test_job_is_read(fleet: SteppedFleet, name: str, state: str) -> None:
    """In each state."""
    assert find(fleet, name).state == state


def test_all_jobs_are_listed(fleet: SteppedFleet) -> None:
    """None is unreadable."""
    kept = [one["key"].split(":") for one in STORED["keys"]]
    records = {parts[2] for parts in kept if parts[1] == "job" and len(parts) == 3}
    assert {job.id for job in fleet.app.jobs.newest(most=100)} == records


def test_queued_job_is_worked_to_its_end(fleet: SteppedFleet) -> None:
    """With the request, the draw and the trial that it was given; its key and issue still lead to it."""
    assert fleet.enqueue(idempotency_key="k").job == JOBS["queued"]
    assert fleet.enqueue(issue="local:shop#1").job == JOBS["queued"]
    claim = fleet.claim(JOBS["queued"])
    assert (claim.job.request.title, claim.job.request.priority) == ("Fix the roof", "high")
    assert (claim.job.trial, claim.job.arm) == (NAMES["trial"], "canary")
    fleet.app.jobs.end(claim, JobState.SUCCEEDED, reason="done", result=JobResult(exit_code=0))
    fleet.app.job_store.effects_done(JOBS["queued"], "local:shop#1")
    assert fleet.enqueue(issue="local:shop#1").created


def test_running_job_keeps_its_lease_and_is_reported(fleet: SteppedFleet) -> None:
    """A worker that was upgraded by a restart of its ticks alone may still end its job."""
    claim = held(fleet, "running")
    assert fleet.app.job_store.renew([(claim.job.id, claim.fence)], extend_seconds=60)[0].held
    fleet.app.jobs.pushed(claim, JobResult(commit="beef"))
    assert find(fleet, "running").state is JobState.WAITING


def test_log_is_read(fleet: SteppedFleet) -> None:
    """What the agent said before."""
    lines = fleet.app.log_store.read(JOBS["running"])
    assert [next(lines).text for _ in range(2)] == ["I begin", "ls"]


def test_end_of_a_parent_ends_its_child(fleet: SteppedFleet) -> None:
    """The family is known."""
    assert find(fleet, "child").parent == JOBS["running"]
    fleet.app.jobs.end(held(fleet, "running"), JobState.FAILED, reason="crash", result=JobResult())
    fleet.app.jobs.see_to_children(at=fleet.clock())
    assert find(fleet, "child").state is JobState.CANCELLED


def test_lost_worker_is_found(fleet: SteppedFleet) -> None:
    """Its lease runs out, and the job is queued again; one to be cancelled is."""
    fleet.clock.forward(61)
    fleet.app.jobs.reap(at=fleet.clock())
    assert find(fleet, "lost").state is JobState.QUEUED
    assert find(fleet, "cancelling").state is JobState.CANCELLED


def test_wish_to_cancel_reaches_the_worker(fleet: SteppedFleet) -> None:
    """Whichever code its worker runs."""
    job = find(fleet, "cancelling")
    (status,) = fleet.app.job_store.renew([(job.id, job.fence)], extend_seconds=0)
    assert (status.held, status.stop) == (True, "cancelled by ada")


def test_pushed_job_is_watched_on(fleet: SteppedFleet) -> None:
    """With the notes of what was done outside for it."""
    job = find(fleet, "waiting")
    notes = RunStore(fleet.redis, fleet.app.keys, fleet.clock, retention_seconds=60).read(job.id)
    assert (notes.comment, notes.shown, notes.change) == (7, "abc", True)
    assert notes.labelled == RunLabel.IN_PROGRESS
    assert job.id in fleet.app.job_store.waiting(10)
    assert fleet.app.jobs.conclude(job, JobState.SUCCEEDED, reason="green")


def test_corrective_turn_knows_what_to_repair(fleet: SteppedFleet) -> None:
    """The commit, the checks and the log."""
    job = fleet.claim(JOBS["to_repair"]).job
    assert job.repair is not None
    assert (job.kind, job.repair.commit, job.repair.checks, job.repair.log) == (
        "fix_forward", "dead", ("unit",), "boom",
    )  # fmt: skip
    assert (job.fix_forwards, job.judged) == (1, ("dead",))


def test_parked_job_is_woken(fleet: SteppedFleet) -> None:
    """By mail, and before its time."""
    assert fleet.app.jobs.wake(JOBS["parked"])
    assert fleet.claim(JOBS["parked"]).job.kind == "mail"


def test_attempts_go_on_being_counted(fleet: SteppedFleet) -> None:
    """The first was made by the other code."""
    fleet.clock.forward(600)
    assert fleet.claim(JOBS["retried"]).job.attempts == 2


def test_dead_letter_is_retried(fleet: SteppedFleet) -> None:
    """By a person."""
    assert fleet.app.job_store.dead(10) == [JOBS["dead"]]
    fleet.app.jobs.retry(JOBS["dead"], by="ada")
    assert fleet.claim(JOBS["dead"]).job.attempts == 1


def test_outbox_is_published(fleet: SteppedFleet) -> None:
    """What the broker did not get, and what waited for room."""
    fleet.clock.forward(PUBLISH_SECONDS)
    fleet.app.relay.relay()
    assert {JOBS["unpublished"], JOBS["held"]} <= {job for job, _, _ in fleet.broker.sent}


def test_message_in_the_brokers_queue_is_understood(fleet: SteppedFleet) -> None:
    """Its task is called as ever, and its only argument is the job."""
    (text,) = fleet.redis.lrange("coalmine:champion\x06\x166", 0, -1)
    message = json.loads(text)
    assert message["headers"]["task"] == "tasks.work"
    assert json.loads(base64.b64decode(message["body"]))[0] == [JOBS["pushed_to_broker"]]


def test_trial_goes_on_from_its_evidence(fleet: SteppedFleet) -> None:
    """Its state is what the ledger gives, and new settlements are added to it."""
    fleet.app.harvester.harvest()
    trial = fleet.app.trial_store.read(NAMES["trial"])
    assert trial is not None
    before = fleet.app.harvester.evidence(trial)
    assert fleet.app.harvester.whole_replay(trial) == before
    fleet.end(JOBS["queued"], SignalKind.ESCALATED)
    fleet.app.harvester.harvest()
    after = fleet.app.trial_store.read(trial.id)
    assert after is not None
    assert after.revision > trial.revision
    assert fleet.app.harvester.whole_replay(after) == fleet.app.harvester.evidence(after) != before
    for _ in range(40):
        job = fleet.enqueue()
        fleet.end(job.job, SignalKind.FINISHED if job.arm == "canary" else SignalKind.ESCALATED)
        fleet.app.harvester.harvest()
        if fleet.state(fleet.app.templates.find(trial.canary_id)) == "champion":
            break
    ended = fleet.app.trial_store.read(trial.id)
    assert ended is not None
    assert ended.state == "graduated"


def test_versions_are_read_with_their_states(fleet: SteppedFleet) -> None:
    """And a person may still decide."""
    states = {version: fleet.app.templates.find(f"implementer@v{version}").state for version in (1, 2, 3)}
    assert states == {1: "champion", 2: "rejected", 3: "canary"}
    fleet.app.templates.promote("implementer@v3", by="ada")
    assert fleet.app.templates.champion("implementer").number == 3
    assert fleet.propose("four").number == 4


@pytest.mark.parametrize(
    ("number", "state"),
    [
        (1, "in_progress"), (2, "ready"), (3, "completed"), (4, "escalated"), (5, "frozen"), (6, "cancelled"),
        (7, "blocked"), (8, "pending"),
    ],
)  # fmt: skip
def test_backlog_is_listed(backlog: Backlog, number: int, state: str) -> None:
    """In each state, with title."""
    item = backlog.find(ref(number))
    assert (item.state, item.title) == (state, f"Issue {number}")


def test_backlog_goes_on(fleet: SteppedFleet, backlog: Backlog) -> None:
    """An item ends with its job; one that waited for another is ready after that."""
    assert backlog.complete(ref(1), reason="merged", job=JOBS["queued"])
    assert backlog.start(ref(2), per_repo=9) is not None
    assert backlog.complete(ref(2), reason="merged")
    assert backlog.find(ref(7)).state is BacklogState.READY
    assert backlog.ask() == 1
    assert backlog.find(ref(8)).state is BacklogState.READY
    ((issue, note),) = fleet.app.deliveries.take(most=5, lease_seconds=60)
    assert (issue, json.loads(note)["hints"]) == ("local:shop#9", [{"digest": "d1"}])
    assert MetadataStore(fleet.redis, fleet.app.keys).read("m1") == '{"priority": "high"}'


def test_mail_is_read_and_claimed(fleet: SteppedFleet) -> None:
    """What waited is the next turn's, and what was delivered or died is known."""
    office, agents = fleet.app.post_office, NAMES["agents"]
    (mail,) = office.claim(agents["builder"], lease_seconds=60).mails
    assert (mail.id, mail.sender, mail.body) == (NAMES["mail"], agents["lead"], "begin with the door")
    assert [each.subject for each in office.newest(10, recipient=agents["lead"])] == ["which colour?"]
    assert [each.subject for each in office.dead(10)] == ["late"]
    assert {each.name for each in fleet.app.agents.live()} == {agents["lead"], agents["builder"]}


def test_session_is_resumed(fleet: SteppedFleet) -> None:
    """In its conversation, after the turn that ended."""
    sessions, name = fleet.app.sessions, NAMES["agents"]["builder"]
    begun = sessions.begin(name, lease_seconds=60, worker="w2", start=None)
    assert not isinstance(begun, TurnRefusal)
    record = SessionRecord.parse(begun)
    assert (record.runtime_session, record.turns, record.state) == (
        f"conversation-{name}", 1, SessionState.BETWEEN_TURNS,
    )  # fmt: skip


def test_turn_under_way_ends(fleet: SteppedFleet) -> None:
    """By the word of the worker that holds its lease."""
    sessions, name = fleet.app.sessions, NAMES["agents"]["lead"]
    fence = int(sessions.read(name)["fence"])
    assert sessions.renew([(name, fence)], extend_seconds=60)[0].held
    to = SessionState.BETWEEN_TURNS
    assert sessions.end(TurnEnd(name=name, fence=fence, to=to, allowed=ALLOWED[to], reason="ended")).done


def test_notifications_are_sent_again(fleet: SteppedFleet) -> None:
    """The one that waits is due; the dead letter is revived."""
    fleet.clock.forward(60)
    (letter,) = revive(fleet.app.notices, [])
    assert (letter.sink, letter.reason) == ("slack", "it is out")
    for sink, attempts in (("webhook", 1), ("slack", 0)):
        (record,) = fleet.app.notices.due(sink, 10).values()
        notice = parsed_notice(record)
        assert notice is not None
        assert (notice.notification.words, notice.attempts) == ("escalated", attempts)


def test_events_are_read(fleet: SteppedFleet) -> None:
    """All of them, in their order."""
    events = fleet.events()
    assert len(events) > 50
    assert events[0].kind == "template.added"
