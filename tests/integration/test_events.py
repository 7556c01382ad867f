"""Events of workers: heard by our own application, and by those who read them with kombu as it is."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from redis import Redis

from routing.embedded.private_server import PrivateServer
from routing.jobs.job import JobRequest, JobState
from routing.templates.version import Snapshot
from tasks.composition.composition import Coalmine
from tests.fleets.worker_fleet import fleet, until_state
from tests.waiting import wait_until


def exporter_of(parts: Coalmine) -> Celery:
    """An exporter's application: it knows the broker's address and prefix, and nothing of ours."""
    url = str(parts.app.conf.broker_url)
    return Celery("exporter", broker=url, broker_transport_options={"global_keyprefix": "coalmine:"})


@contextmanager
def heard_by(app: Celery) -> Iterator[list[dict[str, Any]]]:
    """What an application hears, as Flower and `celery events` listen."""
    events: list[dict[str, Any]] = []
    with app.connection_for_read() as connection:
        receiver: Any = app.events.Receiver(connection, handlers={"*": events.append})
        listen = partial(receiver.capture, limit=None, timeout=None, wakeup=False)
        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield events
        receiver.should_stop = True
        thread.join(timeout=10)


@pytest.mark.parametrize("who", ["ours", "an exporter"])
def test_events_are_heard_once(
    tmp_path: Path, redis_client: Redis, redis_server: PrivateServer, who: str
) -> None:
    """Heartbeats and the steps of a task, each once, by name and by pattern."""
    assert redis_client.ping()
    with fleet(tmp_path, redis_server.url) as made:
        made.worker(queues="champion,canary")
        parts = made.coalmine()
        parts.templates.add("implementer", Snapshot(prompt="work", command="true"))
        with heard_by(parts.app if who == "ours" else exporter_of(parts)) as events:
            wait_until(
                lambda: [event for event in events if event["type"] == "worker-heartbeat"],
                description="a heartbeat is heard",
            )
            job = parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job
            until_state(parts, job, JobState.SUCCEEDED)

            def steps() -> list[str]:
                return [event["type"] for event in events if event["type"].startswith("task-")]

            wait_until(lambda: "task-succeeded" in steps(), description="the end of the task is heard")
        assert sorted(steps()) == ["task-received", "task-started", "task-succeeded"]
