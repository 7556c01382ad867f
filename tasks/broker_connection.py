"""The connection to a Redis broker, for messages that are hints.

A message holds a job's id and nothing else. The job itself, and who may work on it, is in the store: a
message that is lost is published again by the sweep, and a second one finds the job taken. So a message needs
no acknowledgement that outlives its worker, and kombu's own is switched off: two round trips a message, and a
copy of it beside the queue that comes back after the visibility timeout.

With it goes a fault of Celery 5.7 with kombu 5.7: when the server is lost while a worker holds a message that
is not acknowledged, the channel is closed twice, and the second time puts the message back through a client
that is no longer there. That ended the worker for good.

What a worker holds when it shuts down goes back to its queue; what cannot be put back, because the server is
away, is left to the sweep. Other brokers than Redis keep their own ways.
"""

from typing import Any

from celery.app.amqp import AMQP
from kombu import Connection
from kombu.transport import redis, virtual
from kombu.transport.base import Transport
from redis.exceptions import RedisError

from tasks.broker_channel import FleetChannel

#: Seconds after which an answer counts as lost; longer than the second for which a message is waited for.
ANSWER_SECONDS = 10.0

#: Seconds to make a connection.
CONNECT_SECONDS = 3.0

#: Seconds of silence after which a connection is tried before it is trusted.
SILENCE_SECONDS = 5


class HintQoS(virtual.QoS):
    """Counts the messages that a worker holds, in its memory alone."""

    def restore_unacked(self) -> Any:
        """Put back what the worker holds; reports no failure, for which kombu would write a file."""
        super().restore_unacked()
        return []


class HintChannel(FleetChannel, redis.Channel):
    """A channel whose messages are taken from their queue for good."""

    ack_emulation = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.QoS: Any = HintQoS  # kombu's constructor has set its own


class HintSentinelChannel(FleetChannel, redis.SentinelChannel):
    """The same where Sentinels say which server is the master."""

    ack_emulation = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.QoS: Any = HintQoS  # kombu's constructor has set its own


#: What a refusal and a broken line have in common for those who wait for messages: they connect again.
_LOST: tuple[type[Exception], ...] = (*redis.Transport.connection_errors, RedisError)


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
