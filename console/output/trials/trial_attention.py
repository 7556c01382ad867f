"""Trials whose records cannot be read, and those that wait for a person: what is shown in their place."""

from collections.abc import Iterable
from typing import Any

from rich.console import RenderableType

from console.output.rendering import Prose
from console.output.trials.trial_status import trial_document
from routing.errors import CorruptRecordError
from routing.store.trials.version_store import HeldVersion
from routing.templates.trial import DamagedTrial, Trial, TrialState
from routing.templates.version import VersionState
from tasks.composition.composition import Coalmine


def damaged_document(trial: DamagedTrial) -> dict[str, Any]:
    """A damaged trial for scripts: its id, the key of its record, and what is wrong."""
    return {"id": trial.id, "state": "damaged", "key": trial.key, "error": trial.problem}


def trial_documents(parts: Coalmine, templates: Iterable[str]) -> list[dict[str, Any]]:
    """All trials of these templates for scripts, without their evidence; what is damaged says so."""
    found = []
    for name in templates:
        for trial in parts.trials.history(name):
            try:
                difference = parts.differences.in_list(trial)
                found.append(
                    trial_document(trial)
                    | {"difference": None if difference is None else difference.document()}
                )
            except CorruptRecordError as error:  # of its policy
                found.append(damaged_document(parts.trials.damage(trial.id, error)))
        found += [damaged_document(trial) for trial in parts.trials.damaged(name)]
    return found


def damaged_line(trial: DamagedTrial) -> RenderableType:
    """A damaged trial for people."""
    return Prose(f"Trial {trial.id} is damaged and not shown: {trial.problem}.", "red")


def asks_person(trial: Trial, *, canary: VersionState | None, champion: int | None) -> bool:
    """Whether a decision is missing after an expired trial, or a verdict that signals no longer support.

    `canary` is the state of its canary now, `champion` the number of the template's; None for what cannot be
    read, which counts as undecided. A person who promoted, rejected or reverted since has decided.
    """
    if trial.state is TrialState.EXPIRED:
        return canary in {VersionState.PENDING, None}
    if not trial.contradicted:
        return False
    in_force = trial.canary if trial.state is TrialState.GRADUATED else trial.champion
    return champion in {in_force, None}


def awaits_person(parts: Coalmine, trial: Trial) -> bool:
    """`asks_person` of the stores; two records are read, and only of a trial that may ask."""
    if trial.state is not TrialState.EXPIRED and not trial.contradicted:
        return False
    canary: VersionState | None = None
    champion: int | None = None
    try:
        canary = parts.templates.find(trial.canary_id).state
        champion = parts.templates.champion(trial.template).number
    except CorruptRecordError:
        pass  # a person looks
    return asks_person(trial, canary=canary, champion=champion)


def held_line(held: HeldVersion) -> RenderableType:
    """A version that waits for a trial, and gets none."""
    return Prose(f"{held.id} waits for a trial, which cannot be opened: {held.reason}", "yellow")
