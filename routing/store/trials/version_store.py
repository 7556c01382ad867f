"""Versions in Redis: content, states, and the steps between them that people make.

Graduation and rollback by evidence are `trial_advance`; both ways use `_versions.lua` to change a champion.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from pydantic import ValidationError

from routing.errors import CorruptRecordError
from routing.store.redis.faults import redis_errors
from routing.store.redis.scripts import Answered, Script, answered
from routing.store.redis.store import Store
from routing.templates.version import Snapshot, Version, VersionState, version_id


class AddAnswer(StrEnum):
    """What became of content that was to be stored."""

    ADDED = "added"
    SAME = "same"  # a version of the template has it
    EXISTS = "exists"  # a first version was to be added, and there is one
    UNKNOWN = "unknown"  # a later version was to be proposed, and nobody added the template


@dataclass(frozen=True, slots=True)
class VersionAdded:
    """The answer, with the version's number: of the one that has the content, or of the newest."""

    answer: AddAnswer
    number: int


class StepAnswer(StrEnum):
    """What became of a person's step on a version. All but OK changed nothing."""

    OK = "ok"
    UNCHANGED = "unchanged"  # it was so before
    STALE = "stale"  # another trial is open than was read; the store repeats the step
    UNKNOWN = "unknown"
    STATE = "state"  # its state, which comes with the answer, does not allow it


_ADD = Script(
    "version_add",
    lambda words: VersionAdded(AddAnswer(words[0]), int(words[1])),
    keys="template versions hashes",
    indexes="templates champions events",
    args="name mode hash record data policy",
)
_PROMOTE = Script(
    "version_promote",
    answered(StepAnswer),
    keys="template reviews trial",
    indexes="trials:open champions events",
    args="name number mode trial_id reason review",
)
_REJECT = Script(
    "version_reject",
    answered(StepAnswer),
    keys="template reviews trial",
    indexes="trials:open rejected events",
    args="name number trial_id reason review",
)
_STOP_WAY = Script("way_stop", bool, keys="template", indexes="events", args="way subject data")
_HOLD = Script(
    "version_hold",
    bool,
    keys="template",
    indexes="events",
    args="name number reason",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldVersion:
    """A version that waits for a trial, or for the next step of its way, which cannot be opened."""

    id: str
    reason: str  # in words, with what to do


class VersionStore(Store):
    """Versions of templates: their content, which never changes, and their states.

    States are fields of the template's hash. Beside the state lie the champion's number, the open trial and
    the revision of the route.

    `add`, `promote` and `reject` are atomic. The last two read which trial is open first, as its key must be
    declared; if that has changed, they read it again and repeat the step, so STALE never comes out. Repeated,
    a step answers SAME or UNCHANGED.

    Every step that changes which version gets work raises the revision, and a mailbox that has an older one
    is refused. So nothing may write these fields by `set_field`; that is for fields like `policy`, where the
    last writer wins. `all` is two reads and no snapshot. CorruptRecordError: content that does not match its
    hash.
    """

    def add(
        self, *, name: str, snapshot: Snapshot, mode: Literal["add", "propose"], source_commit: str,
        note: str, policy: str, data: dict[str, Any],
    ) -> VersionAdded:  # fmt: skip
        """Store content: `add` a template's first version, or `propose` a later one.

        `policy` is what becomes of proposals from now on, "" to leave that as it is.
        """
        record = {
            "v": 1,
            "template": name,
            "snapshot": snapshot.model_dump(mode="json"),
            "content_hash": snapshot.content_hash,
            "source_commit": source_commit,
            "note": note,
        }
        keys = self.keys
        return self.call(
            _ADD, template=keys.template(name), versions=keys.versions(name), hashes=keys.hashes(name),
            name=name, mode=mode, hash=snapshot.content_hash, record=json.dumps(record)[1:],
            data=json.dumps(data), policy=policy, doing=f"storing a version of {name}",
        )  # fmt: skip

    def promote(
        self, *, name: str, number: int, mode: str, reason: str, review: dict[str, Any]
    ) -> Answered[StepAnswer]:
        """A person makes a version champion; `mode` is `promote`, or `revert` for a superseded one."""
        return self._step(
            _PROMOTE, name, number=number, mode=mode, reason=reason, review=review,
            doing=f"promoting {version_id(name, number)}",
        )  # fmt: skip

    def reject(self, *, name: str, number: int, reason: str, review: dict[str, Any]) -> Answered[StepAnswer]:
        """A person rejects a version."""
        return self._step(
            _REJECT, name, number=number, reason=reason, review=review,
            doing=f"rejecting {version_id(name, number)}",
        )  # fmt: skip

    def _step(
        self, script: Script[Answered[StepAnswer]], name: str, *, review: dict[str, Any], **values: Any
    ) -> Answered[StepAnswer]:
        """Keys must be declared before a script runs: read which trial is open; retry if that changed."""
        template = self.keys.template(name)
        while True:
            trial = self.field(name, "trial") or ""
            moved = self.call(
                script, template=template, reviews=self.keys.reviews(name),
                trial=self.keys.trial(trial) if trial else template, name=name, trial_id=trial,
                review=json.dumps(review), **values,
            )  # fmt: skip
            if moved.answer is not StepAnswer.STALE:
                return moved

    def hold(self, name: str, number: int, *, reason: str) -> bool:
        """Note why the version that waits for a trial or a step gets none; True, with an event, when new."""
        return self.call(
            _HOLD, template=self.keys.template(name), name=name, number=number, reason=reason[:500],
            doing=f"noting why {version_id(name, number)} gets no trial",
        )  # fmt: skip

    def held(self, name: str) -> HeldVersion | None:
        """The version that waits although no trial is open, with the reason; None when nothing is known."""
        with redis_errors(f"reading template {name}"):
            fields = self.redis.hmget(self.keys.template(name), "waiting", "held", "trial", "on_way")
        number, _, reason = (fields[1] or "").partition(" ")
        if not number or number not in {fields[0], (fields[3] or "").partition(" ")[0]} or fields[2]:
            return None
        return HeldVersion(id=version_id(name, int(number)), reason=reason)

    def way(self, name: str) -> str:
        """The way that a version of the template is on, as it is stored; "" for none."""
        return self.field(name, "way") or ""

    def stop_way(self, name: str, way: str, *, subject: str, data: dict[str, Any]) -> bool:
        """End a way between two steps, if it is still the one that was read."""
        return self.call(
            _STOP_WAY, template=self.keys.template(name), way=way, subject=subject, data=json.dumps(data),
            doing=f"ending the way of {subject}",
        )  # fmt: skip

    def field(self, name: str, field: str) -> str | None:
        """One field of a template's hash."""
        with redis_errors(f"reading template {name}"):
            value = self.redis.hget(self.keys.template(name), field)
        return None if value is None else str(value)

    def set_field(self, name: str, field: str, value: str) -> None:
        """Set a field that no invariant depends on, such as the proposal policy."""
        with redis_errors(f"writing template {name}"):
            self.redis.hset(self.keys.template(name), field, value)

    def template(self, name: str) -> dict[str, str]:
        """The whole hash of a template; empty for an unknown one."""
        with redis_errors(f"reading template {name}"):
            return dict(self.redis.hgetall(self.keys.template(name)))

    def names(self) -> list[str]:
        """All templates, sorted."""
        with redis_errors("listing templates"):
            return sorted(self.redis.smembers(self.keys("templates")))

    def read(self, name: str, number: int) -> Version | None:
        """One version with its state, or CorruptRecordError; None for an unknown one."""
        with redis_errors(f"reading {version_id(name, number)}"):
            pipeline = self.redis.pipeline(transaction=False)
            pipeline.hget(self.keys.versions(name), str(number))
            pipeline.hget(self.keys.template(name), f"state:{number}")
            record, state = pipeline.execute()
        return None if record is None else parsed_version(record, state, version_id(name, number))

    def all(self, name: str) -> list[Version]:
        """Every version of a template, oldest first."""
        with redis_errors(f"listing versions of {name}"):
            records = self.redis.hgetall(self.keys.versions(name))
        states = self.template(name)
        return [
            parsed_version(records[number], states.get(f"state:{number}"), version_id(name, int(number)))
            for number in sorted(records, key=int)
        ]

    def reviews(self, name: str) -> list[dict[str, Any]]:
        """Every decision about versions of a template, oldest first."""
        with redis_errors(f"reading reviews of {name}"):
            return [json.loads(line) for line in self.redis.lrange(self.keys.reviews(name), 0, -1)]

    def is_rejected(self, identifier: str) -> bool:
        """Whether `implementer@v3` was rejected."""
        with redis_errors(f"looking up {identifier}"):
            return bool(self.redis.sismember(self.keys("rejected"), identifier))


def parsed_version(record: str, state: str | None, identifier: str) -> Version:
    """A stored record as a Version whose content matches its hash, or CorruptRecordError."""
    try:
        fields = json.loads(record)
        return Version(**fields, state=VersionState(state or "")).checked()
    except (ValueError, TypeError, ValidationError) as error:
        message = f"the stored record of {identifier} cannot be read; propose its content again"
        raise CorruptRecordError(message) from error
