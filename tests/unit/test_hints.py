"""Messages in hand when the server is lost: they go back to their queue when it is there again."""

from typing import Any

import pytest

from tasks.broker_connection import FewClients, HintQoS, put_back


class StoredQueue:
    """A channel, as far as messages go back to it; lost until it is connected."""

    do_restore = True

    def __init__(self, *, is_lost: bool = False) -> None:
        self.is_lost = is_lost
        self.restored: list[Any] = []

    def _restore(self, message: Any) -> None:
        if self.is_lost:
            raise ConnectionError
        self.restored.append(message)


def held(channel: Any, *messages: Any) -> HintQoS:
    """A worker that holds some messages of a channel."""
    qos = HintQoS(channel)
    for number, message in enumerate(messages):
        qos.append(message, str(number))
    return qos


def test_what_a_worker_holds_goes_back_to_its_queue() -> None:
    """At once, while the server is there; nothing is left over for another connection."""
    channel, after, message = StoredQueue(), StoredQueue(), object()
    held(channel, message).restore_unacked()
    put_back(after)
    assert (channel.restored, after.restored) == ([message], [])


class PickyQueue(StoredQueue):
    """A channel that stumbles over one message."""

    poison: object = None

    def _restore(self, message: Any) -> None:
        if message is self.poison:
            raise TypeError("it has no headers")
        super()._restore(message)


def test_a_message_that_nobody_can_put_back_keeps_no_other() -> None:
    """It is left to the sweep; else each new connection would fail at it, for ever."""
    messages = [object(), object()]
    held(StoredQueue(is_lost=True), *messages).restore_unacked()
    after = PickyQueue()
    after.poison = messages[0]
    put_back(after)
    assert after.restored == messages[1:]


def test_what_cannot_go_back_waits_for_the_next_connection() -> None:
    """Each message once, also where the next connection is lost in the middle of it."""
    lost, messages = StoredQueue(is_lost=True), [object(), object()]
    held(lost, *messages).restore_unacked()
    with pytest.raises(ConnectionError):
        put_back(lost)
    after = StoredQueue()
    put_back(after)
    put_back(after)
    assert sorted(map(id, after.restored)) == sorted(map(id, messages))


class ClientOf:
    """A client, as far as it has a pool of connections."""

    def __init__(self, pool: object) -> None:
        self.connection_pool = pool


class PooledChannel:
    """A channel that makes a client whenever it is asked, and another pool after a lost connection."""

    def __init__(self) -> None:
        self.pool = object()

    def _create_client(self, asynchronous: bool = False) -> ClientOf:  # noqa: FBT001, FBT002 - kombu's
        return ClientOf("its own" if asynchronous else self.pool)

    def publishes_with(self, *, waits: bool = False) -> ClientOf:
        """The client for a message, or for one who waits for messages."""
        return self._create_client(waits)


class FrugalChannel(FewClients, PooledChannel):
    """The same, with few clients."""


def test_what_is_published_goes_by_one_client() -> None:
    """As long as its pool of connections is the channel's; who waits for messages has another one each."""
    channel = FrugalChannel()
    first = channel.publishes_with()
    assert channel.publishes_with() is first
    assert channel.publishes_with(waits=True) is not channel.publishes_with(waits=True)
    channel.pool = object()
    assert channel.publishes_with().connection_pool is channel.pool
