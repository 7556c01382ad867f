"""Which connections are kept when there are too many: those that have sent what they came for.

A client that has sent its whole request is answered. One that has not, as it is slow or means harm, gives way
to those who come after it, so that however many hold connections open, the next one that asks is heard.
"""

import ipaddress
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class Phase(IntEnum):
    """What a connection waits for; the first gives way first."""

    HEADERS = 0  # a request: nothing of it has come, or not all of its headers
    BODY = 1  # the rest of a body
    ANSWER = 2  # our answer, or the client's reading it


@dataclass(slots=True, eq=False)
class OpenConnection:
    """One connection, as far as the choice needs it."""

    address: str  # of the client, as `origin` says it
    phase: Phase = Phase.HEADERS
    since: float = 0.0  # when the phase began, in seconds of any clock


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionLimits:
    """How many connections there are at once. What a client may take for each phase is in `PHASE_SECONDS`."""

    most: int = 500  # of all clients together
    of_address: int = 100  # of one client's address; 0: no limit but the one of all


def origin(address: str | None) -> str:
    """What counts as one client: an IPv4 address, or the /64 network that one IPv6 client has to itself."""
    try:
        parsed = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return address or ""
    if parsed.version == 4:  # noqa: PLR2004 - the version
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def one_to_close(
    connections: Iterable[OpenConnection], newest: OpenConnection, limits: ConnectionLimits
) -> OpenConnection | None:
    """The connection that gives way to the newest, which is one of them; None where there is room for all.

    Of one client that has too many, it is one of its own. Of all, it is one of the client that has most. The
    newest itself gives way where all others wait for their answers.
    """
    held = list(connections)
    same = [one for one in held if one.address == newest.address]
    if limits.of_address and len(same) > limits.of_address:
        return _least(same, newest)
    if len(held) <= limits.most:
        return None
    unfinished = [one for one in held if one.phase is not Phase.ANSWER and one is not newest]
    if not unfinished:
        return newest
    most_of, _ = Counter(one.address for one in unfinished).most_common(1)[0]
    return _least([one for one in unfinished if one.address == most_of], newest)


def _least(connections: Iterable[OpenConnection], newest: OpenConnection) -> OpenConnection:
    """The one that has sent least, and waits longest; never one that waits for its answer."""
    unfinished = [one for one in connections if one.phase is not Phase.ANSWER and one is not newest]
    return min(unfinished, key=lambda one: (one.phase, one.since), default=newest)
