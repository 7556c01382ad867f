"""Reads all that a fleet keeps, key by key, as entries of an export."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import ResponseError

from routing.errors import ConflictError
from routing.store.archive.key_kinds import KINDS, KeyKind, KeyType, kind_of
from routing.store.archive.line import (
    MOST_PARTS,
    Entry,
    HashEntry,
    ListEntry,
    StreamEntry,
    StringEntry,
    ZsetEntry,
)
from routing.store.archive.put_back import is_put_back, outbox_of, put_back, sink_place
from routing.store.redis.faults import redis_errors
from routing.store.redis.store import Store

#: Keys that one round trip reads.
_BATCH = 200


@dataclass(kw_only=True)
class ReadCounts:
    """What an export found."""

    keys: dict[str, int] = field(default_factory=dict)  # of each kind that was exported, by its pattern
    put_back: list[str] = field(default_factory=list)  # jobs that ran
    unknown: list[str] = field(default_factory=list)  # keys that are not ours, or damaged: left out


class ArchiveReader(Store):
    """Nothing is written.

    Reading is not one step. But each change of state is an event in the same step: where the newest one is
    the same before and after, nothing changed meanwhile.
    """

    def _newest_event(self) -> str:
        """The id of the last event, "" before the first one."""
        with redis_errors("reading events"):
            newest = self.redis.xrevrange(self.keys("events"), count=1)
        return newest[0][0] if newest else ""

    def entries(self, counts: ReadCounts) -> Iterator[Entry]:
        """Everything that is exported, in the order of the kinds; `counts` is filled meanwhile.

        Ends with a ConflictError when the fleet changed while it was read: nothing of it may be used then.
        """
        before = self._newest_event()
        found: dict[KeyKind, list[str]] = {}
        for name in self._names():
            kind = kind_of(name)
            if kind is None:
                counts.unknown.append(name)
            elif not kind.left_out:
                found.setdefault(kind, []).append(name)
        now = self.now()
        running: dict[str, float] = {}
        for kind in KINDS:
            for entry in self._of_kind(kind, sorted(found.get(kind, [])), counts):
                yield from self._as_exported(kind, entry, running, counts, now=now)
        yield from self._outbox(running, now=now)
        counts.put_back.extend(running)
        if self._newest_event() != before:
            message = (
                "the fleet changed while it was exported; no file was written: pause dispatch (coalmine "
                "pause), wait until no agent is at work, and export again"
            )
            raise ConflictError(message)

    def _names(self) -> list[str]:
        """All keys of the namespace without it."""
        prefix = self.keys("")
        with redis_errors("listing keys"):
            return sorted({name.removeprefix(prefix) for name in self.redis.scan_iter(f"{prefix}*", 1000)})

    def _as_exported(
        self, kind: KeyKind, entry: Entry, running: dict[str, float], counts: ReadCounts, *, now: float
    ) -> Iterator[Entry]:
        """An entry, with what somebody is at given back. Lists of that are written apart."""
        if kind.pattern == "job:*" and isinstance(entry, HashEntry) and is_put_back(entry.value):
            running[entry.key.removeprefix("job:")] = now
            entry = entry.model_copy(update={"value": put_back(entry.value, now=now)})
        elif kind.pattern == "notify:*" and isinstance(entry, HashEntry):
            entry = entry.model_copy(update={"value": sink_place(entry.value, gone=self._events_gone())})
        elif kind.pattern == "outbox":
            return
        elif kind.pattern == "leases" and isinstance(entry, ZsetEntry):
            ended = [(job, now) for job, _ in entry.value if job not in running]
            entry = entry.model_copy(update={"value": ended})
            if not ended:
                return
        if entry.part == 0:
            counts.keys[kind.pattern] = counts.keys.get(kind.pattern, 0) + 1
        yield entry

    def _outbox(self, running: dict[str, float], *, now: float) -> Iterator[Entry]:
        with redis_errors("reading the outbox"):
            waiting, published = (
                dict(self.redis.zrange(self.keys(index), 0, -1, withscores=True))
                for index in ("outbox", "unclaimed")
            )
        members = list(outbox_of(waiting, published, running, now=now).items())
        for part, slice_ in enumerate(_sliced(members)):
            yield ZsetEntry(key="outbox", part=part, value=slice_)

    def _events_gone(self) -> int:
        """Events that were written and are trimmed: a server that gets the others does not count them."""
        try:
            with redis_errors("reading events"):
                known = self.redis.xinfo_stream(self.keys("events"))
        except ResponseError:  # nothing was ever written
            return 0
        return int(known.get("entries-added") or known["length"]) - int(known["length"])

    def _of_kind(self, kind: KeyKind, names: Sequence[str], counts: ReadCounts) -> Iterator[Entry]:
        for start in range(0, len(names), _BATCH):
            batch = names[start : start + _BATCH]
            with redis_errors(f"reading keys of the kind {kind.pattern}"):
                pipeline = self.redis.pipeline(transaction=False)
                for name in batch:
                    _ask(pipeline, kind.type, self.keys(name))
                    pipeline.pttl(self.keys(name))
                answers = pipeline.execute(raise_on_error=False)
                now = self.now()
            for name, value, left in zip(batch, answers[::2], answers[1::2], strict=True):
                if isinstance(value, Exception) or isinstance(left, Exception):
                    counts.unknown.append(name)  # of another type than ours
                elif value:
                    expires_at = now + left / 1000 if left > 0 else None
                    yield from self._parts(kind, name, value, expires_at)

    def _parts(self, kind: KeyKind, name: str, first: Any, expires_at: float | None) -> Iterator[Entry]:
        """The lines of a key, of which the first MOST_PARTS entries were read, or all of a hash or set."""
        if kind.type == "string":
            yield StringEntry(key=name, expires_at=expires_at, value=first)
            return
        for part, slice_ in enumerate(self._slices(kind, name, first)):
            entry = _entry(kind.type, name, slice_)
            yield entry.model_copy(update={"part": part, "expires_at": expires_at})

    def _slices(self, kind: KeyKind, name: str, first: Any) -> Iterator[list[Any]]:
        """What was read, and the rest of a long list, sorted set or stream."""
        if kind.type in {"hash", "set"}:
            yield from _sliced(sorted(first.items() if kind.type == "hash" else first))
            return
        slice_, seen = first, len(first)
        while slice_:
            yield slice_
            if len(slice_) < MOST_PARTS:
                return
            with redis_errors(f"reading {name}"):
                slice_ = _ask(self.redis, kind.type, self.keys(name), start=seen, after=slice_[-1][0])
            seen += len(slice_)


def _entry(type_: KeyType, name: str, parts: Sequence[Any]) -> Entry:
    """A line of a key that has parts."""
    if type_ == "hash":
        return HashEntry(key=name, value=dict(parts))
    if type_ == "zset":
        return ZsetEntry(key=name, value=[(member, float(score)) for member, score in parts])
    if type_ == "stream":
        return StreamEntry(key=name, value=[(identifier, fields) for identifier, fields in parts])
    return ListEntry(key=name, type="set" if type_ == "set" else "list", value=list(parts))


def _ask(client: Any, type_: KeyType, key: str, *, start: int = 0, after: str = "") -> Any:
    """Ask for a key's value, or for as much of it as one line has: from `start`, or after an id."""
    end = start + MOST_PARTS - 1
    match type_:
        case "string":
            return client.get(key)
        case "hash":
            return client.hgetall(key)
        case "set":
            return client.smembers(key)
        case "list":
            return client.lrange(key, start, end)
        case "zset":
            return client.zrange(key, start, end, withscores=True)
        case "stream":
            return client.xrange(key, min=f"({after}" if start else "-", count=MOST_PARTS)


def _sliced(parts: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(parts), MOST_PARTS):
        yield parts[start : start + MOST_PARTS]
