"""Versions in Redis: content, states, and the steps between them."""

import json
from typing import Any, Literal

from pydantic import ValidationError

from routing.errors import CorruptRecordError
from routing.store.redis.faults import redis_errors
from routing.store.redis.store import Store
from routing.templates.version import Snapshot, Version, VersionState, version_id


class VersionStore(Store):
    """One call a step; the answers are the scripts' own words."""

    def add(
        self, *, name: str, snapshot: Snapshot, mode: Literal["add", "propose"], source_commit: str,
        note: str, policy: str, data: dict[str, Any],
    ) -> tuple[str, int]:  # fmt: skip
        """Store content; returns ('added'|'same'|'exists'|'unknown', number)."""
        record = {
            "v": 1,
            "template": name,
            "snapshot": snapshot.model_dump(mode="json"),
            "content_hash": snapshot.content_hash,
            "source_commit": source_commit,
            "note": note,
        }
        keys = self.keys
        outcome, number = self.run(
            "version_add",
            [keys.template(name), keys.versions(name), keys.hashes(name), keys("templates"),
             keys("champions"), keys("events")],
            name, mode, snapshot.content_hash, json.dumps(record)[1:], json.dumps(data), policy,
            doing=f"storing a version of {name}",
        )  # fmt: skip
        return outcome, int(number)

    def promote(self, *, name: str, number: int, mode: str, reason: str, review: dict[str, Any]) -> str:
        """Make a version champion by a person's word."""

        def attempt(trial: str, trial_key: str) -> Any:
            keys = self.keys
            return self.run(
                "version_promote",
                [keys.template(name), trial_key, keys("trials", "open"), keys("champions"),
                 keys("events"), keys.reviews(name)],
                name, number, mode, trial, reason, json.dumps(review),
                doing=f"promoting {version_id(name, number)}",
            )  # fmt: skip

        return self._with_open_trial(name, attempt)

    def reject(self, *, name: str, number: int, reason: str, review: dict[str, Any]) -> str:
        """Reject a version by a person's word."""

        def attempt(trial: str, trial_key: str) -> Any:
            keys = self.keys
            return self.run(
                "version_reject",
                [keys.template(name), trial_key, keys("trials", "open"), keys("rejected"),
                 keys("events"), keys.reviews(name)],
                name, number, trial, reason, json.dumps(review),
                doing=f"rejecting {version_id(name, number)}",
            )  # fmt: skip

        return self._with_open_trial(name, attempt)

    def _with_open_trial(self, name: str, attempt: Any) -> str:
        """Keys must be declared before a script runs: read which trial is open; retry if that changed."""
        while True:
            trial = self.field(name, "trial") or ""
            answer: str = attempt(trial, self.keys.trial(trial) if trial else self.keys.template(name))
            if answer != "stale":
                return answer

    def field(self, name: str, field: str) -> str | None:
        """One field of a template's hash."""
        with redis_errors(f"reading template {name}"):
            value = self.redis.hget(self.keys.template(name), field)
        return None if value is None else str(value)

    def set_field(self, name: str, field: str, value: str) -> None:
        """Set one field that no invariant hangs on (proposal policy)."""
        with redis_errors(f"writing template {name}"):
            self.redis.hset(self.keys.template(name), field, value)

    def template(self, name: str) -> dict[str, str]:
        """The whole hash of a template; empty when there is none."""
        with redis_errors(f"reading template {name}"):
            return dict(self.redis.hgetall(self.keys.template(name)))

    def names(self) -> list[str]:
        """All templates, sorted."""
        with redis_errors("listing templates"):
            return sorted(self.redis.smembers(self.keys("templates")))

    def read(self, name: str, number: int) -> Version | None:
        """One version with its state; None when there is none."""
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
    """A stored record as a Version whose content matches its hash."""
    try:
        fields = json.loads(record)
        return Version(**fields, state=VersionState(state or "")).checked()
    except (ValueError, TypeError, ValidationError) as error:
        message = f"the stored record of {identifier} cannot be read; propose its content again"
        raise CorruptRecordError(message) from error
