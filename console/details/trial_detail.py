"""A trial with its evidence, and the table that explains it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from console.output.trials.guardrail_spending import guardrail_spending
from console.output.trials.trial_explanation import Groups, explanation_document
from console.output.trials.trial_status import TrialStatus
from console.status.fleet_reading import read_trials
from harvest.evidence.difference import DifferenceStep
from harvest.evidence.explanation import ExplainedUnit
from harvest.trials.explanations import FixForwards
from routing.templates.trial import Arm
from tasks.composition.composition import Coalmine


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialExplanation:
    """A trial now, and each of its jobs in the order of dispatch."""

    status: TrialStatus
    lines: Sequence[ExplainedUnit]
    groups: Groups  # the differences by repository and by difficulty
    course: Sequence[DifferenceStep]  # how the difference came to what it is
    fix_forwards: Mapping[Arm, FixForwards]  # of the newest jobs; none for pairs

    def document(self) -> dict[str, Any]:
        """For scripts."""
        course = [asdict(step) for step in self.course]
        return explanation_document(self.status, self.lines, self.groups) | {
            "difference_over_units": course,
            "guardrails": [each.document() for each in guardrail_spending(self.status, self.lines)],
            "fix_forwards": {arm.value: found._asdict() for arm, found in self.fix_forwards.items()},
        }


def read_trial(parts: Coalmine, reference: str) -> TrialStatus:
    """Read it by its id, or a template's open or last one; UnknownTrialError where there is none."""
    (status,) = read_trials(parts, [parts.trials.find(reference)], parts.trial_store.now(), priced=True)
    return status


def read_explanation(parts: Coalmine, reference: str) -> TrialExplanation:
    """The same with its ledger, explained: O(jobs of the trial) where it has moved since the last look."""
    status = read_trial(parts, reference)
    found = parts.explanations.of(status.trial)
    return TrialExplanation(
        status=status, lines=found.lines, groups=found.groups, course=found.course,
        fix_forwards=found.fix_forwards,
    )  # fmt: skip
