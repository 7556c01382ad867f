"""Reads routes, and keeps each until the step that uses it says that it has changed.

The mailbox accepts thousands of jobs on one route; reading it for each would cost more than accepting them.
"""

from routing.errors import ConflictError, CorruptRecordError
from routing.store.trials.trial_store import TrialStore
from routing.store.trials.version_store import VersionStore
from routing.templates.route import Route
from routing.templates.templates import Templates
from routing.templates.trial import Trial
from routing.templates.version import Version, VersionReference, VersionState


class RouteReader:
    """Routes by reference. Keeping one is safe: a job is accepted only at the revision that was read."""

    def __init__(self, versions: VersionStore, trials: TrialStore) -> None:
        self._versions = versions
        self._trials = trials
        self._templates = Templates(versions)
        self._kept: dict[str, Route] = {}

    def route(self, reference: str) -> Route:
        """The route of a reference, from memory if it was read before.

        UnknownTemplateError, UnknownVersionError, or ConflictError for a version that was rejected.
        """
        kept = self._kept.get(reference)
        if kept is None:
            kept = self._kept[reference] = self._read(reference)
        return kept

    def forget(self, reference: str) -> None:
        """Read the route again next time."""
        self._kept.pop(reference, None)

    def _read(self, reference: str) -> Route:
        parsed = VersionReference.parse(reference)
        # The revision is read first: what changes after it is noticed by the step that uses the route.
        revision = self._versions.field(parsed.template, "revision") or ""
        worker = self._templates.find(reference)
        if worker.state is VersionState.REJECTED:
            message = f"{worker.id} was rejected and gets no work; name another version of {parsed.template}"
            raise ConflictError(message)
        if parsed.pins:
            return Route(template=parsed.template, revision=revision, champion=worker, pinned=True)
        trial_id = self._versions.field(parsed.template, "trial")
        trial = self._trial(trial_id) if trial_id else None
        canary = self._canary(parsed.template, trial.canary) if trial else None
        return Route(template=parsed.template, revision=revision, champion=worker, trial=trial, canary=canary)

    def _trial(self, trial_id: str) -> Trial | None:
        """The open trial; None when its record cannot be read: then nothing is drawn, and work goes on."""
        try:
            return self._trials.read(trial_id)
        except CorruptRecordError:
            return None

    def _canary(self, template: str, number: int) -> Version | None:
        """The canary; None when its content cannot be read: then no job counts in the trial, see `draw`."""
        try:
            return self._versions.read(template, number)
        except CorruptRecordError:
            return None
