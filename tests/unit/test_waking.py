"""Mail that arrives for an agent that awaits it has its job published; mail for anybody else has not."""

import pytest
import redis

from routing.errors import UnavailableError
from routing.jobs.job import JobResult
from routing.jobs.lifecycle import Claim
from routing.jobs.retry import awaiting
from routing.store.mail.mail_store import MailStore
from routing.store.sessions.session_store import SessionAnswer, TurnEnd, TurnRefusal
from tasks.agents.mail.address import Author
from tasks.agents.mail.letter import Letter
from tasks.agents.mail.post_office import PostOffice
from tasks.agents.mail.role import Role
from tasks.agents.session.state import ALLOWED, SessionState
from tasks.composition.worker import Worker
from tests.fleets.post import ADA
from tests.fleets.sessions import PROCESS
from tests.fleets.stepped_fleet import SteppedFleet


class Waiter:
    """A lead in a turn of its job."""

    def __init__(self, client: redis.Redis) -> None:
        self.fleet = SteppedFleet(client)
        self.app = self.fleet.app
        self.fleet.add()
        self.job = self.fleet.enqueue(role="lead").job
        self.claim: Claim = self.fleet.claim(self.job)
        self.name = self.app.agents.register(role=Role.LEAD, job=self.job).name
        life = {"role": "lead", "parent": "", "job": self.job}
        begun = self.app.sessions.begin(self.name, lease_seconds=30, worker="w1", start=life)
        assert not isinstance(begun, TurnRefusal)
        self.fence = int(begun["fence"])
        allowed = ALLOWED[SessionState.IN_TURN]
        assert self.app.sessions.run_by(self.name, fence=self.fence, allowed=allowed, process=PROCESS).done

    def end_turn(self, *, awaits: bool = True) -> None:
        """The turn ends, and its session is between turns."""
        if awaits:
            assert self.app.sessions.await_others(self.name, fence=self.fence) == SessionAnswer.OK
        to = SessionState.BETWEEN_TURNS
        end = TurnEnd(name=self.name, fence=self.fence, to=to, allowed=ALLOWED[to], job=self.job)
        assert self.app.sessions.end(end).done

    def park(self) -> None:
        """The job is put aside."""
        self.app.jobs.park(self.claim, awaiting(3600), reason="it awaits mail", result=JobResult())
        self.fleet.broker.sent.clear()

    def write(self, author: Author = ADA, office: PostOffice | None = None) -> None:
        """Send the agent a mail."""
        letter = Letter.checked(to=self.name, type_="status", subject="here you are")
        assert (office or self.app.post_office).send(author, letter)[0].created

    def woken(self) -> list[str]:
        """Jobs that mail has woken."""
        return [event.subject for event in self.fleet.events("job.woken")]


@pytest.fixture
def waiter(redis_client: redis.Redis) -> Waiter:
    """In its turn."""
    return Waiter(redis_client)


@pytest.mark.parametrize("by_person", [True, False])
def test_mail_wakes_the_agent_that_awaits_it(waiter: Waiter, *, by_person: bool) -> None:
    """Of an agent or of a person: the job can be claimed at once, and its next turn is about mail."""
    waiter.end_turn()
    waiter.park()
    scout = waiter.app.agents.register(role=Role.SCOUT, job="1" * 16, parent=waiter.name).name
    waiter.write(ADA if by_person else Author(address=scout))
    assert waiter.woken() == [waiter.job]
    waiter.app.relay.relay()
    assert [job for job, _, _ in waiter.fleet.broker.sent] == [waiter.job]
    assert waiter.fleet.claim(waiter.job).job.kind == "mail"


def test_mail_during_the_turn_is_found_by_the_sweep(waiter: Waiter) -> None:
    """It came when there was no job to be woken yet."""
    waiter.write()
    waiter.end_turn()
    waiter.write()
    waiter.park()
    assert waiter.woken() == []
    Worker(coalmine=waiter.app).sweep()
    assert waiter.woken() == [waiter.job]
    assert [job for job, _, _ in waiter.fleet.broker.sent] == [waiter.job]


def test_who_awaits_nothing_is_not_woken(waiter: Waiter) -> None:
    """An agent between turns whose job is parked by another's word, for instance."""
    waiter.end_turn(awaits=False)
    waiter.park()
    waiter.write()
    Worker(coalmine=waiter.app).sweep()
    assert waiter.woken() == []


def test_unreadable_session_keeps_nobody_waiting(waiter: Waiter) -> None:
    """The others are woken all the same."""
    waiter.end_turn()
    waiter.park()
    waiter.fleet.redis.hset(waiter.app.keys.session("broken"), mapping={"v": "9", "name": "broken"})
    assert waiter.app.waking.wake(["broken", "nobody", waiter.name]) == [waiter.job]


def test_mail_is_sent_although_nobody_can_be_woken(waiter: Waiter) -> None:
    """The sender sees no error after a mail that waits; the sweep makes up for it."""

    def fail(_names: object) -> None:
        message = "the server is away"
        raise UnavailableError(message)

    waiter.end_turn()
    waiter.park()
    store = MailStore(waiter.fleet.redis, waiter.app.keys, waiter.fleet.clock)
    waiter.write(office=PostOffice(store, waiter.app.agents, arrived=fail))
    Worker(coalmine=waiter.app).sweep()
    assert waiter.woken() == [waiter.job]
