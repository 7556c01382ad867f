"""Mail on a real server: in any order of processes, each mail is claimed once and each send happens once."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

import pytest
import redis

from routing.jobs.ending import Ending
from tasks.agents.agent_registry import FinishedAgentError, NameTakenError
from tasks.agents.mail.mail import MailState
from tasks.agents.supervision.worker_died import AgentEnd, tell_parent
from tests.fleets.post import ADA, PostFleet

T = TypeVar("T")

RACERS = 6


@pytest.fixture
def post(redis_client: redis.Redis) -> PostFleet:
    """An empty post office on a real server, by the server's time."""
    return PostFleet(redis_client, server_time=True)


def race(act: Callable[[int], T]) -> list[T]:
    """Let several threads do the same at the same moment."""
    start = threading.Barrier(RACERS)

    def run(number: int) -> T:
        start.wait()
        return act(number)

    with ThreadPoolExecutor(RACERS) as pool:
        return list(pool.map(run, range(RACERS)))


def test_each_mail_is_claimed_by_one_turn(post: PostFleet) -> None:
    """While mail is still being sent: together the turns have all of it, each mail once."""
    agent = post.agent().name

    def act(number: int) -> list[str]:
        ids = []
        for _ in range(20):
            if number % 2:
                post.send(ADA, agent)
            else:
                ids += post.claim(agent).ids
        return ids

    claimed = [mail for ids in race(act) for mail in ids]
    claimed += post.claim(agent).ids
    assert len(claimed) == 20 * RACERS // 2
    assert Counter(claimed).most_common(1)[0][1] == 1


def test_mail_of_a_lost_turn_is_claimed_by_one_other(post: PostFleet) -> None:
    """Those who come at the same moment find it taken."""
    agent = post.agent().name
    post.send(ADA, agent)
    post.claim(agent, lease_seconds=0)
    assert sum(len(claim.mails) for claim in race(lambda _: post.claim(agent))) == 1


def test_one_of_many_settles_a_claim(post: PostFleet) -> None:
    """Ack and put back race: one of them holds, and the mail is where that one put it."""
    agent = post.agent().name
    sent = post.send(ADA, agent)
    claim = post.claim(agent)

    def act(number: int) -> bool:
        if number % 2:
            return post.office.ack(claim)
        post.office.put_back(claim, reason="crashed")
        return False

    acked = sum(race(act))
    state = post.find(sent).state
    assert (acked, state) in {(1, MailState.ACKED), (0, MailState.QUEUED)}
    assert len(post.events("mail.acked")) + len(post.events("mail.returned")) == 1


def test_a_mail_sent_by_many_with_one_key_is_one(post: PostFleet) -> None:
    """All senders are given the same mail."""
    agent = post.agent().name
    receipts = race(lambda _: post.send(ADA, agent, dedupe_key="k"))
    assert len({receipt.id for receipt in receipts}) == 1
    assert sum(receipt.created for receipt in receipts) == 1
    assert len(post.claim(agent).mails) == 1


def test_many_witnesses_of_a_death_send_one_mail(post: PostFleet) -> None:
    """Runner and watchdog need not know of each other."""
    lead, builder = post.pair()
    agent = post.agents.find(builder)
    race(lambda _: tell_parent(post.office, agent, AgentEnd(ended_by=Ending.STALL, stall_seconds=1)))
    assert len(post.claim(lead).mails) == 1


def test_a_name_has_one_owner(post: PostFleet) -> None:
    """Of agents of several jobs that want one name, one gets it."""

    def act(number: int) -> bool:
        try:
            post.agent(job=f"{number:016x}", name="bob")
        except NameTakenError:
            return False
        return True

    assert sum(race(act)) == 1


def test_mail_that_races_with_the_end_of_its_agent_is_refused_or_dead(post: PostFleet) -> None:
    """It never waits for nobody."""
    agent = post.agent().name

    def act(number: int) -> int:
        if number == 0:
            post.agents.finish(agent, reason="completed")
            return 0
        sent = 0
        for _ in range(20):
            with suppress(FinishedAgentError):
                sent += post.send(ADA, agent).created
        return sent

    assert sum(race(act)) == len(post.office.dead(1000))
    assert post.redis.exists(post.keys.waiting_mail(agent)) == 0


def test_leases_end_by_the_servers_time(post: PostFleet) -> None:
    """A lease of no length is over at once; one of a minute is not."""
    agent = post.agent().name
    post.send(ADA, agent)
    assert len(post.claim(agent, lease_seconds=0).mails) == 1
    assert len(post.claim(agent, lease_seconds=60).mails) == 1
    assert len(post.claim(agent, lease_seconds=60).mails) == 0
    assert post.leaks() == []
