"""The watchdog: who is left alone, what is done about the others, and that it is done once."""

from datetime import UTC, datetime
from typing import Any

import pytest
import redis

from routing.jobs.ending import Ending
from routing.jobs.job import JobResult, JobState
from routing.jobs.retry import UNCOUNTED
from routing.store.redis.lease import LeaseStatus
from routing.store.sessions.session_store import TurnRefusal
from routing.templates.templates import Templates
from tasks.agents.agent_record import AgentRecord
from tasks.agents.mail.address import FLEET, Author
from tasks.agents.mail.letter import Letter
from tasks.agents.mail.mail import Mail
from tasks.agents.mail.post_office import MOST_WAITING
from tasks.agents.mail.role import Role
from tasks.agents.session.record import SessionRecord
from tasks.agents.session.state import ALLOWED, SessionState
from tasks.agents.supervision.silence import Measure, SilenceFinding, SilenceLimits, finding
from tasks.agents.supervision.worker_died import AgentEnd, tell_parent
from tasks.settings.settings import OnRollback
from tests.fleets.sessions import PROCESS
from tests.fleets.stepped_fleet import SteppedFleet

LEASE = 30.0


class Kennel:
    """A fleet with one running job, its agent, the agent's parent, and a watchdog."""

    def __init__(self, client: redis.Redis, **settings: Any) -> None:
        self.fleet = SteppedFleet(client, **settings)
        self.app = self.fleet.app
        self.fleet.add()
        self.lead = self.app.agents.register(role=Role.LEAD, name="lead-1").name
        self.job = self.fleet.enqueue(parent=self.lead).job
        self.claim = self.fleet.claim(self.job, lease_seconds=3600)
        self.agent = self.app.agents.register(role=Role.BUILDER, job=self.job, parent=self.lead)

    @property
    def name(self) -> str:
        """The agent's."""
        return self.agent.name

    def begin(self) -> int:
        """Start a turn; returns its fence."""
        begun = self.app.sessions.begin(
            self.name, lease_seconds=LEASE, worker="w1", start={"role": "builder", "job": self.job}
        )
        assert not isinstance(begun, TurnRefusal)
        fence = int(begun["fence"])
        allowed = ALLOWED[SessionState.IN_TURN]
        assert self.app.sessions.run_by(self.name, fence=fence, allowed=allowed, process=PROCESS).done
        return fence

    def pass_time(self, seconds: float, fence: int, *, active: bool = False) -> None:
        """Let time pass in which the worker keeps its lease, then have the watchdog look."""
        self.fleet.clock.forward(seconds)
        self.app.sessions.redis.hset(
            self.app.keys.session(self.name), "lease_until", self.fleet.clock() + LEASE
        )
        self.renew(fence, active=active)
        self.app.watchdog.tick()

    def renew(self, fence: int, *, active: bool = False) -> list[LeaseStatus]:
        """What the worker's lease keeper hears."""
        return self.app.sessions.renew([(self.name, fence)], extend_seconds=LEASE, active=active)

    def read(self) -> SessionRecord:
        """The session."""
        return SessionRecord.parse(self.app.sessions.read(self.name))

    def record(self) -> AgentRecord:
        """The agent."""
        return self.app.agents.find(self.name)

    def measures(self) -> list[str]:
        """What was done about silences, in order."""
        return [event.data["measure"] for event in self.fleet.events("session.silent")]

    def ask(self, *, seconds: float | None = None) -> str:
        """The agent asks people to decide, with a deadline in so many seconds; returns the mail."""
        payload: dict[str, Any] = {"options": ["a"], "context": "c"}
        if seconds is not None:
            at = datetime.fromtimestamp(self.fleet.clock() + seconds, tz=UTC)
            payload["deadline"] = at.isoformat()
        letter = Letter.checked(to="operator", type_="decision_gate", subject="which?", payload=payload)
        (receipt,) = self.app.post_office.send(Author(address=self.name), letter)
        return receipt.id

    def mails(self) -> list[Mail]:
        """The mail that the agent was sent, but for nudges."""
        newest = self.app.post_office.newest(500, recipient=self.name)
        return [mail for mail in newest if mail.type != "health_check"]

    def deaths(self) -> list[Mail]:
        """The mail about dead agents that the parent has."""
        newest = self.app.post_office.newest(100, recipient=self.lead)
        return [mail for mail in newest if mail.type == "worker_died"]

    def end_job(self, state: JobState = JobState.FAILED, **result: Any) -> None:
        """The job ends, whatever its agent is at."""
        self.app.jobs.end(self.claim, state, reason="its worker was lost", result=JobResult(**result))


@pytest.fixture
def kennel(redis_client: redis.Redis) -> Kennel:
    """Warn, nudge and cancel at 120, 300 and 900 s."""
    return Kennel(redis_client)


@pytest.mark.parametrize(
    ("silent", "measure"),
    [(0, Measure.NONE), (9.9, Measure.NONE), (10, Measure.WARN), (20, Measure.NUDGE), (35, Measure.CANCEL)],
)
def test_patience(silent: float, measure: Measure) -> None:
    """The sternest measure that is due."""
    assert SilenceLimits(warn_seconds=10, nudge_seconds=20, cancel_seconds=30).measure(silent) is measure


@pytest.mark.parametrize(
    ("fields", "waits", "found"),
    [
        ({"last_activity": 88.0}, False, SilenceFinding(measure=Measure.WARN, silent_seconds=12.0)),
        ({"last_activity": 88.0, "stage": 1}, False, SilenceFinding(silent_seconds=12.0)),
        (
            {"last_activity": 78.0, "stage": 1},
            False,
            SilenceFinding(measure=Measure.NUDGE, silent_seconds=22.0),
        ),
        ({"last_activity": 0.0}, True, SilenceFinding(silent_seconds=100.0)),
        ({"last_activity": 0.0, "pid": None}, False, SilenceFinding(silent_seconds=100.0)),
        ({"last_activity": 99.0, "lease_until": 100.0}, False, SilenceFinding(is_lost=True)),
        ({"last_activity": 99.0, "lease_until": None}, False, SilenceFinding(is_lost=True)),
    ],
)
def test_finding(fields: dict[str, Any], found: SilenceFinding, *, waits: bool) -> None:
    """What is made of one turn at 100 s: each measure once, and none while nothing can be expected."""
    given = {"lease_until": 101.0, "pid": 41} | fields
    record = SessionRecord(name="a", state=SessionState.IN_TURN, created_at=0, **given)
    patience = SilenceLimits(warn_seconds=10, nudge_seconds=20, cancel_seconds=30)
    assert finding(record, now=100.0, patience=patience, waits_for_person=waits) == found


def test_silence_is_escalated_step_by_step(kennel: Kennel) -> None:
    """A warning, a mail to the agent, the end of its turn; each once, however often it is looked at."""
    fence = kennel.begin()
    for _ in range(20):
        kennel.pass_time(50, fence)
    assert kennel.measures() == ["warn", "nudge", "cancel"]
    (nudge,) = kennel.app.post_office.newest(10, recipient=kennel.name)
    assert (nudge.type, nudge.sender) == ("health_check", "coalmine")
    assert kennel.renew(fence) == [LeaseStatus(held=True, stop="stall:no events for 900 s")]
    assert kennel.read().state is SessionState.IN_TURN, "only the turn's holder ends it"


def test_turn_that_speaks_is_never_touched(kennel: Kennel) -> None:
    """Its lease is alive and its events flow."""
    fence = kennel.begin()
    for _ in range(100):
        kennel.pass_time(100, fence, active=True)
    assert kennel.measures() == []
    assert kennel.renew(fence) == [LeaseStatus(held=True)]
    assert kennel.read().state is SessionState.IN_TURN


def test_event_begins_a_new_silence(kennel: Kennel) -> None:
    """An agent that answers the nudge is not ended for the silence before it."""
    fence = kennel.begin()
    kennel.pass_time(310, fence)
    kennel.pass_time(1, fence, active=True)
    kennel.pass_time(310, fence)
    assert kennel.measures() == ["nudge", "nudge"]
    kennel.pass_time(600, fence)
    assert kennel.measures()[-1] == "cancel"


def test_agent_that_waits_for_a_person_is_left_alone(kennel: Kennel) -> None:
    """Until the decision has come; from then on its silence counts anew."""
    fence = kennel.begin()
    gate = kennel.ask()
    kennel.pass_time(5000, fence)
    assert kennel.measures() == []
    kennel.app.post_office.reply(Author.of_person("ada"), gate, body="a")
    kennel.pass_time(119, fence)
    assert kennel.measures() == []
    kennel.pass_time(1, fence)
    assert kennel.measures() == ["warn"]
    kennel.pass_time(780, fence)
    assert kennel.measures() == ["warn", "cancel"]


def test_gate_whose_deadline_has_passed_holds_nothing(kennel: Kennel) -> None:
    """One mail tells the agent that nobody decided, and its silence counts from there."""
    fence = kennel.begin()
    gate = kennel.ask(seconds=5000)
    kennel.pass_time(4999, fence)
    assert kennel.mails() == []
    for _ in range(3):
        kennel.pass_time(1, fence)
    (mail,) = kennel.mails()
    assert (mail.sender, mail.reply_to) == ("coalmine", gate)
    assert kennel.measures() == []
    kennel.pass_time(890, fence)
    assert kennel.measures() == ["nudge"]
    kennel.pass_time(10, fence)
    assert kennel.measures() == ["nudge", "cancel"]


def test_full_mailbox_does_not_keep_a_gate_shut(kennel: Kennel) -> None:
    """What cannot be sent is sent later; the silence counts from the deadline all the same."""
    fence = kennel.begin()
    kennel.ask(seconds=1000)
    office = kennel.app.post_office
    for number in range(2 * MOST_WAITING):
        office.send(FLEET, Letter.checked(to=kennel.name, subject=f"number {number}"))
    kennel.pass_time(1000 + 900, fence)
    assert kennel.measures() == ["cancel"]
    claim = office.claim(kennel.name, lease_seconds=60)
    assert office.ack(claim)
    kennel.pass_time(1, fence)
    assert any(mail.subject.startswith("Nobody decided") for mail in kennel.mails())


def test_lost_turn_is_stalled(kennel: Kennel) -> None:
    """Its registration goes with its lease; its parent hears nothing while the job has attempts left."""
    kennel.begin()
    kennel.fleet.clock.forward(LEASE - 1)
    kennel.app.watchdog.tick()
    assert kennel.read().state is SessionState.IN_TURN
    kennel.fleet.clock.forward(1)
    kennel.app.watchdog.tick()
    record = kennel.read()
    assert (record.state, record.pid, record.lease_until) == (SessionState.STALLED, None, None)
    assert kennel.app.sessions.in_turn(10) == []
    assert kennel.deaths() == []
    assert kennel.record().is_live


def test_agent_whose_job_ended_without_it(kennel: Kennel) -> None:
    """The session is a zombie, the parent gets one mail, and the agent gets no more mail."""
    kennel.begin()
    kennel.fleet.clock.forward(LEASE)
    kennel.end_job()
    for _ in range(3):
        kennel.app.watchdog.tick()
    assert kennel.read().state is SessionState.ZOMBIE
    (mail,) = kennel.deaths()
    assert mail.payload["reason"] == "stalled: no events for 30 s"
    assert mail.priority == "high"
    assert not kennel.record().is_live


def test_runner_and_watchdog_send_one_mail(kennel: Kennel) -> None:
    """The second one finds that it has been sent."""
    kennel.begin()
    tell_parent(kennel.app.post_office, kennel.agent, AgentEnd(ended_by=Ending.STALL, stall_seconds=9))
    kennel.fleet.clock.forward(LEASE)
    kennel.end_job()
    kennel.app.watchdog.tick()
    (mail,) = kennel.deaths()
    assert mail.payload["reason"] == "stalled: no events for 9 s"
    assert not kennel.record().is_live


def test_agent_that_had_said_its_word_did_not_die(kennel: Kennel) -> None:
    """Its worker was lost after the terminal mail."""
    kennel.begin()
    done = {"task_id": kennel.job, "branch": "b", "exit_code": 0, "files_modified": []}
    letter = Letter.checked(to=kennel.lead, type_="worker_done", subject="done", payload=done)
    kennel.app.post_office.send(Author(address=kennel.name), letter)
    kennel.fleet.clock.forward(LEASE)
    kennel.end_job()
    kennel.app.watchdog.tick()
    assert kennel.deaths() == []
    assert not kennel.record().is_live


def test_turn_of_an_ended_job_is_left_to_its_holder(kennel: Kennel) -> None:
    """While the lease is alive the runner has the last word."""
    kennel.begin()
    kennel.end_job()
    kennel.app.watchdog.tick()
    assert kennel.read().state is SessionState.IN_TURN
    assert kennel.record().is_live


def test_cancelled_job_is_reported_as_aborted(kennel: Kennel) -> None:
    """A person ended it while it was between turns."""
    fence = kennel.begin()
    kennel.app.jobs.give_back(kennel.claim, UNCOUNTED, reason="drain")
    kennel.app.sessions.move(
        kennel.name, SessionState.BETWEEN_TURNS, allowed=["in_turn"], reason="drain", fence=fence
    )
    kennel.fleet.clock.forward(LEASE)
    kennel.app.watchdog.tick()
    assert kennel.deaths() == []
    kennel.app.jobs.cancel(kennel.job, by="ada", at=kennel.fleet.clock())
    kennel.app.watchdog.tick()
    (mail,) = kennel.deaths()
    assert mail.payload["reason"] == "aborted by operator"


@pytest.mark.parametrize(("setting", "cancels"), [(OnRollback.CANCEL, True), (OnRollback.FINISH, False)])
def test_running_jobs_of_a_rejected_canary(
    redis_client: redis.Redis, setting: OnRollback, *, cancels: bool
) -> None:
    """Its rejection ended there: what it works on is cancelled here, if the settings want that."""
    fleet = SteppedFleet(redis_client, draws=[0.1, 0.9], on_rollback=setting)
    fleet.on_trial()
    on_canary, on_champion = (fleet.claim(fleet.enqueue().job).job.id for _ in range(2))
    fleet.app.watchdog.tick()
    assert not fleet.app.jobs.find(on_canary).cancel
    Templates(fleet.app.versions).reject("implementer@v2", by="ada")
    assert not fleet.app.jobs.find(on_canary).cancel
    fleet.app.watchdog.tick()
    assert ("implementer@v2" in fleet.app.jobs.find(on_canary).cancel) is cancels
    assert not fleet.app.jobs.find(on_champion).cancel


def test_records_that_expired_are_forgotten(kennel: Kennel) -> None:
    """The lists do not keep what the store has dropped."""
    kennel.begin()
    kennel.fleet.redis.delete(kennel.app.keys.session(kennel.name))
    kennel.fleet.clock.forward(100)
    kennel.app.watchdog.tick()
    assert kennel.app.sessions.in_turn(10) == []
    assert kennel.app.sessions.idle(before=kennel.fleet.clock(), most=10) == []


def test_broken_record_does_not_stop_the_tick(kennel: Kennel) -> None:
    """The others are looked at all the same."""
    fence = kennel.begin()
    store = kennel.app.sessions
    store.begin("broken", lease_seconds=LEASE, worker="w1", start={"role": "nobody"})
    kennel.pass_time(130, fence)
    assert kennel.measures() == ["warn"]
