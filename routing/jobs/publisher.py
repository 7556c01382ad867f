"""Publishing a job's message to the broker. A message carries the job's id, and a header for monitors.

Any broker that Celery speaks to will do. Where it is the store's own server, the message is prepared here
and pushed by the step that accepts the job: that saves a round trip, and no record is without its message.
What a worker reads into it anyway is left out then: the server copies, keeps and writes each byte.
"""

import base64
import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import count
from typing import Any, Protocol

from celery import Celery
from kombu import Connection
from kombu.exceptions import ChannelError, KombuError, OperationalError
from kombu.transport.redis import Channel
from redis.exceptions import RedisError

from routing.errors import UnavailableError
from routing.jobs.job import Priority

#: Broker priorities; the Redis transport serves 0 first. These are kombu's default steps.
PRIORITY_STEPS = {Priority.URGENT: 0, Priority.HIGH: 3, Priority.NORMAL: 6, Priority.LOW: 9}

#: What a transport raises, wrapped by kombu or not.
_FAULTS = (KombuError, OperationalError, ChannelError, OSError, RedisError)

#: Stand for the ids of the job and of its task in a prepared message; neither is part of the other.
_JOB, _TASK = "0123456789abcdef", "fedcba9876543210-00000000"

#: Stands for what monitors show of the job.
_SHOWN = "@shown@"

#: What monitors show of a job about which nothing is said.
NOTHING = "{}"

#: Values of headers that Celery's workers read where a header is missing.
UNSAID: tuple[Any, ...] = (None, 0, {}, [None, None])

#: Properties that are for those who wait for a result, or that nobody reads.
UNUSED = ("reply_to", "kwargsrepr")


@lru_cache(maxsize=1024)  # most jobs of a while are of few versions, and many are about no issue
def shown(*, issue: str, version: str, arm: str | None) -> str:
    """What Flower and the like show of a job, beside its id; workers do not read it, they read the record.

    The version is the one that was drawn: a job whose canary is rejected meanwhile runs the champion.
    """
    return repr({"issue": issue or "none", "version": version, "arm": str(arm or "none")})


def new_suffixes() -> Callable[[], str]:
    """Return a source of suffixes that no other process has: 32 random bits in hex, and a number."""
    ours, numbers = os.urandom(4).hex(), count(1)
    return lambda: f"{ours}{next(numbers):x}"


def _job_of(text: str | bytes) -> str:
    """The job that a message is about, by its task's id; "" for one that is not ours."""
    try:
        task = json.loads(text)["headers"]["id"]
        return str(task).partition("-")[0]
    except (ValueError, KeyError, TypeError):
        return ""


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


@lru_cache(maxsize=1024)
def _within_json(text: str) -> str:
    """A text as it stands within one of JSON."""
    return json.dumps(text)[1:-1]


class Publisher(Protocol):
    """How messages reach the broker."""

    def publish(self, job: str, queue: str, priority: Priority, *, shown: str = NOTHING) -> None:
        """Publish one message, or raise UnavailableError. `shown` is what monitors show of the job."""

    def depth(self, queue: str) -> int:
        """Messages that wait in a queue of the broker, or raise UnavailableError."""

    def depths(self, queues: Sequence[str]) -> dict[str, int]:
        """The same of several queues, over one connection."""

    def heads(self, queue: str) -> Mapping[Priority, str] | None:
        """The job whose message is taken next, of each priority in which messages wait in a queue.

        None: the broker does not show it. Raises UnavailableError.
        """

    def prepared(
        self, job: str, queue: str, priority: Priority, *, shown: str = NOTHING
    ) -> tuple[str, str] | None:
        """List and text to push when the broker is the store's own server, else None."""


class CeleryPublisher:
    """Publishes with Celery and kombu, or hands out messages that kombu prepared.

    Each publication of a job is a task of its own, `JOB-SUFFIX`: Celery's workers remember the ids of tasks
    that were revoked for hours, and would drop every later message of the same id.
    """

    def __init__(
        self, app: Celery, *, task: str, broker_is_store: bool, prefix: str = "",
        suffixes: Callable[[], str] | None = None,
    ) -> None:  # fmt: skip
        self._app = app
        self._task = task
        self._broker_is_store = broker_is_store
        self._prefix = prefix  # the broker's own key prefix
        self._suffixes = suffixes or new_suffixes()
        self._prepared: dict[tuple[str, Priority], tuple[str, list[str], str]] = {}
        self._preparing = threading.Lock()  # kombu's memory transport has one set of queues a process

    def publish(self, job: str, queue: str, priority: Priority, *, shown: str = NOTHING) -> None:
        """Publish one message with Celery, on any broker that it speaks to."""
        try:
            self._send(job, f"{job}-{self._suffixes()}", queue, priority, shown=shown)
        except _FAULTS as error:
            message = f"the message of job {job} could not be published to {queue}: {error}; the relay will"
            raise UnavailableError(message) from error

    def depth(self, queue: str) -> int:
        """Messages that wait in a queue, which is declared as a worker does if it is not there (yet)."""
        return self.depths([queue])[queue]

    def depths(self, queues: Sequence[str]) -> dict[str, int]:
        """The same of several: to connect costs far more than to ask."""
        found: dict[str, int] = {}
        try:
            with self._app.connection_for_write() as connection:
                channel: Any = connection.default_channel
                for queue in queues:
                    # Not passive: with a key prefix kombu's Redis transport reports every queue as missing.
                    name = self._app.amqp.queues[queue].name  # with the namespace where the broker needs it
                    declared = channel.queue_declare(name, durable=True, exclusive=False, auto_delete=False)
                    found[queue] = int(declared.message_count)
        except _FAULTS as error:
            message = f"the broker did not say how many messages wait in {', '.join(queues)}: {error}"
            raise UnavailableError(message) from error
        return found

    def heads(self, queue: str) -> Mapping[Priority, str] | None:
        """Of a Redis broker, by a look at the end of its lists from which workers take."""
        try:
            with self._app.connection_for_write() as connection:
                channel: Any = connection.default_channel
                if not isinstance(channel, Channel):
                    return None
                name = self._app.amqp.queues[queue].name
                keys = [self._list(channel, name, step) for step in PRIORITY_STEPS.values()]
                with channel.client.pipeline(transaction=False) as pipeline:
                    for key in keys:
                        pipeline.lrange(key, -1, -1)
                    found = pipeline.execute()
        except _FAULTS as error:
            message = f"the broker did not say which message of {queue} is next: {error}"
            raise UnavailableError(message) from error
        waiting = zip(PRIORITY_STEPS, found, strict=True)
        return {priority: _job_of(texts[0]) for priority, texts in waiting if texts}

    @staticmethod
    def _list(channel: Any, name: str, step: int) -> str:
        """The key of a list; kombu's own client puts no prefix before that of LRANGE."""
        return f"{channel.global_keyprefix}{channel._q_for_pri(name, step)}"  # noqa: SLF001 - kombu's

    def prepared(
        self, job: str, queue: str, priority: Priority, *, shown: str = NOTHING
    ) -> tuple[str, str] | None:
        """The broker's list and the message's text, made from one that kombu prepared for this queue."""
        if not self._broker_is_store:
            return None
        key, envelope, body = self._prepared.get((queue, priority)) or self._prepare(queue, priority)
        encoded = base64.b64encode(body.replace(_JOB, job).encode()).decode()
        text = f"{job}-{self._suffixes()}".join(envelope)
        return key, text.replace(_JOB, job).replace("@body@", encoded).replace(_SHOWN, _within_json(shown))

    def _send(
        self, job: str, task: str, queue: str, priority: Priority, *, shown: str,
        connection: Connection | None = None,
    ) -> None:  # fmt: skip
        self._app.send_task(
            self._task,
            args=[job],
            task_id=task,
            queue=queue,
            priority=PRIORITY_STEPS[priority],
            kwargsrepr=shown,
            ignore_result=True,
            connection=connection,
            retry=False,
        )

    def _prepare(self, queue: str, priority: Priority) -> tuple[str, list[str], str]:
        """Let kombu publish to memory once; keep the list, the message between its task's ids, the body."""
        with self._preparing, Connection("memory://") as connection:
            self._send(_JOB, _TASK, queue, priority, shown=_SHOWN, connection=connection)
            channel: Any = connection.default_channel
            message = channel._get(queue)  # noqa: SLF001  # the reading side of kombu's memory transport
        positional, named, _embedded = json.loads(base64.b64decode(message["body"]))
        body = _compact([positional, named, {}])  # no callbacks, no chord
        headers = {name: value for name, value in message["headers"].items() if value not in UNSAID}
        properties = {name: value for name, value in message["properties"].items() if name not in UNUSED}
        properties["delivery_tag"] = _TASK  # unique, as each publication's is
        envelope = _compact(message | {"body": "@body@", "headers": headers, "properties": properties})
        made = (self._key(queue, PRIORITY_STEPS[priority]), envelope.split(_TASK), body)
        self._prepared[queue, priority] = made
        return made

    def _key(self, queue: str, step: int) -> str:
        return f"{self._prefix}{queue}{Channel.sep}{step}" if step else f"{self._prefix}{queue}"
