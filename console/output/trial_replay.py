"""Comparing the stored state of a trial with what its ledger gives."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.console import RenderableType

from console.output.rendering import evidence, table, text
from harvest.trial_evidence import TrialEvidence
from routing.errors import CorruptRecordError
from routing.templates.trial import Trial
from tasks.composition.composition import Coalmine


@dataclass(frozen=True, kw_only=True, slots=True)
class Replay:
    """Both states of one trial."""

    trial: str
    stored: TrialEvidence | None  # None when it cannot be read
    recomputed: TrialEvidence
    problem: str = ""  # why the stored state cannot be read

    @property
    def same(self) -> bool:
        """Whether the states are the very same, to the last digit."""
        return self.stored is not None and self.stored.to_json() == self.recomputed.to_json()

    def document(self) -> dict[str, Any]:
        """The form for scripts, with both states whole."""
        return {
            "trial": self.trial,
            "same": self.same,
            "jobs": self.recomputed.dispatched,
            "stored": json.loads(self.stored.to_json()) if self.stored else None,
            "recomputed": json.loads(self.recomputed.to_json()),
        }

    def view(self) -> Iterator[RenderableType]:
        """The figures that matter, side by side."""
        if self.same:
            jobs = self.recomputed.dispatched
            yield f"{self.trial}: the ledger of {jobs} jobs gives the stored state, to the last digit"
            return
        if self.stored is None:
            yield text(self.problem, "red")
        columns = ("figure", ">stored", ">recomputed")
        stored = figures(self.stored) if self.stored else {}
        recomputed = figures(self.recomputed)
        yield table(columns, ((name, stored.get(name, "-"), value) for name, value in recomputed.items()))


def figures(state: TrialEvidence) -> dict[str, str]:
    """What a person compares."""
    arms = {"champion": state.champion, "canary": state.canary}
    counts = {
        f"{name} {what}": str(getattr(arm, what))
        for name, arm in arms.items()
        for what in ("dispatched", "settled", "open", "excluded", "total")
    }
    return counts | {
        "evidence: worse": evidence(state.worse.value),
        "evidence: not worse": evidence(state.not_worse.value),
        "baseline": f"{state.baseline.of(state.policy):.2f}",
    }


def replayed(coalmine: Coalmine, trial: Trial) -> Replay:
    """Recompute a trial. A stored state that cannot be read is compared as one that differs."""
    try:
        stored = coalmine.harvester.evidence(trial)
        recomputed = coalmine.harvester.replayed(trial)
    except CorruptRecordError as error:
        whole = coalmine.harvester.whole_replay(trial)
        return Replay(trial=trial.id, stored=None, recomputed=whole, problem=str(error))
    return Replay(trial=trial.id, stored=stored, recomputed=recomputed)
