"""A worker's events: each is tried once, and a heartbeat that is refused is a lost connection."""

from typing import Any

import pytest
from celery.events.dispatcher import EventDispatcher
from kombu.exceptions import OperationalError
from pydantic import SecretStr

from tasks.broker import make_app
from tasks.settings.settings import Settings


class RefusingProducer:
    """A producer of a server that refuses everybody until it is let go on."""

    def __init__(self) -> None:
        self.refuses, self.sent, self.retries = True, list[str](), set[bool]()

    def publish(self, event: dict[str, str], *, retry: bool, **_: Any) -> None:
        """Send an event."""
        self.retries.add(retry)
        if self.refuses:
            raise OperationalError("LOADING")
        self.sent.append(event["type"])


@pytest.fixture
def server() -> RefusingProducer:
    """The broker."""
    return RefusingProducer()


@pytest.fixture
def events(server: RefusingProducer) -> EventDispatcher:
    """What a worker's consumer makes to send its events."""
    app = make_app(Settings(redis_url=SecretStr("redis://store/0")))
    made: Any = app.events.Dispatcher(app.connection_for_write(), hostname="w1")
    made.producer = server
    dispatcher: EventDispatcher = made
    return dispatcher


def test_a_refused_heartbeat_is_a_lost_connection(events: EventDispatcher, server: RefusingProducer) -> None:
    """The thread that takes messages is free at once, and knows; nobody is sent the old heartbeat later."""
    with pytest.raises(ConnectionError, match="could not be sent"):
        events.send("worker-heartbeat", retry=True)
    server.refuses = False
    events.flush()
    events.send("worker-heartbeat", retry=True)
    assert server.sent == ["worker-heartbeat"]
    assert server.retries == {False}


def test_what_happened_to_a_task_is_said_later(events: EventDispatcher, server: RefusingProducer) -> None:
    """Nothing else is disturbed by it."""
    events.send("task-received", uuid="1")
    assert server.sent == []
    server.refuses = False
    events.flush()
    assert server.sent == ["task-received"]
