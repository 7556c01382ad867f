"""Connections to Redis that wait a while for a server that is being restarted.

No command is ever sent twice by a connection: whether one that got no answer was carried out is for its
caller to find out. Errors note the server that they are about, for `faults`.

READONLY is another matter: the server is a replica that was the master, and did nothing. All connections that
were made before are left, new ones are made until one leads to a master, and the command is sent again.
"""

import time
from dataclasses import dataclass
from typing import Any

import redis
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.connection import (
    AbstractConnection,
    Connection,
    ConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ConnectionError,  # noqa: A004 - the driver's names
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,  # noqa: A004 - the driver's names
)
from redis.retry import Retry
from redis.sentinel import (
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)

from routing.store.redis.address import RedisAddress
from routing.store.redis.faults import CONNECTING_ATTRIBUTE, FAILOVER_ATTRIBUTE, PLACE_ATTRIBUTE

#: First and longest pause between two attempts to connect, in seconds.
FIRST_PAUSE_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 1.0


@dataclass(slots=True)
class _Shared:
    """What the connections of one pool know together. Written by any thread, and only ever grows."""

    demotions: int = 0  # answers READONLY; connections that were made before the last one are left


class _Patient(AbstractConnection):
    """Tries to connect again, with growing pauses, until `patience_seconds` are over.

    Only connecting is repeated. A command that was sent is not, because nobody knows whether it was carried
    out; its caller does, from the record that it wanted to change.
    """

    #: Whether another server may take the place of this one.
    fails_over = False

    def __init__(self, *, patience_seconds: float, place: str, shared: _Shared, **options: Any) -> None:
        super().__init__(**options)
        self._patience_seconds = patience_seconds
        self._place = place
        self._shared = shared
        self._made_after = 0  # demotions

    def connect(self) -> None:
        """Connect, and see that the server is done reading its data, and is a master if one was demoted."""
        if self.is_connected:
            if self._made_after == self._shared.demotions:
                return
            self.disconnect()  # type: ignore[no-untyped-call] # the driver's methods have no types
        self._made_after = self._shared.demotions
        try:
            self._connect_patiently()
        except RedisError as error:
            self._note(error)
            setattr(error, CONNECTING_ATTRIBUTE, True)
            raise

    def read_response(self, *arguments: Any, **options: Any) -> Any:
        """Read an answer; an error notes whose it was."""
        try:
            return super().read_response(*arguments, **options)
        except RedisError as error:
            # The driver's connection by Sentinel says that the connection was lost, in place of READONLY.
            if isinstance(error.__context__, ReadOnlyError):
                error = error.__context__
            if isinstance(error, ReadOnlyError):
                self._shared.demotions += 1
            self._note(error)
            raise error from None

    def _note(self, error: RedisError) -> None:
        setattr(error, PLACE_ATTRIBUTE, self._place)
        setattr(error, FAILOVER_ATTRIBUTE, self.fails_over)

    def _connect_patiently(self) -> None:
        deadline = time.monotonic() + self._patience_seconds
        backoff = ExponentialWithJitterBackoff(base=FIRST_PAUSE_SECONDS, cap=LONGEST_PAUSE_SECONDS)
        failures = 0
        while True:
            try:
                super().connect()  # type: ignore[no-untyped-call] # the driver's methods have no types
                self.send_command("PING", check_health=False)  # type: ignore[no-untyped-call] # the same
                super().read_response()
                if self._shared.demotions:
                    self._want_master()
            except (AuthenticationError, AuthorizationError):
                raise
            except (ConnectionError, TimeoutError, ReadOnlyError):
                self.disconnect()  # type: ignore[no-untyped-call] # the same
                failures += 1
                pause = backoff.compute(failures)
                if time.monotonic() + pause > deadline:
                    raise
                time.sleep(pause)
            else:
                return

    def _want_master(self) -> None:
        """Raise ReadOnlyError from a replica. A server that does not tell what it is counts as a master."""
        self.send_command("HELLO", check_health=False)  # type: ignore[no-untyped-call] # the same
        try:
            answer = super().read_response()
        except ResponseError:
            return
        if dict(zip(answer[::2], answer[1::2], strict=False)).get("role") in {"slave", "replica"}:
            raise ReadOnlyError("READONLY the server is a replica")


class _PatientTCP(_Patient, Connection):
    pass


class _PatientTLS(_Patient, SSLConnection):
    pass


class _PatientUnix(_Patient, UnixDomainSocketConnection):
    pass


class _PatientBySentinel(_Patient, SentinelManagedConnection):
    fails_over = True


class _PatientBySentinelTLS(_Patient, SentinelManagedSSLConnection):
    fails_over = True


class _Pool(ConnectionPool):
    """Hands out connections, and counts them for nobody.

    The driver's own notes each time for OpenTelemetry how many are in use, and for its plugins that one was
    released, which nothing here reads: that takes longer than to read an answer.
    """

    def get_connection(self, *_named: Any, **_options: Any) -> Any:
        """A connection that is open, with nothing left on it to be read."""
        self._checkpid()
        with self._lock:
            try:
                connection = self._available_connections.pop()
            except IndexError:
                connection = self.make_connection()
            self._in_use_connections.add(connection)
        try:
            connection.connect()
            if self._is_dirty(connection):
                connection.disconnect()
                connection.connect()
        except BaseException:
            self.release(connection)
            raise
        return connection

    def release(self, connection: Any) -> None:
        """Take a connection back; one that a forked child has of its parent is closed."""
        self._checkpid()
        with self._lock:
            if connection not in self._in_use_connections:
                return
            self._in_use_connections.remove(connection)
            if self.owns_connection(connection):
                self._available_connections.append(connection)
                return
        connection.disconnect()

    @staticmethod
    def _is_dirty(connection: Any) -> bool:
        """Whether the server has closed it, or an answer is left on it."""
        try:
            return bool(connection.can_read())
        except (ConnectionError, TimeoutError, OSError):
            return True


class _MasterClient(redis.Redis):
    """Sends a command again when a replica refused it: nothing was done there."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command and return its answer."""
        try:
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call] # the same
        except ReadOnlyError:
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call] # the same


def connect(
    url: str,
    *,
    patience_seconds: float = 5.0,
    socket_timeout_seconds: float = 10.0,
    connect_timeout_seconds: float = 3.0,
    health_check_seconds: float = 30.0,
    max_connections: int | None = None,
) -> redis.Redis:
    """A client with a pool of connections; safe to share between threads, opens nothing until it is used.

    `patience_seconds` bounds how long a call waits for a server that refuses connections or is reading its
    data; `socket_timeout_seconds` bounds each answer, so it must be longer than any blocking read.
    """
    address = RedisAddress.parse(url)
    options: dict[str, Any] = {
        "db": address.db,
        "username": address.username,
        "password": address.password,
        "decode_responses": True,
        "protocol": 2,  # the same shapes of answers from every server since 6.2, and no pushed messages
        "retry": Retry(NoBackoff(), 0),
        "patience_seconds": patience_seconds,
        "place": str(address),
        "shared": _Shared(),
        "socket_timeout": socket_timeout_seconds,
        "socket_connect_timeout": connect_timeout_seconds,
        "health_check_interval": health_check_seconds,
        "max_connections": max_connections,
    }
    return _MasterClient.from_pool(_pool(address, options | address.tls_options()))


def _pool(address: RedisAddress, options: dict[str, Any]) -> ConnectionPool:
    if address.by_sentinel:
        return _sentinel_pool(address, options)
    if address.path:
        return _Pool(connection_class=_PatientUnix, path=address.path, **options)
    host, port = address.hosts[0]
    kind = _PatientTLS if address.uses_tls else _PatientTCP
    return _Pool(connection_class=kind, host=host, port=port, **options)


def _sentinel_pool(address: RedisAddress, options: dict[str, Any]) -> ConnectionPool:
    sentinel = Sentinel(  # type: ignore[no-untyped-call] # the driver's class has no types
        list(address.hosts),
        sentinel_kwargs=address.sentinel_options()
        | {
            "socket_timeout": options["socket_connect_timeout"],
            "socket_connect_timeout": options["socket_connect_timeout"],
            "retry": Retry(NoBackoff(), 0),
        },
    )
    kind = _PatientBySentinelTLS if address.uses_tls else _PatientBySentinel
    return SentinelConnectionPool(  # type: ignore[no-untyped-call] # the same
        address.service, sentinel, connection_class=kind, **options
    )
