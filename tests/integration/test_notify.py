"""Notifications from real workers and beat, on a real server, to a real receiver."""

import base64
import hashlib
import hmac
import json
import threading
from pathlib import Path

import redis
from redis import Redis

from routing.embedded.private_server import PrivateServer
from routing.jobs.job import JobRequest, JobState
from routing.templates.version import Snapshot
from tasks.composition.composition import Coalmine
from tasks.composition.notify_parts import notifiers_of
from tests.fleets.worker_fleet import WorkerFleet, fleet, until_state
from tests.servers.sink_server import SinkServer, Word, sink_server
from tests.waiting import wait_until

SECRET = "a-secret-of-this-test"  # noqa: S105


def variables(server: SinkServer) -> dict[str, str]:
    """A fleet that tells one webhook what people must see to."""
    return {
        "COALMINE_NOTIFY__INTERVAL_SECONDS": "0.3",
        "COALMINE_NOTIFY__BACK_OFF_FIRST_SECONDS": "0.3",
        "COALMINE_NOTIFY__WEBHOOK__URL": server.address,
        "COALMINE_NOTIFY__WEBHOOK__SECRET": SECRET,
        "COALMINE_NOTIFY__WEBHOOK__KINDS": "needs-human,frozen",
    }


def escalated(made: WorkerFleet, parts: Coalmine) -> str:
    """A job whose agent comes to nothing."""
    wait_until(lambda: parts.notices.status("webhook"), description="the sink has its place in the stream")
    parts.templates.add("implementer", Snapshot(prompt="work", command="exit 3"))
    job = parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job
    until_state(made.coalmine(), job, JobState.FAILED)
    return job


def test_a_job_that_needs_a_person_makes_one_signed_post(
    tmp_path: Path, redis_client: Redis, redis_server: PrivateServer
) -> None:
    """With two workers and two beats, and a receiver that fails once: what it takes is signed, once."""
    assert redis_client.ping()
    with sink_server() as server, fleet(tmp_path, redis_server.url, **variables(server)) as made:
        server.next.append(Word(status=503))
        for name in ("w1", "w2"):
            made.worker(name)
            made.beat(f"beat-{name}")
        parts = made.coalmine()
        wish = parts.keys.tick("notify-webhook:again")
        server.arrived = lambda _: wait_until(  # another tick comes while this one is sending
            lambda: redis_client.exists(wish), description="the other tick has found this one at work"
        )
        job = escalated(made, parts)
        wait_until(lambda: len(server.deliveries) == 2, description="the second attempt has come")
        other = parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job
        wait_until(lambda: len(server.deliveries) >= 3, description="the next job is notified")
        wait_until(lambda: parts.notices.depths("webhook") == (0, 0), description="nothing waits any more")
        refused, taken, last = server.deliveries
        assert refused.headers["webhook-id"] == taken.headers["webhook-id"] != last.headers["webhook-id"]
        assert refused.body == taken.body
        document = json.loads(taken.body)
        assert (document["type"], document["data"]["subject"]) == ("needs-human", job)
        assert document["data"]["fields"]["version"] == "implementer@v1"
        assert json.loads(last.body)["data"]["subject"] == other
        signed = f"{document['id']}.{taken.headers['webhook-timestamp']}.".encode() + taken.body
        digest = base64.b64encode(hmac.digest(SECRET.encode(), signed, hashlib.sha256)).decode()
        assert taken.headers["webhook-signature"] == f"v1,{digest}"
        for name in ("w1", "w2"):
            assert SECRET not in made.log(name)
            assert "T000SECRET" not in made.log(name)
        parts.redis.close()
        parts.app.close()


def test_two_consumers_at_once_send_once(
    tmp_path: Path, redis_client: redis.Redis, redis_server: PrivateServer
) -> None:
    """While one sends, the other finds the tick taken; what it came for is sent by the first."""
    assert redis_client.ping()
    with sink_server() as server:
        made = WorkerFleet(tmp_path, redis_server.url, **variables(server))
        parts, others = made.coalmine(), made.coalmine()
        for each in (parts, others):
            (notifier,) = notifiers_of(each)
            each.ticks.run_alone("notify-webhook", notifier.tick)
        parts.events.emit("job.finished", "4f1d0c2ab39e8876", {"state": "failed"})
        inside, go_on = threading.Event(), threading.Event()

        def wait(_: object) -> None:
            inside.set()
            wait_until(go_on.is_set, description="the second has tried")

        server.arrived = wait
        first = threading.Thread(
            target=lambda: parts.ticks.run_alone("notify-webhook", notifiers_of(parts)[0].tick)
        )
        first.start()
        wait_until(inside.is_set, description="the first is sending")
        assert others.ticks.run_alone("notify-webhook", notifiers_of(others)[0].tick) is None
        go_on.set()
        first.join()
        assert len(server.deliveries) == 1
        assert parts.notices.depths("webhook") == (0, 0)
        for each in (parts, others):
            each.redis.close()
            each.app.close()


def test_a_real_server_counts_what_was_trimmed(
    tmp_path: Path, redis_client: redis.Redis, redis_server: PrivateServer
) -> None:
    """The counts of the stream are the server's own."""
    assert redis_client.ping()
    with sink_server() as server:
        parts = WorkerFleet(tmp_path, redis_server.url, **variables(server)).coalmine()
        (notifier,) = notifiers_of(parts)
        notifier.tick()
        for number in range(10):
            parts.events.emit("job.finished", f"{number:016x}", {"state": "failed"})
        redis_client.xtrim(parts.keys("events"), maxlen=4, approximate=False)
        assert notifier.tick() == 4
        status = parts.notices.status("webhook")
        assert status is not None
        assert status.missed == 6
        parts.redis.close()
        parts.app.close()
