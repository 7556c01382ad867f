"""Trials: opening, finding and stopping them.

A template has at most one open trial. Its champion is pinned: the trial compares the canary to the version
that was champion when it was opened.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from routing.errors import ConflictError, CorruptRecordError, InvalidInputError, NotFoundError
from routing.store.redis.scripts import Answered
from routing.store.trials.trial_store import HoldAnswer, OpenAnswer, ResumeAnswer, TrialStore
from routing.store.trials.version_store import VersionStore
from routing.templates.route import is_share
from routing.templates.trial import DamagedTrial, Mode, Terms, Trial, TrialHold
from routing.templates.version import Version, checked_template_name
from routing.templates.way import StepTakenError, WayMove


class UnknownTrialError(NotFoundError):
    """There is no such trial."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialStep:
    """What a step on a trial did."""

    trial: Trial
    changed: bool  # False when it had been done before; then nothing was written or emitted


class Trials:
    """Opens, finds and stops trials, for people and for proposal policies. Verdicts are made in `harvest`.

    `open` and `stop` are each one atomic step: the trial, the canary's state and the template's route change
    together, so no job is drawn for half a trial. Repeated, they return `changed` False. Of two who open
    trials of different versions of a template at once, one gets a ConflictError.

    `stop` of a trial that has its verdict changes nothing; look at the state of the trial that is returned.
    The lists are read trial by trial, so they are not a snapshot: `open_trials` leaves out those that end
    meanwhile. They leave out the damaged, which `damaged` has.
    """

    def __init__(self, trials: TrialStore, versions: VersionStore) -> None:
        self._trials = trials
        self._versions = versions

    def open(self, canary: Version, terms: Terms, *, by: str = "", move: WayMove | None = None) -> TrialStep:
        """Put a pending version on trial against the champion; no change when it is on trial already.

        With `move` the trial is a step of a way. ConflictError when another trial or way is open, or the
        version is not pending; InvalidInputError for a wrong share.
        """
        checked_share(terms.share, mode=terms.mode)
        name = canary.template
        while True:
            before = int(self._versions.field(name, "trials") or 0)
            trial = f"{name}-t{before + 1}"
            opened = self._trials.open(
                name=name, canary=canary.number, trial=trial, before=before, terms=terms, move=move,
                data={"trial": trial, "canary": canary.id, "share": terms.share, "by": by}
                | ({"step": move.after.place.document()} if move else {}),
            )  # fmt: skip
            if opened.answer is OpenAnswer.OK:
                return TrialStep(trial=self.find(trial), changed=True)
            if opened.answer is not OpenAnswer.STALE:
                return self._refused(canary, opened)

    def _refused(self, canary: Version, opened: Answered[OpenAnswer]) -> TrialStep:
        """The trial when it is the very one that was asked for, else the error."""
        if opened.answer is OpenAnswer.OPEN:
            running = self.of_template(canary.template)
            if running and running.canary == canary.number:
                return TrialStep(trial=running, changed=False)
            message = (
                f"{canary.template} has an open trial already ({running.id if running else 'just closed'}); "
                "wait for its verdict or stop it with `coalmine trial stop`"
            )
            raise StepTakenError(message)
        if opened.answer is OpenAnswer.WAY:
            message = (
                f"a version of {canary.template} is on its way to champion; see `coalmine trial status`, or "
                f"end that with `coalmine trial stop {canary.template}`"
            )
            raise StepTakenError(message)
        if opened.answer is OpenAnswer.UNKNOWN:
            message = f"{canary.id} does not exist; see `coalmine template show {canary.template}`"
            raise UnknownTrialError(message)
        message = (
            f"{canary.id} is {opened} and cannot be put on trial; only a pending version can: "
            f"`coalmine template propose {canary.template}`"
        )
        raise StepTakenError(message)

    def stop(self, trial: Trial, *, by: str, reason: str = "") -> TrialStep:
        """End a trial without a verdict; its canary is pending again. No change for one that has ended."""
        why = reason or f"stopped by {by}"
        stopped = self._trials.stop(
            name=trial.template, trial=trial.id, reason=why,
            data={"trial": trial.id, "canary": trial.canary_id, "by": by, "reason": why},
        )  # fmt: skip
        return TrialStep(trial=self.find(trial.id), changed=stopped)

    def hold(self, trial: Trial, *, by: str, reason: str) -> TrialStep:
        """Have no verdict carried out until a person resumes the trial; it draws on, and ends at its limits.

        Recorded in the trial and in its event. No change for one that a person holds already; ConflictError
        when it has ended.
        """
        said = TrialHold(by=by, reason=reason, at=0.0).sentence
        data = {"trial": trial.id, "reasons": [said], "by": by, "reason": reason}
        answer = self._trials.hold(trial, by=by, reason=reason, data=data)
        if answer is HoldAnswer.CLOSED:
            message = f"trial {trial.id} has ended: there is no verdict to hold; nothing was changed"
            raise ConflictError(message)
        return TrialStep(trial=self.find(trial.id), changed=answer is HoldAnswer.OK)

    def resume(self, trial: Trial, *, by: str, reason: str = "") -> TrialStep:
        """Let a trial decide again that checks of its health or a person hold; its event has who did it.

        No change for a trial that nothing holds. ConflictError when it has ended, or another check has fired
        since it was read.
        """
        data = {"trial": trial.id, "checks": list(trial.alarms), "by": by, "reason": reason}
        answer = self._trials.resume(trial, data=data)
        if answer in {ResumeAnswer.OTHER, ResumeAnswer.CLOSED}:
            why = "has ended" if answer is ResumeAnswer.CLOSED else "is held by another check now"
            message = f"trial {trial.id} {why}; nothing was changed, see `coalmine trial status {trial.id}`"
            raise ConflictError(message)
        return TrialStep(trial=self.find(trial.id), changed=answer is ResumeAnswer.OK)

    def find(self, reference: str) -> Trial:
        """A trial by its id, or the open or else the last one of a template by the template's name."""
        trial = self._trials.read(reference)
        if trial is not None:
            return trial
        name = checked_template_name(reference)
        count = int(self._versions.field(name, "trials") or 0)
        found = self.of_template(name) or (self._trials.read(f"{name}-t{count}") if count else None)
        if found is None:
            message = f"there is no trial {reference} and no template of that name has had one; "
            raise UnknownTrialError(message + "see `coalmine trial status`")
        return found

    def of_template(self, name: str) -> Trial | None:
        """The open trial of a template, None for none."""
        trial = self._versions.field(name, "trial")
        return self._trials.read(trial) if trial else None

    def open_trials(self) -> list[Trial]:
        """Every open trial."""
        return [trial for trial in self._readable(self._trials.open_ids()) if trial.is_open]

    def history(self, name: str) -> list[Trial]:
        """Every trial that a template has had, oldest first."""
        return list(self._readable(self._ids(name)))

    def damaged(self, name: str = "") -> list[DamagedTrial]:
        """The trials of a template whose record cannot be read; without a name those that are open."""
        return [
            found
            for identifier in (self._ids(name) if name else self._trials.open_ids())
            if isinstance(found := self._record(identifier), DamagedTrial)
        ]

    def damage(self, trial: str, error: CorruptRecordError) -> DamagedTrial:
        """What to show in place of a trial that cannot be read."""
        return DamagedTrial(id=trial, key=self._trials.key(trial), problem=str(error))

    def _ids(self, name: str) -> list[str]:
        count = int(self._versions.field(name, "trials") or 0)
        return [f"{name}-t{number}" for number in range(1, count + 1)]

    def _readable(self, identifiers: Iterable[str]) -> Iterator[Trial]:
        for identifier in identifiers:
            found = self._record(identifier)
            if isinstance(found, Trial):
                yield found

    def _record(self, identifier: str) -> Trial | DamagedTrial | None:
        try:
            return self._trials.read(identifier)
        except CorruptRecordError as error:
            return self.damage(identifier, error)


def checked_share(share: float, *, mode: Mode = Mode.DRAW) -> float:
    """Return the share, or raise InvalidInputError that says why a trial cannot have it."""
    if math.isnan(share) or not is_share(share, mode):
        why = "the canary would get no work"
        if math.isnan(share):
            why = "that is not a number"
        elif share >= 1.0:
            why = "with share 1 no champion runs beside the canary and nothing can be decided"
        message = f"a trial's share must lie between 0 and 1, both excluded, not {share:g}: {why}"
        raise InvalidInputError(message)
    return share
