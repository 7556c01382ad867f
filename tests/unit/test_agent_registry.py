"""Agents: names of their own, parents, and what their end does to their mail."""

import pytest
import redis

from routing.errors import CorruptRecordError, InvalidInputError
from tasks.agents.agent_record import AgentRecord
from tasks.agents.agent_registry import FinishedAgentError, NameTakenError, UnknownAgentError
from tasks.agents.mail.mail import MailState
from tasks.agents.mail.role import Role
from tests.fleets.post import ADA, RETENTION, PostFleet


@pytest.fixture
def post(redis_client: redis.Redis) -> PostFleet:
    """An empty post office."""
    return PostFleet(redis_client)


def test_an_agent_is_named_by_its_role_and_job(post: PostFleet) -> None:
    """The name is what others write to; its task is its job."""
    agent = post.agent(Role.BUILDER, "4f1d0c2ab39e8876")
    assert (agent.name, agent.task, agent.depth) == ("builder-4f1d0c2a", "4f1d0c2ab39e8876", 0)
    assert agent.is_live
    assert [found.name for found in post.agents.live()] == ["builder-4f1d0c2a"]


def test_an_agent_without_a_job_is_named_by_its_role(post: PostFleet) -> None:
    """There is one coordinator unless others are named."""
    assert post.agent(Role.COORDINATOR, "").name == "coordinator"


def test_jobs_that_begin_alike_have_agents_of_their_own(post: PostFleet) -> None:
    """The second gets its whole job id as name."""
    first, second = post.agent(job="aaaaaaaa11111111"), post.agent(job="aaaaaaaa22222222")
    assert (first.name, second.name) == ("builder-aaaaaaaa", "builder-aaaaaaaa22222222")


def test_a_chosen_name_that_another_has_is_refused(post: PostFleet) -> None:
    """Addresses are of one agent; nothing is overwritten, not even when that one has finished."""
    post.agent(job="1" * 16, name="bob")
    post.agents.finish("bob", reason="done")
    before = post.everything()
    with pytest.raises(NameTakenError, match="bob"):
        post.agent(job="2" * 16, name="bob")
    assert post.everything() == before


def test_registering_again_changes_nothing(post: PostFleet) -> None:
    """A worker that takes a job over registers its agent without asking."""
    first = post.agent()
    before = post.everything()
    assert post.agent() == first
    assert post.everything() == before


def test_a_finished_agent_comes_back_with_its_job(post: PostFleet) -> None:
    """A retried job has its agent again, in another life, and it does not expire."""
    first = post.agent()
    post.agents.finish(first.name, reason="zombie")
    assert post.redis.ttl(post.keys.agent(first.name)) == RETENTION
    again = post.agent()
    assert (again.name, again.is_live, again.life, again.reason) == (first.name, True, 2, "")
    assert post.redis.ttl(post.keys.agent(first.name)) == -1


def test_a_child_is_one_deeper_than_its_parent(post: PostFleet) -> None:
    """Depth is what limits hold on to."""
    lead, builder = post.pair()
    assert post.agents.find(builder).depth == 1
    assert post.agents.find(builder).parent == lead


def test_a_parent_must_live(post: PostFleet) -> None:
    """Nobody could be notified of a child without a parent."""
    with pytest.raises(UnknownAgentError, match="nobody"):
        post.agent(parent="nobody")
    lead = post.agent(Role.LEAD, "1" * 16)
    post.agents.finish(lead.name, reason="done")
    with pytest.raises(FinishedAgentError, match=lead.name):
        post.agent(parent=lead.name)


def test_finishing_twice_is_once(post: PostFleet) -> None:
    """The second time says so and changes nothing; an unknown name is an error."""
    agent = post.agent()
    assert post.agents.finish(agent.name, reason="completed") is True
    before = post.everything()
    assert post.agents.finish(agent.name, reason="again") is False
    assert post.everything() == before
    with pytest.raises(UnknownAgentError):
        post.agents.finish("nobody", reason="x")


def test_mail_of_an_agent_that_finishes_is_dead(post: PostFleet) -> None:
    """What waited, and what a turn had in hand, is on the list of the dead with its reason."""
    agent = post.agent()
    claimed = post.send(ADA, agent.name)
    post.claim(agent.name)
    waiting = post.send(ADA, agent.name)
    post.agents.finish(agent.name, reason="cancelled")
    assert {mail.id for mail in post.office.dead(10)} == {claimed.id, waiting.id}
    mail = post.find(waiting)
    assert (mail.state, mail.reason) == (MailState.DEAD, "its agent has finished: cancelled")
    assert len(post.events("mail.dead")) == 2
    assert post.office.agents_with_mail(10) == []


@pytest.mark.parametrize(
    "name", ["operator", "coalmine", "parent", "@all", "Bob", "a b", "-x", "x" * 64, "a:b", "a\n"]
)
def test_names_that_mean_something_else_are_refused(post: PostFleet, name: str) -> None:
    """People, Coalmine and groups have their own addresses; a name has no control characters."""
    with pytest.raises(InvalidInputError, match="name"):
        post.agent(name=name)


def test_a_damaged_record_is_reported() -> None:
    """What cannot be read is named."""
    with pytest.raises(CorruptRecordError, match="bob"):
        AgentRecord.parse({"name": "bob", "role": "wizard", "state": "live", "registered_at": "1"})
