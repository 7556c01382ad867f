"""Which fault happens when: drawn from a seed, each alone at first and then several at once. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random


class Fault(StrEnum):
    """What is done to a fleet; `Doing` in `faults` says how."""

    WORKER_KILLED = "worker killed"
    WORKER_FROZEN = "worker frozen past its lease"
    BEAT_KILLED = "beat killed"
    WEB_KILLED = "web killed"
    AGENT_KILLED = "agent killed"
    SERVER_KILLED = "server killed"
    SERVER_STOPPED = "server stopped and started"
    SERVER_PAUSED = "server paused"
    CONNECTIONS_CUT = "connections cut"
    MESSAGES_DOUBLED = "messages doubled"
    MESSAGES_DROPPED = "messages dropped"
    MESSAGES_REORDERED = "messages reordered"
    PUBLISHING_FAILS = "publishing fails"
    FORGE_DOWN = "forge down"
    FORGE_SLOW = "forge slow"
    FORGE_TALKS_NONSENSE = "forge talks nonsense"
    DISK_FULL = "disk full"
    RIVAL_TICKS = "ticks without their lock"


#: Of faults that last, the shortest and the longest in seconds; a frozen worker outlasts its lease.
DURATIONS = {
    Fault.SERVER_STOPPED: (0.5, 4.0),
    Fault.SERVER_PAUSED: (2.0, 20.0),
    Fault.MESSAGES_DROPPED: (0.5, 2.5),
    Fault.PUBLISHING_FAILS: (3.0, 8.0),
    Fault.FORGE_DOWN: (3.0, 10.0),
    Fault.FORGE_SLOW: (3.0, 10.0),
    Fault.FORGE_TALKS_NONSENSE: (3.0, 10.0),
    Fault.DISK_FULL: (3.0, 8.0),
    Fault.RIVAL_TICKS: (4.0, 8.0),
}

#: How often a fault is drawn beside the others.
WEIGHTS = {Fault.WORKER_KILLED: 4, Fault.WORKER_FROZEN: 2, Fault.AGENT_KILLED: 2, Fault.MESSAGES_DOUBLED: 3,
           Fault.MESSAGES_DROPPED: 3, Fault.MESSAGES_REORDERED: 2}  # fmt: skip

#: Faults that leave no server; two of them at once are one.
SERVER_FAULTS = frozenset({Fault.SERVER_KILLED, Fault.SERVER_STOPPED, Fault.SERVER_PAUSED})


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedFault:
    """One fault of a run."""

    fault: Fault
    at: float  # seconds since the faults began
    seconds: float  # that it lasts; 0 for one that is over at once
    luck: float  # in [0,1): which worker, which messages


def plan(
    seed: int, *, seconds: float, lease_seconds: float, faults: Sequence[Fault] = tuple(Fault),
    alone: float = 0.4, gap_seconds: float = 1.5,
) -> list[PlannedFault]:  # fmt: skip
    """The faults of a run of so many seconds.

    In the first part, `alone` of the time, each fault happens once, in random order, one after the other. In
    the rest they are drawn at random, every `gap_seconds` on average, so that they overlap. The same
    arguments give the same plan.
    """
    random = Random(seed)
    if not faults:
        return []
    shuffled = random.sample(list(faults), len(faults))
    step = seconds * alone / len(shuffled)
    planned = [_drawn(random, fault, place * step, lease_seconds) for place, fault in enumerate(shuffled)]
    at = seconds * alone
    weights = [WEIGHTS.get(fault, 1) for fault in faults]
    while (at := at + random.expovariate(1 / gap_seconds)) < seconds:
        (fault,) = random.choices(list(faults), weights)
        planned.append(_drawn(random, fault, at, lease_seconds))
    return planned


#: Seconds that a fleet has, after a lease, to be at work again before the next faults of `together`.
REST_SECONDS = 10.0

#: Seconds within which faults begin that happen together.
NEAR_SECONDS = 2.0


def together(
    seed: int, *, seconds: float, lease_seconds: float, faults: Sequence[Fault]
) -> list[PlannedFault]:
    """All of some faults within a moment, again and again, with time between for the fleet to be well."""
    random, at, planned = Random(seed), 0.0, list[PlannedFault]()
    while at < seconds:
        begun = [
            _drawn(random, fault, at + random.uniform(0, NEAR_SECONDS), lease_seconds) for fault in faults
        ]
        planned += sorted(begun, key=lambda each: each.at)
        at = max(each.at + each.seconds for each in begun) + lease_seconds + REST_SECONDS
    return planned


def _drawn(random: Random, fault: Fault, at: float, lease_seconds: float) -> PlannedFault:
    shortest, longest = DURATIONS.get(fault, (0.0, 0.0))
    if fault is Fault.WORKER_FROZEN:
        shortest, longest = lease_seconds + 1, lease_seconds + 6
    return PlannedFault(fault=fault, at=at, seconds=random.uniform(shortest, longest), luck=random.random())
