"""Publishing on a real broker: what scripts push is what kombu pushes, and Celery reads both."""

import base64
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import redis
from kombu import Connection, Queue
from pydantic import SecretStr

from routing.embedded.private_server import PrivateServer
from routing.jobs.job import Priority
from routing.jobs.publisher import UNSAID, UNUSED, CeleryPublisher
from tasks.broker import WORK, make_app
from tasks.composition.composition import Coalmine, compose
from tasks.settings.settings import Settings
from tests.fleets.stepped_fleet import SteppedFleet, request
from tests.waiting import wait_until

JOB = "feedfacecafebeef"


@pytest.fixture
def coalmine(redis_server: PrivateServer, redis_client: redis.Redis) -> Iterator[Coalmine]:
    """The composition of a fleet whose broker is its store."""
    settings = Settings(redis_url=SecretStr(redis_server.url))
    app = make_app(settings)
    yield compose(settings, redis=redis_client, app=app)
    app.close()


def lists(client: Any) -> list[str]:
    """The keys that are lists, as queues are."""
    return [key for key in client.scan_iter() if client.type(key) == "list"]


def parsed(text: str) -> dict[str, Any]:
    """A message with its body read, and without what differs from one to the next, or says nothing."""
    message: dict[str, Any] = json.loads(text.replace(json.loads(text)["headers"]["id"], "the task's id"))
    message["body"] = json.loads(base64.b64decode(message["body"]))[:2]
    message["headers"] = {name: value for name, value in message["headers"].items() if value not in UNSAID}
    for name in ("delivery_tag", *UNUSED):
        message["properties"].pop(name, None)
    return message


@pytest.mark.parametrize("queue", ["champion", "canary"])
@pytest.mark.parametrize("priority", list(Priority))
def test_prepared_message_equals_the_published_one(
    coalmine: Coalmine, queue: str, priority: Priority
) -> None:
    """The same list of the broker, and the same message but for the task's id and the delivery tag."""
    store: Any = coalmine.redis
    publisher = coalmine.publisher
    prepared = publisher.prepared(JOB, queue, priority)
    assert prepared is not None
    publisher.publish(JOB, queue, priority)
    (key,) = lists(store)
    (text,) = store.lrange(key, 0, -1)
    assert key == prepared[0]
    assert parsed(text) == parsed(prepared[1])


def test_pushed_messages_are_received_most_urgent_first(
    coalmine: Coalmine, redis_server: PrivateServer
) -> None:
    """A consumer of Celery's own kind gets what the scripts pushed, in the order of the priorities."""
    fleet = SteppedFleet(coalmine.redis, publisher=coalmine.publisher)
    fleet.add()
    wanted = [Priority.LOW, Priority.NORMAL, Priority.URGENT, Priority.HIGH]
    done = fleet.app.mailbox.enqueue_many([request(priority=priority) for priority in wanted])
    got: list[str] = []

    def receive(body: Any, message: Any) -> None:
        got.append(body[0][0])
        message.ack()

    options = dict(coalmine.app.conf.broker_transport_options)
    with (
        Connection(str(coalmine.app.conf.broker_url), transport_options=options) as connection,
        connection.Consumer(Queue("champion"), callbacks=[receive], accept=["json"], prefetch_count=1),
    ):

        def all_received() -> bool:
            with suppress(TimeoutError):
                connection.drain_events(timeout=0.1)
            return len(got) == len(wanted)

        wait_until(all_received, description="four messages are received")
    assert got == [done[place].job for place in (2, 3, 1, 0)]
    assert redis_server.alive


def test_depth_counts_every_priority(coalmine: Coalmine) -> None:
    """A queue is empty only when no message of any priority waits in it."""
    assert coalmine.publisher.depth("champion") == 0
    coalmine.publisher.publish(JOB, "champion", Priority.LOW)
    coalmine.publisher.publish(JOB, "champion", Priority.URGENT)
    assert coalmine.publisher.depth("champion") == 2
    assert coalmine.publisher.depth("canary") == 0


def test_the_next_message_of_each_priority_is_shown(coalmine: Coalmine) -> None:
    """The one that a worker takes next, and what is not ours as a message about nothing."""
    publisher = coalmine.publisher
    assert publisher.heads("champion") == {}
    later = "0123456789abcdef"
    for job in (JOB, later):
        publisher.publish(job, "champion", Priority.LOW)
    publisher.publish(later, "champion", Priority.URGENT)
    assert publisher.heads("champion") == {Priority.URGENT: later, Priority.LOW: JOB}
    pushed = coalmine.publisher.prepared(JOB, "backtest", Priority.NORMAL)
    assert pushed is not None
    coalmine.redis.lpush(*pushed)
    assert publisher.heads("backtest") == {Priority.NORMAL: JOB}
    coalmine.redis.lpush("coalmine:canary", "something else")
    assert publisher.heads("canary") == {Priority.URGENT: ""}


def test_lost_list_of_the_broker_is_made_up_for(coalmine: Coalmine) -> None:
    """Somebody deleted the broker's queue: the relay publishes what nobody claimed, once."""
    fleet = SteppedFleet(coalmine.redis, publisher=coalmine.publisher)
    fleet.add()
    job = fleet.enqueue(priority="urgent").job
    assert fleet.redis.llen("coalmine:champion") == 1
    fleet.clock.forward(20)
    assert fleet.app.relay.relay().found_lost == 0
    fleet.redis.delete("coalmine:champion")
    fleet.clock.forward(20)
    assert fleet.app.relay.relay().found_lost == 1
    (text,) = fleet.redis.lrange("coalmine:champion", 0, -1)
    assert json.loads(text)["headers"]["id"].startswith(f"{job}-")


def test_broker_in_another_database_gets_its_messages_by_the_outbox(
    redis_server: PrivateServer, redis_client: redis.Redis
) -> None:
    """The store's step pushes nothing there; kombu does, and the store's database holds no queue."""
    settings = Settings(
        redis_url=SecretStr(redis_server.url), broker_url=SecretStr(another_database(redis_server.url))
    )
    app = make_app(settings)
    publisher = CeleryPublisher(app, task=WORK, broker_is_store=False)
    fleet = SteppedFleet(redis_client, publisher=publisher)
    fleet.add()
    fleet.enqueue()
    assert not lists(fleet.redis)
    assert publisher.depth("champion") == 1
    app.close()


def test_broker_that_is_down_leaves_the_job_in_the_outbox(redis_client: redis.Redis) -> None:
    """Enqueueing succeeds; the job is published when the broker is back."""
    settings = Settings(broker_url=SecretStr("redis://127.0.0.1:1/0"))
    app = make_app(settings)
    app.conf.broker_transport_options = {"max_retries": 1, "interval_start": 0, "interval_max": 0.1}
    fleet = SteppedFleet(redis_client, publisher=CeleryPublisher(app, task=WORK, broker_is_store=False))
    fleet.add()
    job = fleet.enqueue().job
    assert fleet.app.jobs.find(job).state == "queued"
    fleet.clock.forward(10)
    assert fleet.app.relay.relay().published == 0
    app.close()
    fleet.clock.forward(10)
    back = SteppedFleet(redis_client, clock=fleet.clock)
    assert back.app.relay.relay().published == 1
    assert [sent[0] for sent in back.broker.sent] == [job]


def another_database(url: str) -> str:
    """The same server's database 1, as kombu writes it."""
    settings = Settings(redis_url=SecretStr(url))
    written = str(make_app(settings).conf.broker_url)
    return written.replace("virtual_host=0", "virtual_host=1").replace("/0", "/1")
