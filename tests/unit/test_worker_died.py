"""Telling a parent of an agent that ended without a word: when, in which words, and exactly once."""

from typing import Any

import pytest
import redis

from routing.jobs.ending import Ending
from tasks.agents.mail.address import Author
from tasks.agents.mail.mail import MailType
from tasks.agents.mail.role import Role
from tasks.agents.supervision.worker_died import AgentEnd, death, has_said, tell_parent
from tests.fleets.post import DONE, PostFleet

CRASH = AgentEnd(ended_by=Ending.RESULT, exit_code=3)


@pytest.fixture
def post(redis_client: redis.Redis) -> PostFleet:
    """An empty post office."""
    return PostFleet(redis_client)


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ({"ended_by": Ending.CANCEL}, "aborted by operator"),
        ({"ended_by": Ending.STALL, "stall_seconds": 600.0}, "stalled: no events for 600 s"),
        ({"ended_by": Ending.RESULT, "clean": True, "exit_code": 0}, "clean exit without terminal mail"),
        ({"ended_by": Ending.RESULT, "exit_code": 3}, "crashed with exit code 3"),
        ({"ended_by": Ending.RESULT, "exit_code": -9}, "crashed with exit code -9"),
        ({"ended_by": Ending.DEADLINE}, "stopped at its time limit"),
        ({"ended_by": Ending.OUTPUT_LIMIT}, "stopped at its output limit"),
        ({"ended_by": Ending.MEMORY_LIMIT}, "stopped at its limit of memory"),
        ({"ended_by": Ending.DISK_LIMIT}, "stopped at its limit of disk"),
        ({"ended_by": Ending.BUDGET}, "stopped at its cost limit"),
        ({"ended_by": Ending.PARSER_ERROR}, "stopped as its runtime could not read what it said"),
    ],
)
def test_the_parent_gets_the_reason(post: PostFleet, end: dict[str, Any], reason: str) -> None:
    """With high priority, the agent named in the subject, and the facts as fields."""
    lead, builder = post.pair()
    receipt = tell_parent(
        post.office, post.agents.find(builder), AgentEnd(**end, last_activity=1_700_000_000.0)
    )
    assert receipt is not None
    mail = post.find(receipt)
    assert (mail.sender, mail.recipient, mail.type) == ("coalmine", lead, MailType.WORKER_DIED)
    assert (mail.priority, mail.subject) == ("high", f"{builder} died: {reason}")
    assert mail.payload == {
        "agent": builder, "role": "builder", "task_id": "0123456789abcdef", "reason": reason,
        "last_activity": "2023-11-14T22:13:20Z", "ended_by": end["ended_by"].value,
    }  # fmt: skip


@pytest.mark.parametrize(
    "end",
    [
        {"ended_by": Ending.RESULT, "clean": True, "terminal_seen": True},
        {"ended_by": Ending.CANCEL, "terminal_seen": True},
        {"ended_by": Ending.RESULT, "clean": True, "awaiting": True},
        {"ended_by": Ending.LEASE_LOST},
        {"ended_by": Ending.DRAIN},
    ],
)
def test_what_is_not_a_silent_end_sends_nothing(post: PostFleet, end: dict[str, Any]) -> None:
    """Its terminal mail was seen, it waits for its children, or another worker goes on with it."""
    _, builder = post.pair()
    assert death(post.agents.find(builder), AgentEnd(**end)) is None


def test_an_agent_without_a_parent_is_mourned_by_nobody(post: PostFleet) -> None:
    """Nor is one whose role goes on for ever."""
    lead = post.agent(Role.LEAD, "1" * 16).name
    assert death(post.agent(), CRASH) is None
    assert death(post.agent(Role.MONITOR, "2" * 16, parent=lead), CRASH) is None


def test_runner_and_watchdog_together_send_one(post: PostFleet) -> None:
    """The second one finds the mail of the first, also when the reasons differ."""
    lead, builder = post.pair()
    agent = post.agents.find(builder)
    first = tell_parent(post.office, agent, AgentEnd(ended_by=Ending.STALL, stall_seconds=600))
    post.agents.finish(builder, reason="zombie")
    second = tell_parent(post.office, agent, CRASH)
    assert first is not None
    assert second is not None
    assert (first.id, first.created, second.created) == (second.id, True, False)
    assert len(post.claim(lead).mails) == 1


def test_an_agent_that_lives_again_can_die_again(post: PostFleet) -> None:
    """Each life ends once."""
    lead, builder = post.pair()
    for _ in range(2):
        tell_parent(post.office, post.agents.find(builder), CRASH)
        post.agents.finish(builder, reason="zombie")
        post.agent(parent=lead)
    assert len(post.claim(lead).mails) == 2


def test_a_parent_that_has_finished_gets_nothing(post: PostFleet) -> None:
    """There is nobody to read it; the end of the child goes on."""
    lead, builder = post.pair()
    post.agents.finish(lead, reason="completed")
    assert tell_parent(post.office, post.agents.find(builder), CRASH) is None


def test_a_death_does_not_end_the_parents_task(post: PostFleet) -> None:
    """It is nobody's terminal mail."""
    lead, builder = post.pair()
    post.send(builder, lead, type_="worker_done", payload=DONE)
    noted = post.office.terminal_sequence(builder)
    tell_parent(post.office, post.agents.find(builder), CRASH)
    assert post.office.terminal_since(builder, noted) is None
    assert post.office.terminal_since(lead, 0) is None


def test_word_of_one_job_is_not_that_of_another(post: PostFleet) -> None:
    """Of an agent that several jobs share: how the first went says nothing of the second."""
    helper = post.agent(job="", name="helper")
    post.send(
        Author(address="helper", task="one"),
        "operator",
        type_="worker_done",
        payload=DONE | {"task_id": "one"},
    )
    found = post.agents.find(helper.name)
    said = {task: has_said(post.office, found.model_copy(update={"task": task})) for task in ("one", "two")}
    assert said == {"one": True, "two": False}
