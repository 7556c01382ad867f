"""The connection to a Redis broker, for messages that are hints.

A message holds a job's id and nothing else. The job itself, and who may work on it, is in the store: a
message that is lost is published again by the sweep, and a second one finds the job taken. So a message needs
no acknowledgement that outlives its worker, and kombu's own is switched off: two round trips a message, and a
copy of it beside the queue that comes back after the visibility timeout.

With it goes a fault of Celery 5.7 with kombu 5.7: when the server is lost while a worker holds a message that
is not acknowledged, the channel is closed twice, and the second time puts the message back through a client
that is no longer there. That ended the worker for good.

What a worker holds when it shuts down, or loses its connection, goes back to its queue: at once, or when it
is connected again (`put_back`). What is lost all the same is left to the sweep. Other brokers than Redis keep
their own ways.

Commands to workers, and events, are asked for by the exact name of their channel. kombu asks for patterns
(PSUBSCRIBE), and Redis lets a user with `&coalmine:*` do that only for that very pattern. Events go to one
channel for that, rather than one for each kind; who reads them picks out what it wants, as before. They go to
the channel of their kind as well, in the same round trip: exporters and others that use kombu as it is hear
them there.

An event is tried once. Celery has a heartbeat tried again for as long as the server refuses it, in the thread
that takes messages: the worker learned of no other fault meanwhile, and could not be shut down.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

import structlog
from celery.app.amqp import AMQP
from celery.app.events import Events
from celery.events.dispatcher import EventDispatcher
from kombu import Connection
from kombu.transport import redis, virtual
from kombu.transport.base import Transport
from kombu.utils.json import dumps
from redis.exceptions import RedisError

from tasks.places import Places

_log = structlog.get_logger(__name__)

#: Seconds after which an answer counts as lost; longer than the second for which a message is waited for.
ANSWER_SECONDS = 10.0

#: Seconds to make a connection.
CONNECT_SECONDS = 3.0

#: Seconds of silence after which a connection is tried before it is trusted.
SILENCE_SECONDS = 5


#: Messages that this process could not put back, as the server was away; the latest of them.
_LEFT: deque[Any] = deque(maxlen=1000)


class HintQoS(virtual.QoS):
    """Counts the messages that a worker holds, in its memory alone."""

    #: Of the worker whose messages these are; None for commands, events, and all who do not work.
    places: Places | None = None

    def can_consume(self) -> bool:
        """Whether another message may be taken now."""
        if self.places is not None and self.places.is_full():
            return False
        return bool(super().can_consume())

    def restore_unacked(self) -> Any:
        """Put back what the worker holds; reports no failure, for which kombu would write a file."""
        failures: Any = super().restore_unacked()  # pairs of error and message
        _LEFT.extend(message for _, message in failures)
        return []


class FewClients:
    """Comes before a Redis channel of kombu's among the bases of a class: it publishes with one client.

    kombu's makes a new one for each message, which takes longer than to send it. A client keeps nothing but
    its pool of connections, so threads may share it.
    """

    _publisher: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:  # noqa: FBT001, FBT002 - kombu's
        """The client of the pool; another one for those who wait for messages, which keep a connection."""
        ours: Any = super()
        if asynchronous:
            return ours._create_client(asynchronous)  # noqa: SLF001 - kombu's
        here: Any = self
        if self._publisher is None or self._publisher.connection_pool is not here.pool:
            self._publisher = ours._create_client()  # noqa: SLF001 - kombu's
        return self._publisher


class ExactTopics:
    """Comes before a Redis channel of kombu's among the bases of a class."""

    def _get_publish_topics(self, exchange: str, routing_key: str) -> list[str]:
        """The one channel of a broadcast, and the one on which kombu's own receivers hear it."""
        ours: Any = self
        topic = f"{ours.keyprefix_fanout}{exchange}"
        return [topic, f"{topic}/{routing_key}"] if routing_key else [topic]

    def _get_subscribe_topics(self, queue: str) -> list[str]:
        """The one channel of the broadcast that a queue is bound to."""
        ours: Any = self
        exchange, _routing_key = ours._fanout_queues[queue]  # noqa: SLF001 - kombu's
        return [f"{ours.keyprefix_fanout}{exchange}"]

    def _put_fanout(self, exchange: str, message: Any, routing_key: str, **kwargs: Any) -> None:
        """Publish a broadcast, to all its channels in one round trip."""
        ours: Any = self
        if kwargs.get("_publish_batch") is not None:
            ours_put: Any = super()
            ours_put._put_fanout(exchange, message, routing_key, **kwargs)  # noqa: SLF001 - kombu's
            return
        text = dumps(message)
        with ours.conn_or_acquire() as client, client.pipeline(transaction=False) as several:
            for topic in self._get_publish_topics(exchange, routing_key):
                several.publish(topic, text)
            several.execute()

    def _subscribe(self) -> None:
        """Ask for the channels of all broadcasts that are consumed."""
        ours: Any = self
        topics = [
            topic
            for queue in ours.active_fanout_queues
            for topic in ours._get_subscribe_topics(queue)  # noqa: SLF001 - kombu's
        ]
        if not topics:
            return
        client = ours.subclient
        if not client.connection.is_connected:
            client.connection.connect()
        ours._in_listen = client.connection  # noqa: SLF001 - kombu's
        client.subscribe(*topics)

    def _unsubscribe_from(self, queue: str) -> None:
        """Ask for the channels of a broadcast no longer."""
        ours: Any = self
        client = ours.subclient
        if client.connection and client.connection.is_connected:
            client.unsubscribe(*ours._get_subscribe_topics(queue))  # noqa: SLF001 - kombu's


class HintChannel(FewClients, ExactTopics, redis.Channel):
    """A channel whose messages are taken from their queue for good."""

    ack_emulation = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.QoS: Any = HintQoS  # kombu's constructor has set its own


class HintSentinelChannel(FewClients, ExactTopics, redis.SentinelChannel):
    """The same where Sentinels say which server is the master."""

    ack_emulation = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.QoS: Any = HintQoS  # kombu's constructor has set its own


#: What a refusal and a broken line have in common for those who wait for messages: they connect again.
_LOST: tuple[type[Exception], ...] = (*redis.Transport.connection_errors, RedisError)


def put_back(channel: Any) -> None:
    """Put back what could not be, on the channel of a new connection. What the server says is raised.

    A message that cannot be put back for another reason is left to the sweep.
    """
    while _LEFT:
        try:
            channel._restore(_LEFT[0])  # noqa: SLF001 - kombu has no other name for it
        except _LOST:
            raise
        except Exception as error:  # noqa: BLE001 - one message must not keep the others, and the worker
            _log.warning("message.not_put_back", reason=repr(error))
        _LEFT.popleft()


class HintTransport(redis.Transport):
    """Redis, with channels for hints."""

    Channel = HintChannel
    connection_errors = _LOST


class HintSentinelTransport(redis.SentinelTransport):
    """Redis by Sentinel, with channels for hints."""

    Channel = HintSentinelChannel
    connection_errors = _LOST


#: kombu's transports and ours in their place.
_IN_PLACE_OF: dict[type[Transport], type[Transport]] = {
    redis.Transport: HintTransport,
    redis.SentinelTransport: HintSentinelTransport,
}


class HintConnection(Connection):
    """A connection that keeps the address's own scheme, as Flower and logs show it."""

    def get_transport_cls(self) -> type[Transport]:
        """Our transport where kombu has one for Redis, else kombu's."""
        found: type[Transport] = super().get_transport_cls()
        return _IN_PLACE_OF.get(found, found)


class HintAMQP(AMQP):
    """What the Celery application makes its connections with: see `celery.Celery(amqp=…)`."""

    Connection = HintConnection


class HintDispatcher(EventDispatcher):
    """Sends a worker's events; a heartbeat that cannot be sent is a connection that is lost."""

    def _publish(self, event: Any, producer: Any, routing_key: str, **options: Any) -> None:
        """Try once. Raises ConnectionError for a heartbeat, on which the worker connects again.

        Celery asks for more tries (`retry`) only for heartbeats. Other events wait for the next connection.
        """
        is_heartbeat = options.pop("retry", False)
        waiting: deque[Any] = self._outbound_buffer  # type: ignore[attr-defined] # not in the stubs of Celery
        before = len(waiting)
        publish: Callable[..., None] = super()._publish  # type: ignore[misc] # nor is this
        publish(event, producer, routing_key, **options)
        if is_heartbeat and len(waiting) > before:
            waiting.pop()  # nobody wants an old one
            message = "an event could not be sent to the broker"
            raise ConnectionError(message)

    def extend_buffer(self, other: Any) -> None:
        """Take over what another dispatcher has not sent: events of tasks, too, which wait for others."""
        super().extend_buffer(other)
        for group, events in other._group_buffer.items():  # noqa: SLF001 - Celery's own takes the rest so
            self._group_buffer[group].extend(events)  # type: ignore[attr-defined] # not in the stubs


class HintEvents(Events):
    """What the Celery application sends its events with: see `celery.Celery(events=…)`."""

    dispatcher_cls: Any = HintDispatcher
