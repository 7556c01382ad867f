"""What a channel of a Redis broker does in a fleet's own way, whether one server is named or Sentinels are.

- **Exact names of channels.** kombu asks for patterns (PSUBSCRIBE) even where it wants one channel, and Redis
  lets a user with `&coalmine:*` do that only for that very pattern. We ask for the names. Events go to one
  channel for that, rather than one for each kind; who reads them picks out what it wants, as before.
- **A demoted master is left.** A server that answers READONLY was the master once. kombu would keep the
  connection, and so be refused for good; we drop it, so that the next one finds the new master.
"""

from functools import cache
from typing import Any

from redis.exceptions import ReadOnlyError


class _LeavesReplicas:
    """A connection of redis-py that closes itself when the server turns out to be a replica."""

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        """Read an answer; after READONLY the next command makes a new connection."""
        beyond: Any = super()
        try:
            return beyond.read_response(*args, **kwargs)
        except ReadOnlyError:
            ours: Any = self
            ours.disconnect()
            raise


@cache
def _leaving(kind: type) -> type:
    """Connections of a kind that leave replicas."""
    return type("LeavesReplicas", (_LeavesReplicas, kind), {})


class FleetChannel:
    """Comes before a Redis channel of kombu's among the bases of a class; changes what is said above."""

    #: kombu: one channel for all events, rather than one for each kind.
    fanout_patterns = False

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 - kombu's
        beyond: Any = super()
        parameters: dict[str, Any] = beyond._connparams(asynchronous)  # noqa: SLF001 - we extend it
        kind = parameters["connection_class"]
        # kombu makes a class for each channel that it waits with; keeping those would keep the channels.
        make = _leaving.__wrapped__ if asynchronous else _leaving
        return parameters | {"connection_class": make(kind)}

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
