"""A trial with its evidence, and the table that explains it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from console.output.trials.trial_explanation import explanation_document
from console.output.trials.trial_status import TrialStatus
from console.status.fleet_reading import read_trials
from harvest.evidence.explanation import ExplainedUnit, explain
from tasks.composition.composition import Coalmine


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialExplanation:
    """A trial now, and each of its jobs in the order of dispatch."""

    status: TrialStatus
    lines: Sequence[ExplainedUnit]

    def document(self) -> dict[str, Any]:
        """For scripts."""
        return explanation_document(self.status, self.lines)


def read_trial(parts: Coalmine, reference: str) -> TrialStatus:
    """Read it by its id, or a template's open or last one; UnknownTrialError where there is none."""
    (status,) = read_trials(parts, [parts.trials.find(reference)], parts.trial_store.now())
    return status


def read_explanation(parts: Coalmine, reference: str) -> TrialExplanation:
    """The same with its ledger, explained: O(jobs of the trial)."""
    status = read_trial(parts, reference)
    ledger = parts.harvester.counted_ledger(status.trial)
    return TrialExplanation(
        status=status, lines=explain(type(status.evidence), status.evidence.policy, ledger)
    )
