"""Publishing: nothing accepted is lost, whatever the broker does; the relay repeats no more than it must."""

import base64
import json
from ast import literal_eval
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from celery import Celery
from celery.app.task import Context
from celery.worker.request import Request
from kombu import Connection
from pydantic import SecretStr

from routing.errors import UnavailableError
from routing.jobs.job import JobResult, Priority
from routing.jobs.publisher import UNSAID, UNUSED, CeleryPublisher, shown
from routing.jobs.relay import OVERDUE_AT_ONCE, OVERDUE_SECONDS, SENT_APART_SECONDS, SOON_SECONDS
from routing.jobs.retry import AT_ONCE, UNCOUNTED
from routing.templates.trial import Arm
from tasks.broker import WORK, make_app
from tasks.composition.composition import compose
from tasks.settings.settings import Settings
from tests.fleets.stepped_fleet import SteppedFleet, request

JOB = "feedfacecafebeef"

#: What a worker does with a message hangs on these.
READ = (
    "id", "name", "args", "kwargs", "argsrepr", "kwargsrepr", "eta", "expires", "root_id", "parent_id",
    "time_limits", "ignore_result", "correlation_id", "delivery_info", "chord", "errbacks", "group",
    "stamped_headers", "stamps",
)  # fmt: skip

#: Seconds after which the relay looks at a job that was not published, and at one that nobody claimed.
PUBLISH_SECONDS, UNCLAIMED_SECONDS = 5.0, 5.0


def work(job: str) -> str:
    """A task of the name that ours has."""
    return job


#: Where a task finds what is not read: the properties as they came, and who would get its result.
UNREAD = {"headers", "properties", "reply_to"}


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A fleet with one template, whose broker is another server than its store."""
    made = SteppedFleet(redis_client)
    made.add()
    return made


@pytest.fixture
def celery_app() -> Iterator[Celery]:
    """A Celery application that speaks to a broker in memory."""
    app = make_app(Settings())
    yield app
    app.close()


def parsed(message: dict[str, Any]) -> dict[str, Any]:
    """A message with its body read, and without what differs from one to the next, or says nothing."""
    message = json.loads(json.dumps(message).replace(message["headers"]["id"], "the task's id"))
    positional, named, embedded = json.loads(base64.b64decode(message["body"]))
    message["body"] = [positional, named, said(embedded)]
    message["headers"] = said(message["headers"])
    for name in ("delivery_tag", *UNUSED):
        message["properties"].pop(name, None)
    return message


def said(values: dict[str, Any]) -> dict[str, Any]:
    """Those that are not what a worker takes for granted."""
    return {name: value for name, value in values.items() if value not in UNSAID}


@pytest.mark.parametrize("queue", ["champion", "canary"])
@pytest.mark.parametrize("priority", list(Priority))
def test_prepared_message_is_what_kombu_publishes(celery_app: Celery, queue: str, priority: Priority) -> None:
    """The text that a script pushes says the same as the message that kombu would have sent."""
    publisher = CeleryPublisher(celery_app, task=WORK, broker_is_store=True)
    about = shown(issue='local:"shop"\\#3', version="implementer@v2", arm=Arm.CANARY)
    prepared = publisher.prepared(JOB, queue, priority, shown=about)
    assert prepared is not None
    publisher.publish(JOB, queue, priority, shown=about)
    with Connection("memory://") as connection:
        channel: Any = connection.default_channel
        sent = channel._get(queue)  # noqa: SLF001 - the reading side of kombu's memory transport
    assert parsed(json.loads(prepared[1])) == parsed(sent)
    seen = literal_eval(sent["headers"]["kwargsrepr"])
    assert seen == {"issue": 'local:"shop"\\#3', "version": "implementer@v2", "arm": "canary"}


@pytest.mark.parametrize("priority", [Priority.URGENT, Priority.NORMAL])
def test_a_worker_reads_a_prepared_message_as_the_published_one(
    celery_app: Celery, priority: Priority
) -> None:
    """What is left out of it is what Celery's worker reads where nothing is said."""
    publisher = CeleryPublisher(celery_app, task=WORK, broker_is_store=True, suffixes=lambda: "a")
    prepared = publisher.prepared(JOB, "champion", priority)
    assert prepared is not None
    publisher.publish(JOB, "champion", priority)
    task = celery_app.tasks.get(WORK) or celery_app.task(name=WORK)(work)  # the fleet's, where it is imported
    with Connection("memory://") as connection:
        channel: Any = connection.default_channel
        sent = channel._get("champion")  # noqa: SLF001 - the reading side of kombu's memory transport
        read = [
            Request(channel.message_to_python(each), app=celery_app, hostname="w@h", task=task)
            for each in (json.loads(prepared[1]), sent)
        ]
    assert len(prepared[1]) < 0.6 * len(json.dumps(sent))
    ours, kombus = (json.loads(json.dumps({name: getattr(each, name) for name in READ})) for each in read)
    assert ours == kombus
    contexts = [Context(each.request_dict) for each in read]
    for name in (name for name in vars(Context) if not name.startswith("_")):
        values = [getattr(context, name) for context in contexts]
        is_unsaid = all(not value or value == [None, None] for value in values)
        assert callable(values[0]) or name in UNREAD or is_unsaid or values[0] == values[1], name


def test_prepared_messages_differ_by_their_job_alone(celery_app: Celery) -> None:
    """No job's id is left in another's message, and each has a delivery tag of its own."""
    publisher = CeleryPublisher(celery_app, task=WORK, broker_is_store=True)
    first = publisher.prepared(JOB, "champion", Priority.NORMAL)
    second = publisher.prepared("0" * 16, "champion", Priority.NORMAL)
    assert first is not None
    assert second is not None
    one, other = json.loads(first[1]), json.loads(second[1])
    assert json.loads(base64.b64decode(one["body"]))[0] == [JOB]
    assert json.loads(base64.b64decode(other["body"]))[0] == ["0" * 16]
    assert one["properties"]["delivery_tag"] != other["properties"]["delivery_tag"]
    assert one["headers"]["id"] != other["headers"]["id"]
    assert JOB not in second[1]
    assert JOB not in base64.b64decode(other["body"]).decode()


def test_prepared_message_says_nothing_of_the_job_but_its_id(celery_app: Celery) -> None:
    """A message carries the id, nothing else: the worker reads the record."""
    publisher = CeleryPublisher(celery_app, task=WORK, broker_is_store=True)
    prepared = publisher.prepared(JOB, "champion", Priority.NORMAL)
    assert prepared is not None
    positional, named, _ = json.loads(base64.b64decode(json.loads(prepared[1])["body"]))
    assert (positional, named) == ([JOB], {})


def test_each_publication_is_a_task_of_its_own(celery_app: Celery) -> None:
    """A worker that was asked to drop one takes the next; people read the job's id in both."""
    suffixes = iter(["a", "b", "c"])
    publisher = CeleryPublisher(celery_app, task=WORK, broker_is_store=True, suffixes=lambda: next(suffixes))
    texts = []
    for _ in range(2):
        prepared = publisher.prepared(JOB, "champion", Priority.NORMAL)
        assert prepared is not None
        texts.append(json.loads(prepared[1]))
    publisher.publish(JOB, "champion", Priority.NORMAL)
    with Connection("memory://") as connection:
        channel: Any = connection.default_channel
        texts.append(channel._get("champion"))  # noqa: SLF001 - the reading side of kombu's memory transport
    ids = [f"{JOB}-a", f"{JOB}-b", f"{JOB}-c"]
    assert [text["headers"]["id"] for text in texts] == ids
    assert [text["properties"]["correlation_id"] for text in texts] == ids
    assert {text["headers"]["argsrepr"] for text in texts} == {f"['{JOB}']"}


def test_no_two_publications_have_the_same_id(celery_app: Celery) -> None:
    """Whichever processes publish a job, again and again."""
    publishers = [CeleryPublisher(celery_app, task=WORK, broker_is_store=True) for _ in range(3)]
    made = [one.prepared(JOB, "champion", Priority.NORMAL) for one in publishers * 20]
    assert len({json.loads(each[1])["headers"]["id"] for each in made if each is not None}) == 60


def test_message_is_pushed_in_the_step_when_the_broker_is_the_store(redis_client: redis.Redis) -> None:
    """One write holds the record and the message; the relay has nothing to do until nobody claims it."""
    app = compose(Settings(redis_url=SecretStr("redis://127.0.0.1:1/0")), redis=redis_client)
    fleet = SteppedFleet(redis_client, publisher=app.publisher)
    fleet.add()
    job = fleet.enqueue(priority="urgent").job
    (text,) = fleet.redis.lrange("coalmine:champion", 0, -1)
    headers = json.loads(text)["headers"]
    assert headers["argsrepr"] == f"['{job}']"
    assert headers["id"].startswith(f"{job}-")
    assert fleet.app.job_store.depths()["queued"] == 1
    fleet.clock.forward(PUBLISH_SECONDS + 1)
    assert fleet.app.relay.relay().published == 0


def test_broker_elsewhere_takes_the_way_of_the_outbox(redis_client: redis.Redis) -> None:
    """Another database of the same server is another broker: nothing is pushed by the script."""
    here, there = "redis://127.0.0.1:1/0", "redis://127.0.0.1:1/1"
    app = compose(Settings(redis_url=SecretStr(here), broker_url=SecretStr(there)), redis=redis_client)
    assert app.publisher.prepared(JOB, "champion", Priority.NORMAL) is None


def test_published_job_is_relayed_no_more(fleet: SteppedFleet) -> None:
    """A message that reached the broker is not sent again by the outbox."""
    fleet.enqueue()
    fleet.clock.forward(PUBLISH_SECONDS + 1)
    fleet.app.relay.relay()
    assert len(fleet.broker.sent) == 1


def test_failed_publication_is_made_up_for_by_the_relay(fleet: SteppedFleet) -> None:
    """The job is recorded although the broker is down, and is published once when it is back."""
    fleet.broker.down = True
    job = fleet.enqueue(priority="low").job
    assert fleet.app.jobs.find(job).state == "queued"
    fleet.clock.forward(PUBLISH_SECONDS)
    assert fleet.app.relay.relay().published == 0
    fleet.broker.down = False
    fleet.clock.forward(PUBLISH_SECONDS)
    assert fleet.app.relay.relay().published == 1
    for _ in range(5):
        fleet.clock.forward(PUBLISH_SECONDS)
        fleet.app.relay.relay()
    assert fleet.broker.sent == [(job, "champion", Priority.LOW)]


def test_batch_loses_nothing_when_the_broker_fails_midway(fleet: SteppedFleet) -> None:
    """What was published is not repeated, and the rest follows."""
    publish, calls = fleet.broker.publish, []

    def fail_at_the_third(job: str, queue: str, priority: Priority, **_about: str) -> None:
        calls.append(job)
        if len(calls) == 3:
            message = "the broker is down"
            raise UnavailableError(message)
        publish(job, queue, priority)

    vars(fleet.broker)["publish"] = fail_at_the_third
    done = fleet.app.mailbox.enqueue_many([request() for _ in range(5)])
    assert [sent[0] for sent in fleet.broker.sent] == [one.job for one in done[:2]]
    fleet.clock.forward(PUBLISH_SECONDS)
    fleet.app.relay.relay()
    assert sorted(sent[0] for sent in fleet.broker.sent) == sorted(one.job for one in done)


def test_process_that_dies_before_it_publishes_loses_nothing(fleet: SteppedFleet) -> None:
    """The outbox holds the job from the step that accepted it."""

    class Killed(BaseException):
        """The process ends here."""

    def die(*_: object, **_named: object) -> None:
        raise Killed

    vars(fleet.broker)["publish"] = die
    with pytest.raises(Killed):
        fleet.enqueue()
    del vars(fleet.broker)["publish"]
    fleet.clock.forward(PUBLISH_SECONDS)
    assert fleet.app.relay.relay().published == 1


def test_lost_message_is_found_when_nobody_claims_it(fleet: SteppedFleet) -> None:
    """The broker lost its data: after the unclaimed time the job is published again, once."""
    job = fleet.enqueue().job
    fleet.broker.queues["champion"].clear()
    fleet.clock.forward(UNCLAIMED_SECONDS - 1)
    assert fleet.app.relay.relay().found_lost == 0
    fleet.clock.forward(1)
    assert fleet.app.relay.relay().found_lost == 1
    assert [sent[0] for sent in fleet.broker.sent] == [job, job]
    fleet.clock.forward(1)
    assert fleet.app.relay.relay().published == 0


def test_waiting_message_is_not_repeated(fleet: SteppedFleet) -> None:
    """While others wait in the queue a job may wait too: nothing is lost and nothing is sent twice."""
    fleet.enqueue()
    for _ in range(5):
        fleet.clock.forward(UNCLAIMED_SECONDS)
        assert fleet.app.relay.relay().published == 0
    assert len(fleet.broker.sent) == 1


def test_lost_message_is_repeated_although_others_wait(fleet: SteppedFleet) -> None:
    """A queue that is never empty does not hide a loss for ever; the next repetition takes as long again."""
    lost, _ = fleet.enqueue().job, fleet.enqueue().job
    fleet.broker.queues["champion"].remove(lost)
    for _ in range(round(OVERDUE_SECONDS / UNCLAIMED_SECONDS) - 1):
        fleet.clock.forward(UNCLAIMED_SECONDS)
        assert fleet.app.relay.relay().published == 0
    fleet.clock.forward(UNCLAIMED_SECONDS)
    assert fleet.app.relay.relay().found_lost == 2
    assert lost in fleet.broker.queues["champion"]
    fleet.clock.forward(OVERDUE_SECONDS - 1)
    assert fleet.app.relay.relay().published == 0


def test_message_that_a_later_one_has_passed_is_lost(fleet: SteppedFleet) -> None:
    """A broker shows which message is next: the job of a lost one need not wait until its queue is empty."""
    fleet.broker.shows_heads = True
    lost = fleet.enqueue().job
    fleet.clock.forward(SENT_APART_SECONDS + 1)
    waits = fleet.enqueue().job
    fleet.broker.queues["champion"].remove(lost)
    fleet.clock.forward(UNCLAIMED_SECONDS)
    assert fleet.app.relay.relay().found_lost == 1
    assert fleet.broker.queues["champion"] == [waits, lost]
    fleet.clock.forward(OVERDUE_SECONDS)
    assert fleet.app.relay.relay().found_lost == 0, "both wait, however long that takes"


def test_message_of_a_priority_in_which_none_waits_is_lost(fleet: SteppedFleet) -> None:
    """Others that are less urgent do not hide it, nor does a message that is about no job of ours."""
    fleet.broker.shows_heads = True
    urgent = fleet.enqueue(priority="urgent").job
    fleet.enqueue(priority="low")
    fleet.broker.queues["champion"].remove(urgent)
    fleet.clock.forward(UNCLAIMED_SECONDS)
    assert fleet.app.relay.relay().found_lost == 1
    assert fleet.broker.queues["champion"][-1] == urgent


def test_work_that_was_cut_short_goes_first(fleet: SteppedFleet) -> None:
    """A lost worker's job waits for no other that has not begun; its next attempt is like any other."""
    job = fleet.enqueue(priority="low").job
    fleet.claim(job, lease_seconds=30)
    fleet.enqueue()
    fleet.clock.forward(31)
    fleet.app.jobs.reap(at=fleet.clock())
    fleet.app.relay.relay()
    assert fleet.broker.sent[-1] == (job, "champion", Priority.URGENT)
    again = fleet.claim(job, lease_seconds=30)
    fleet.app.jobs.try_again(again, AT_ONCE, reason="it failed", result=JobResult())
    fleet.app.relay.relay()
    assert fleet.broker.sent[-1] == (job, "champion", Priority.LOW)


def test_a_lost_message_of_work_that_was_cut_short_is_seen_sooner(fleet: SteppedFleet) -> None:
    """It has waited for a lease already, and is to be at work five seconds after that."""
    job = fleet.enqueue().job
    fleet.claim(job, lease_seconds=30)
    fleet.clock.forward(31)
    fleet.app.jobs.reap(at=fleet.clock())
    assert fleet.app.relay.relay().published == 1
    fleet.broker.queues["champion"].clear()
    fleet.clock.forward(SOON_SECONDS)
    assert fleet.app.relay.relay().found_lost == 1


def test_work_of_a_worker_that_shuts_down_goes_first(fleet: SteppedFleet) -> None:
    """What a worker gives back had begun, too."""
    job = fleet.enqueue(priority="low").job
    fleet.app.jobs.give_back(fleet.claim(job), UNCOUNTED, reason="the worker shuts down")
    fleet.app.relay.relay()
    assert fleet.broker.sent[-1] == (job, "champion", Priority.URGENT)


def test_messages_are_not_repeated_without_bounds(fleet: SteppedFleet) -> None:
    """However long nobody works, there are no more than two messages a job, and few come at once."""
    fleet.app.mailbox.enqueue_many([request() for _ in range(OVERDUE_AT_ONCE + 10)])
    passes = []
    for _ in range(5):
        fleet.clock.forward(OVERDUE_SECONDS)
        passes.append(fleet.app.relay.relay().published)
    assert passes == [OVERDUE_AT_ONCE, 10, 0, 0, 0]
    assert set(Counter(job for job, _, _ in fleet.broker.sent).values()) == {2}, "each has its turn"


def test_publication_of_a_job_that_is_gone_leaves_nothing(fleet: SteppedFleet) -> None:
    """A record that expired between the message and its note is not brought back."""
    job = fleet.enqueue().job
    fleet.redis.delete(fleet.app.keys.job(job))
    fleet.app.job_store.published([job])
    assert not fleet.redis.exists(fleet.app.keys.job(job))


def test_each_lost_queue_is_filled_alone(redis_client: redis.Redis) -> None:
    """An empty canary queue repeats the canary's jobs, not those that wait for the champion."""
    fleet = SteppedFleet(redis_client, draws=[0.1, 0.9])
    fleet.on_trial()
    canary, _ = fleet.enqueue().job, fleet.enqueue().job
    fleet.broker.queues["canary"].clear()
    fleet.clock.forward(UNCLAIMED_SECONDS)
    fleet.app.relay.relay()
    assert [sent[0] for sent in fleet.broker.sent[2:]] == [canary]


def test_claimed_job_is_not_published_again(fleet: SteppedFleet) -> None:
    """A worker that was faster than the relay has taken the job off both lists."""
    fleet.broker.down = True
    job = fleet.enqueue().job
    fleet.broker.down = False
    fleet.claim(job, lease_seconds=3600)
    fleet.clock.forward(UNCLAIMED_SECONDS + PUBLISH_SECONDS)
    assert fleet.app.relay.relay().published == 0
    assert fleet.app.job_store.depths() == {"queued": 0, "running": 1, "waiting": 0, "dead": 0}


def test_cancelled_job_is_not_published(fleet: SteppedFleet) -> None:
    """A job that ended in the queue leaves both lists."""
    fleet.broker.down = True
    job = fleet.enqueue().job
    fleet.app.jobs.cancel(job, by="ada", at=fleet.clock())
    fleet.broker.down = False
    fleet.clock.forward(UNCLAIMED_SECONDS)
    assert fleet.app.relay.relay().published == 0


def test_unreadable_record_does_not_stop_the_relay(fleet: SteppedFleet) -> None:
    """The jobs after it are published all the same."""
    fleet.broker.down = True
    broken, job = fleet.enqueue().job, fleet.enqueue().job
    fleet.broker.down = False
    fleet.redis.hset(fleet.app.keys.job(broken), "request", "{broken")
    fleet.clock.forward(PUBLISH_SECONDS)
    fleet.app.relay.relay()
    assert [sent[0] for sent in fleet.broker.sent] == [job]


def test_relay_of_a_large_outbox_goes_on_at_the_next_pass(fleet: SteppedFleet) -> None:
    """One pass takes a bounded number; the rest is not forgotten."""
    fleet.broker.down = True
    fleet.app.mailbox.enqueue_many([request() for _ in range(7)])
    fleet.broker.down = False
    fleet.clock.forward(PUBLISH_SECONDS)
    passes = [fleet.app.relay.relay(most=3).published for _ in range(4)]
    assert passes == [3, 3, 1, 0]


def test_two_relays_publish_each_job_once(fleet: SteppedFleet) -> None:
    """What one relay has taken the other leaves alone, until the first did not come to its end."""
    fleet.broker.down = True
    fleet.enqueue()
    fleet.broker.down = False
    fleet.clock.forward(PUBLISH_SECONDS)
    taken = fleet.app.job_store.take_outbox(10)
    assert len(taken) == 1
    assert fleet.app.relay.relay().published == 0
    fleet.clock.forward(PUBLISH_SECONDS)
    assert fleet.app.relay.relay().published == 1


@pytest.mark.parametrize("step", ["release_limited", "release_held", "take_unclaimed"])
def test_a_step_of_the_relay_that_fails_keeps_no_other_from_its_turn(
    fleet: SteppedFleet, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A mistake of ours in one of them must not stop all dispatch until somebody repairs it."""

    def fail(*_: object) -> None:
        message = "a script's mistake"
        raise redis.ResponseError(message)

    fleet.broker.down = True
    job = fleet.enqueue().job
    fleet.broker.down = False
    monkeypatch.setattr(fleet.app.job_store, step, fail)
    fleet.clock.forward(PUBLISH_SECONDS)
    assert fleet.app.relay.relay().published == 1
    assert [sent[0] for sent in fleet.broker.sent] == [job]
