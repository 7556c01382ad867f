"""What the store holds at the end of a run, read as it is stored: the checks know nothing of the product."""

import json
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import redis
from redis.exceptions import RedisError

from tests.chaos.fleet import ChaosFleet


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredEvent:
    """One entry of the stream of events."""

    id: str
    kind: str
    at: float  # seconds since the epoch
    subject: str
    data: Mapping[str, Any]

    @classmethod
    def parse(cls, identifier: str, fields: Mapping[str, str]) -> "StoredEvent":
        """An entry as the server answers it."""
        return cls(
            id=identifier, kind=fields["kind"], at=float(fields["at"]), subject=fields["subject"],
            data=json.loads(fields["data"]),
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredTrial:
    """A trial with its ledger."""

    fields: Mapping[str, str]
    dispatches: Sequence[Mapping[str, Any]]
    settlements: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Records:
    """Everything that the checks look at."""

    enqueued: Sequence[str]  # ids of jobs whose acceptance was acknowledged
    jobs: Mapping[str, Mapping[str, str]]
    events: Sequence[StoredEvent]
    trials: Mapping[str, StoredTrial]
    dead: frozenset[str] = frozenset()
    lists: Mapping[str, Sequence[str]] = field(default_factory=dict)  # what is still on a list of work
    overlaps: Sequence[str] = ()  # jobs of agents that found another agent of their job alive
    replays: Mapping[str, bool] = field(default_factory=dict)  # whether a trial's ledger gives its state

    def by_subject(self) -> dict[str, list[StoredEvent]]:
        """The events of each subject, in their order."""
        found: defaultdict[str, list[StoredEvent]] = defaultdict(list)
        for event in self.events:
            found[event.subject].append(event)
        return dict(found)


#: Lists on which no job may be when all is done.
WORK_LISTS = ("leases", "outbox", "unclaimed", "waiting", "held", "limited")


class EventFollower:
    """Reads the stream as it is written: the store keeps the last hundred thousand entries alone."""

    def __init__(self, fleet: ChaosFleet) -> None:
        self._fleet = fleet
        self.events: list[StoredEvent] = []
        self._last = "0-0"
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopped.is_set():
            with suppress(RedisError, OSError), self._fleet.admin() as admin:
                while not self._stopped.is_set():
                    if not self._read(admin):
                        self._stopped.wait(0.2)
            self._stopped.wait(0.2)

    def _read(self, admin: redis.Redis) -> bool:
        key = self._fleet.parts.keys("events")
        entries: Any = admin.xrange(key, min=f"({self._last}", count=2000)
        for identifier, fields in entries:
            self.events.append(StoredEvent.parse(identifier, fields))
            self._last = identifier
        return bool(entries)

    def stop(self) -> list[StoredEvent]:
        """The whole stream; nothing is written to it any more."""
        self._stopped.set()
        self._thread.join()
        with self._fleet.admin() as admin:
            while self._read(admin):
                pass
        return self.events


def left_on_lists(admin: redis.Redis, keys: Any) -> dict[str, list[str]]:
    """What is on the lists of work, by list; a list with nothing on it is left out."""
    found: dict[str, list[str]] = {}
    for name in WORK_LISTS:
        if members := [str(member) for member in admin.zrange(keys(name), 0, -1)]:
            found[name] = members
    return found


def read_records(
    fleet: ChaosFleet, events: Sequence[StoredEvent], enqueued: Sequence[str]
) -> Records:  # fmt: skip
    """Read the store."""
    keys = fleet.parts.keys
    with fleet.admin() as client:
        admin: Any = client  # the driver's types do not know what it decodes
        ids = sorted({*enqueued, *admin.zrange(keys("jobs"), 0, -1)})
        jobs = {job: fields for job in ids if (fields := admin.hgetall(keys.job(job)))}
        trials = {name: _trial(admin, keys, name) for name in sorted(_trials(events))}
        dead = frozenset(admin.zrange(keys("dead"), 0, -1))
        lists = left_on_lists(admin, keys)
    overlaps = fleet.folder / "overlaps"
    return Records(
        enqueued=enqueued, jobs=jobs, events=events, trials=trials, dead=dead, lists=lists,
        overlaps=overlaps.read_text().split() if overlaps.exists() else [],
        replays={name: _is_replayed(fleet, name) for name in trials},
    )  # fmt: skip


def _trials(events: Iterable[StoredEvent]) -> set[str]:
    return {str(event.data["trial"]) for event in events if event.kind == "candidate.canary_started"}


def _trial(admin: Any, keys: Any, name: str) -> StoredTrial:
    return StoredTrial(
        fields=admin.hgetall(keys.trial(name)),
        dispatches=[json.loads(line) for line in admin.lrange(keys.dispatches(name), 0, -1)],
        settlements=[json.loads(line) for line in admin.lrange(keys.settlements(name), 0, -1)],
    )


def _is_replayed(fleet: ChaosFleet, name: str) -> bool:
    harvester = fleet.parts.harvester
    trial = fleet.parts.trials.find(name)
    return bool(harvester.replayed(trial) == harvester.evidence(trial))
