"""Puts the entries of an export into an empty namespace; what was begun can be gone on with."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from redis.exceptions import WatchError

from routing.errors import ConflictError
from routing.store.archive.key_kinds import kind_of
from routing.store.archive.line import Entry, HashEntry, ListEntry, StreamEntry, StringEntry, ZsetEntry
from routing.store.redis.faults import redis_errors
from routing.store.redis.store import Store

#: Seconds for which an import that was interrupted is remembered.
KEPT_SECONDS = 7 * 86_400

#: Seconds since the last sweep after which nobody looks after a namespace.
QUIET_SECONDS = 15.0


class Place(StrEnum):
    """The fields of the record of an import that is under way."""

    DIGEST = "digest"  # of the file
    DONE = "done"  # entries that are written


class ArchiveWriter(Store):
    """Dispatch is paused from the first step on, and stays so: a person resumes it.

    An import's place is written in the same step as the entries before it. So one that was interrupted goes
    on where it was, and two of the same file cannot both write: the second one is refused.
    """

    def begin(self, digest: str) -> int:
        """Begin to import the file of that digest, or go on with it; returns how many entries are done.

        ConflictError where the namespace is not empty, or a worker looks after it.
        """
        record = self.keys("importing")
        pipeline: Any = self.redis.pipeline(transaction=True)
        with redis_errors("beginning an import"), pipeline:
            pipeline.watch(record)
            known = pipeline.hgetall(record)
            if known and known.get(Place.DIGEST) != digest:
                message = (
                    f"another file is being imported into {self.keys.namespace}, and is half done: go on "
                    "with that one, or take another --namespace"
                )
                raise ConflictError(message)
            self._check_quiet()
            if known:
                return int(known[Place.DONE])
            self._check_empty()
            pipeline.multi()
            pipeline.set(self.keys("paused"), "an import is under way")
            pipeline.hset(record, mapping={Place.DIGEST: digest, Place.DONE: 0})
            pipeline.expire(record, KEPT_SECONDS)
            self._commit(pipeline)
        return 0

    def _check_quiet(self) -> None:
        swept_at = self.redis.hget(self.keys("pulse"), "at")
        if swept_at is not None and self.now() - float(swept_at) < QUIET_SECONDS:
            message = (
                f"a worker looks after the namespace {self.keys.namespace}; nothing was written: stop "
                f"workers and beat, wait {QUIET_SECONDS:.0f} seconds, import, and start them again"
            )
            raise ConflictError(message)

    def _check_empty(self) -> None:
        prefix = self.keys("")
        for key in self.redis.scan_iter(f"{prefix}*", 1000):
            name = key.removeprefix(prefix)
            kind = kind_of(name)
            if kind is None or not kind.left_out:
                message = (
                    f"the namespace {self.keys.namespace} is not empty (it has {name!r:.80}); nothing was "
                    "written: import into another one, by --namespace"
                )
                raise ConflictError(message)

    def write(self, entries: Sequence[Entry | None], *, done: int) -> None:
        """Write entries that follow the `done` first ones, and the place, in one step. None is left out."""
        record = self.keys("importing")
        pipeline: Any = self.redis.pipeline(transaction=True)
        with redis_errors("importing"), pipeline:
            pipeline.watch(record)
            if pipeline.hget(record, Place.DONE) != str(done):
                raise self._overtaken()
            pipeline.multi()
            now = self.now()
            for entry in entries:
                if entry is not None:
                    self._put(pipeline, entry, now)
            pipeline.hset(record, Place.DONE, done + len(entries))
            pipeline.expire(record, KEPT_SECONDS)
            self._commit(pipeline)

    def end(self, reason: str) -> None:
        """All is written: forget the import, and say why dispatch is paused."""
        with redis_errors("ending an import"):
            pipeline = self.redis.pipeline(transaction=True)
            pipeline.set(self.keys("paused"), reason)
            pipeline.delete(self.keys("importing"))
            pipeline.execute()

    def _commit(self, pipeline: Any) -> None:
        try:
            pipeline.execute()
        except WatchError as error:
            raise self._overtaken() from error

    def _overtaken(self) -> ConflictError:
        return ConflictError(
            f"somebody else imports into {self.keys.namespace} at this moment; this one stopped"
        )

    def _put(self, pipeline: Any, entry: Entry, now: float) -> None:
        key = self.keys(entry.key)
        if entry.expires_at is not None and entry.expires_at <= now:
            return
        if entry.part == 0:
            pipeline.delete(key)
        if isinstance(entry, StreamEntry):
            for identifier, fields in entry.value:
                pipeline.xadd(key, fields, id=identifier)
        else:
            _fill(pipeline, key, entry)
        if entry.expires_at is not None:
            pipeline.pexpire(key, max(1, round((entry.expires_at - now) * 1000)))


def _fill(pipeline: Any, key: str, entry: StringEntry | HashEntry | ListEntry | ZsetEntry) -> None:
    match entry:
        case StringEntry():
            pipeline.set(key, entry.value)
        case HashEntry():
            pipeline.hset(key, mapping=entry.value)
        case ListEntry(type="set"):
            pipeline.sadd(key, *entry.value)
        case ListEntry():
            pipeline.rpush(key, *entry.value)
        case ZsetEntry():
            pipeline.zadd(key, dict(entry.value))
