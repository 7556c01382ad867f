"""Whether an agent leaves when its job ends, and what mail its parent gets: by what is known of it."""

from typing import Any

import pytest
import redis

from routing.errors import UnavailableError
from routing.jobs.ending import Ending
from routing.jobs.job import JobResult, JobState
from routing.jobs.retry import UNCOUNTED, awaiting
from routing.store.jobs.job_store import JobStore
from routing.store.mail.agent_store import AgentStore
from tasks.agents.agent_record import AgentRecord
from tasks.agents.agent_registry import AgentRegistry
from tasks.agents.mail.role import Role
from tasks.agents.session.record import SessionRecord
from tasks.agents.session.state import SessionState
from tasks.agents.supervision.retirement import Retirement, Retirements, last_word, leaves
from tasks.agents.supervision.worker_died import AgentEnd
from tests.fleets.stepped_fleet import SteppedFleet, fail_attempt

CRASH = AgentEnd(ended_by=Ending.RESULT, exit_code=3)
CLEAN = AgentEnd(ended_by=Ending.RESULT, exit_code=0, clean=True)


def agent(**fields: Any) -> AgentRecord:
    """A builder in its first life."""
    given = {"name": "builder-1", "role": "builder", "job": "j1", "state": "live", "registered_at": 1.0}
    return AgentRecord(**(given | fields))


def decided(found: AgentRecord, *, fence: int = 1, end: AgentEnd = CRASH, is_end: bool = True) -> bool:
    """Whether it leaves behind the turn with fence 1."""
    session = SessionRecord(
        name="builder-1", state=SessionState.ZOMBIE, created_at=1, last_activity=1, fence=fence
    )
    return leaves(found, session, Retirement(agent=agent(), fence=1, end=end, is_end=is_end))


@pytest.mark.parametrize(
    ("fields", "leaving"),
    [
        ({}, True),
        ({"state": "finished"}, False),  # somebody was first
        ({"life": 2}, False),  # its job was begun anew
        ({"job": ""}, True),  # shared by several jobs, and its turn was its end
    ],
)
def test_agent_leaves_with_its_job(fields: dict[str, Any], *, leaving: bool) -> None:
    """When nobody else has seen it off, and it is the one that the turn was of."""
    assert decided(agent(**fields)) is leaving


def test_agent_in_a_later_turn_stays() -> None:
    """The worker that runs that turn has the last word."""
    assert not decided(agent(), fence=2)


def test_agent_that_awaits_its_children_stays() -> None:
    """They are ended first."""
    assert not decided(agent(), end=AgentEnd(ended_by=Ending.RESULT, clean=True, awaiting=True))


def test_turn_that_was_not_its_last_one_ends_an_agent_of_a_job_all_the_same() -> None:
    """The job was cancelled between its turns; an agent that others share, or of a lasting role, goes on."""
    assert decided(agent(), is_end=False)
    assert not decided(agent(job=""), is_end=False)
    assert not decided(agent(role="monitor"), is_end=False)
    assert decided(agent(role="monitor"))


def test_last_word() -> None:
    """An earlier word holds after a clean end; a job that was cancelled ended its agent."""
    assert last_word(CLEAN, said=True, cancelled=False).terminal_seen
    assert last_word(CRASH, said=False, cancelled=False) == CRASH
    assert last_word(CLEAN, said=False, cancelled=True).ended_by is Ending.CANCEL


class Hospice:
    """A job with a parent, claimed, and what sees its agent off."""

    def __init__(self, client: redis.Redis) -> None:
        self.fleet = SteppedFleet(client, draws=[0.5])
        self.app = self.fleet.app
        self.fleet.add()
        self.lead = self.app.agents.register(role=Role.LEAD, name="lead-1").name
        self.claim = self.fleet.claim(self.fleet.enqueue(parent=self.lead).job)
        self.agent = self.app.agents.register(role=Role.BUILDER, job=self.claim.job.id, parent=self.lead)
        self.retirement = Retirement(agent=self.agent, fence=1, end=CRASH, is_end=True)

    def retire(
        self, store: JobStore | None = None, agents: AgentRegistry | None = None
    ) -> tuple[bool, bool, int]:
        """Whether the agent was ended, whether it lives, and how many deaths its parent heard of."""
        app = self.app
        retirements = Retirements(
            jobs=store or app.job_store,
            sessions=app.sessions,
            agents=agents or app.agents,
            office=app.post_office,
        )
        done = retirements.retire(self.claim.job, self.retirement)
        mails = app.post_office.newest(10, recipient=self.lead)
        return done, app.agents.find(self.agent.name).is_live, len(mails)


@pytest.fixture
def hospice(redis_client: redis.Redis) -> Hospice:
    """A running job."""
    return Hospice(redis_client)


STAYS = (False, True, 0)


def test_agent_of_a_job_that_goes_on_stays(hospice: Hospice) -> None:
    """Running, given back, parked, waiting for CI, tried again."""
    jobs, app = hospice.app.jobs, hospice.app
    assert hospice.retire() == STAYS

    def again() -> None:
        hospice.fleet.clock.forward(10_000)
        hospice.claim = hospice.fleet.claim(hospice.claim.job.id)

    jobs.give_back(hospice.claim, UNCOUNTED, reason="drain")
    assert hospice.retire() == STAYS
    again()
    jobs.park(hospice.claim, awaiting(1), reason="awaits mail", result=JobResult())
    assert hospice.retire() == STAYS
    again()
    assert fail_attempt(jobs, hospice.claim)
    assert hospice.retire() == STAYS
    again()
    jobs.pushed(hospice.claim, JobResult(commit="c0ffee"))
    assert hospice.retire() == STAYS
    app.jobs.cancel(hospice.claim.job.id, by="ada", at=0.0)
    assert hospice.retire() == (True, False, 1)


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.ESCALATED, JobState.FAILED])
def test_agent_leaves_once(hospice: Hospice, state: JobState) -> None:
    """However often it is asked for."""
    hospice.app.jobs.end(hospice.claim, state, reason="over", result=JobResult())
    assert hospice.retire() == (True, False, 1)
    assert hospice.retire() == (False, False, 1)


def test_heir_has_the_agent(hospice: Hospice) -> None:
    """A later claim ended the job: a worker that lost it before ends nobody."""
    lost = hospice.claim
    hospice.fleet.clock.forward(1000)
    heir = hospice.fleet.claim(lost.job.id)
    hospice.app.jobs.end(heir, JobState.FAILED, reason="over", result=JobResult())
    assert hospice.retire() == STAYS


def test_watchdog_that_comes_in_between_tells_the_only_time(hospice: Hospice) -> None:
    """Both have seen that the agent lives and its job has ended; the parent gets one mail."""
    app = hospice.app

    class Slow(AgentRegistry):
        """While its answer is on its way, the watchdog ends the agent."""

        def find(self, name: str) -> AgentRecord:
            found = super().find(name)
            app.watchdog.tick()
            return found

    app.jobs.end(hospice.claim, JobState.FAILED, reason="over", result=JobResult(exit_code=3))
    slow = Slow(AgentStore(app.redis, app.keys, app.clock))
    assert hospice.retire(agents=slow) == (False, False, 1)


def test_store_that_is_away_is_left_to_the_watchdog(hospice: Hospice) -> None:
    """The worker goes on; the next tick tells the parent."""

    class Away(JobStore):
        """A store that does not answer."""

        def read(self, job: str) -> Any:
            message = f"the server is away (reading job {job})"
            raise UnavailableError(message)

    app = hospice.app
    app.jobs.end(hospice.claim, JobState.FAILED, reason="over", result=JobResult(exit_code=3))
    assert hospice.retire(Away(app.redis, app.keys)) == STAYS
    app.watchdog.tick()
    assert hospice.retire() == (False, False, 1)
