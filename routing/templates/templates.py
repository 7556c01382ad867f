"""Templates: adding them, and proposing, promoting, reverting, rejecting and finding their versions.

Every step of a person is recorded as a review, with who did it and why. Making a step twice is a success that
changes nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import ValidationError

from routing.errors import ConflictError, InvalidInputError, NotFoundError
from routing.store.trials.version_store import AddAnswer, HeldVersion, StepAnswer, VersionAdded, VersionStore
from routing.templates.version import Snapshot, Version, VersionReference, checked_template_name

#: Answers to a step after which the version is in the state that was asked for.
_SETTLED = {StepAnswer.OK, StepAnswer.UNCHANGED}


class ProposalPolicy(StrEnum):
    """What is done with a proposed version without a person."""

    NOTIFY = "notify"  # nothing: a person decides
    CANARY = "canary"  # a trial is opened as soon as none is open
    DIRECT = "direct"  # it becomes champion at once


class UnknownTemplateError(NotFoundError):
    """There is no such template."""


class UnknownVersionError(NotFoundError):
    """The template has no such version."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionStep:
    """What a step on a version did."""

    version: Version
    changed: bool  # False when it had been done before; then nothing was written or emitted


class Templates:
    """Adds templates and changes the state of their versions, as people and proposal policies ask.

    Trials are opened by `Trials` and decided by the harvest.

    A version is pending, then perhaps the canary of a trial, and then champion or rejected. A champion that
    is replaced is superseded, and `revert` makes it champion again. Rejection is final. Content never
    changes, and numbers are never used again.

    `add`, `promote`, `revert` and `reject` are each one atomic step with its review and event; an open trial
    that they contradict ends in the same step. Two people who do this at once are served one after the other,
    and the second one may get a ConflictError that says what to do. A step that was made before returns
    `changed` False, so all may be repeated after an UnavailableError.

    `reject` also calls `rejected`, each time: the version's running jobs are withdrawn after the step. If the
    process dies between the two, the watchdog withdraws them. InvalidInputError: a name or reference is
    malformed. UnknownTemplateError, UnknownVersionError: there is none. CorruptRecordError: the stored
    content does not match its hash.

    Keeps nothing in memory: threads and processes may use any number of them at once.
    """

    def __init__(self, store: VersionStore, *, rejected: Callable[[], object] = lambda: None) -> None:
        self._store = store
        self._rejected = rejected  # called when a version is rejected, each time that somebody asks for it

    def add(
        self, name: str, snapshot: Snapshot, *, policy: ProposalPolicy = ProposalPolicy.NOTIFY,
        source_commit: str = "", note: str = "",
    ) -> VersionStep:  # fmt: skip
        """Make a template; its first version becomes champion. ConflictError when it has other content."""
        checked_template_name(name)
        added = self._store.add(
            name=name, snapshot=snapshot, mode="add", source_commit=source_commit, note=note,
            policy=policy, data={"template": name, "note": note},
        )  # fmt: skip
        if added.answer is AddAnswer.EXISTS:
            message = f"template {name} exists with v{added.number}; use `coalmine template propose {name}`"
            raise ConflictError(message)
        return self._added(name, added)

    def propose(
        self, name: str, snapshot: Snapshot, *, source_commit: str = "", note: str = ""
    ) -> VersionStep:
        """Store a new version, pending; for content that a version has already, return that version."""
        checked_template_name(name)
        added = self._store.add(
            name=name, snapshot=snapshot, mode="propose", source_commit=source_commit, note=note,
            policy="", data={"template": name, "note": note},
        )  # fmt: skip
        if added.answer is AddAnswer.UNKNOWN:
            raise self._unknown(name)
        return self._added(name, added)

    def _added(self, name: str, added: VersionAdded) -> VersionStep:
        version = self._version(name, added.number)
        return VersionStep(version=version, changed=added.answer is AddAnswer.ADDED)

    def promote(self, reference: str, *, by: str, reason: str = "") -> VersionStep:
        """A person makes a pending version, or the canary on trial, champion; NAME alone means the latest."""
        version = self.find(reference, default="latest")
        return self._crowned(version, mode="promote", by=by, reason=reason)

    def revert(self, reference: str, *, by: str, reason: str = "") -> VersionStep:
        """A person makes a superseded version champion again; NAME alone means the previous champion."""
        parsed = VersionReference.parse(reference)
        if not parsed.pins:
            previous = self._store.field(parsed.template, "previous")
            if previous is None:
                self.champion(parsed.template)
                message = f"{parsed.template} has had no champion before this one; nothing to revert to"
                raise ConflictError(message)
            reference = f"{parsed.template}@v{previous}"
        return self._crowned(self.find(reference), mode="revert", by=by, reason=reason)

    def _crowned(self, version: Version, *, mode: str, by: str, reason: str) -> VersionStep:
        """Make a version champion by `mode`, or raise ConflictError that says what to do instead."""
        review = {"decision": mode, "version": version.id, "by": by, "reason": reason}
        moved = self._store.promote(
            name=version.template, number=version.number, mode=mode, reason=reason or f"{mode}d by {by}",
            review=review,
        )  # fmt: skip
        if moved.answer not in _SETTLED:
            hint = {
                "superseded": f"it was champion before: use `coalmine template revert {version.id}`",
                "rejected": "rejection is final: propose its content with a change",
            }.get(moved.detail, "only a version that was champion can be reverted to")
            message = f"{version.id} is {moved} and was not made champion; {hint}"
            raise ConflictError(message)
        return VersionStep(version=self._version(version.template, version.number), changed=moved.done)

    def reject(self, reference: str, *, by: str, reason: str = "") -> VersionStep:
        """A person rejects a pending version, or the canary, for good; NAME alone means the latest."""
        version = self.find(reference, default="latest")
        review = {"decision": "reject", "version": version.id, "by": by, "reason": reason}
        moved = self._store.reject(
            name=version.template, number=version.number, reason=reason or f"rejected by {by}", review=review
        )
        if moved.answer not in _SETTLED:
            message = (
                f"{version.id} is {moved} and was not rejected; a champion is replaced by "
                "`coalmine template promote` or `revert`"
            )
            raise ConflictError(message)
        self._rejected()
        return VersionStep(version=self._version(version.template, version.number), changed=moved.done)

    def find(self, reference: str, *, default: str = "champion") -> Version:
        """The version that a reference names; NAME alone means the champion, or the `default` given."""
        parsed = VersionReference.parse(reference)
        which = parsed.which if "@" in reference else default
        if parsed.number is not None:
            number: str | None = str(parsed.number)
        else:
            number = self._store.field(parsed.template, "latest" if which == "latest" else "champion")
        if number is None:
            raise self._unknown(parsed.template)
        return self._version(parsed.template, int(number))

    def champion(self, name: str) -> Version:
        """The version that works jobs now."""
        return self.find(checked_template_name(name))

    def versions(self, name: str) -> list[Version]:
        """Every version of a template, oldest first."""
        versions = self._store.all(checked_template_name(name))
        if not versions:
            raise self._unknown(name)
        return versions

    def names(self) -> list[str]:
        """All templates, sorted."""
        return self._store.names()

    def held(self) -> list[HeldVersion]:
        """Of each template the version that waits for a trial which cannot be opened, if there is one."""
        return [one for name in self.names() if (one := self._store.held(name)) is not None]

    def policy(self, name: str) -> ProposalPolicy:
        """What is done with a proposed version without a person."""
        return ProposalPolicy(self._store.field(name, "policy") or ProposalPolicy.NOTIFY)

    def set_policy(self, name: str, policy: ProposalPolicy) -> None:
        """Choose what is done with proposed versions from now on."""
        self.champion(name)
        self._store.set_field(name, "policy", policy)

    def reviews(self, name: str) -> list[dict[str, object]]:
        """Every decision about versions of a template, oldest first."""
        self.champion(name)
        return self._store.reviews(name)

    def _version(self, name: str, number: int) -> Version:
        """A version that must exist: UnknownTemplateError or UnknownVersionError otherwise."""
        version = self._store.read(name, number)
        if version is None:
            if self._store.field(name, "latest") is None:
                raise self._unknown(name)
            message = f"template {name} has no v{number}; see `coalmine template show {name}`"
            raise UnknownVersionError(message)
        return version

    def _unknown(self, name: str) -> UnknownTemplateError:
        known = ", ".join(self._store.names()[:10]) or "none yet"
        return UnknownTemplateError(
            f"there is no template {name} (known: {known}); make it with `coalmine template add {name}`"
        )


def checked_snapshot(**fields: object) -> Snapshot:
    """Build a snapshot from outside data, or raise InvalidInputError that names every wrong field."""
    try:
        return Snapshot.model_validate(fields)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, part['loc']))}: {_said(part)}" for part in error.errors())
        message = f"the version's content was refused and nothing was written: {problems}"
        raise InvalidInputError(message) from error


def _said(part: Any) -> str:
    """What is wrong with a field, in words for the person who wrote the file."""
    if part["type"] != "extra_forbidden":
        return str(part["msg"])
    return f"there is no such field; use {', '.join(sorted(Snapshot.model_fields))}"
