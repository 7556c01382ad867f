"""A trial with its evidence, and the table that explains it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from console.output.trials.trial_explanation import Groups, explanation_document
from console.output.trials.trial_status import TrialStatus
from console.status.fleet_reading import read_trials
from harvest.evidence.explanation import ExplainedUnit, explain
from harvest.evidence.group_differences import GroupDifference, group_differences
from harvest.evidence.policy import TrialPolicy
from harvest.evidence.trial_test import AnyTest, parted
from tasks.composition.composition import Coalmine

#: Jobs or pairs of a trial that are looked up for their groups: the newest.
MOST_GROUPED = 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialExplanation:
    """A trial now, and each of its jobs in the order of dispatch."""

    status: TrialStatus
    lines: Sequence[ExplainedUnit]
    groups: Groups  # the differences by repository and by difficulty

    def document(self) -> dict[str, Any]:
        """For scripts."""
        return explanation_document(self.status, self.lines, self.groups)


def read_trial(parts: Coalmine, reference: str) -> TrialStatus:
    """Read it by its id, or a template's open or last one; UnknownTrialError where there is none."""
    (status,) = read_trials(parts, [parts.trials.find(reference)], parts.trial_store.now(), priced=True)
    return status


def read_explanation(parts: Coalmine, reference: str) -> TrialExplanation:
    """The same with its ledger, explained: O(jobs of the trial)."""
    status = read_trial(parts, reference)
    ledger = parts.harvester.counted_ledger(status.trial)
    test, policy = type(status.evidence), status.evidence.policy
    return TrialExplanation(
        status=status, lines=explain(test, policy, ledger), groups=_groups(parts, test, policy, ledger)
    )


def _groups(
    parts: Coalmine, test: type[AnyTest], policy: TrialPolicy, ledger: Sequence[object]
) -> dict[str, list[GroupDifference]]:
    """By what is known of the issues before they are dispatched, from the records of the newest jobs.

    A record that has expired is of no group; then, and in a longer trial, the groups have no intervals. Kinds
    of which all jobs have the same are left out.
    """
    dispatches, _ = parted(test, ledger)
    jobs = parts.job_store.read_many([line.subject for line in dispatches[-MOST_GROUPED:]])
    is_cut = len(dispatches) > MOST_GROUPED or None in jobs
    requests = {job.id: job.request for job in jobs if job is not None}
    kinds = {
        "repository": {job: request.repository for job, request in requests.items() if request.repository},
        "difficulty": {job: request.difficulty for job, request in requests.items() if request.difficulty},
    }
    found = {
        kind: group_differences(test, policy, ledger, groups, is_cut=is_cut) for kind, groups in kinds.items()
    }
    return {kind: groups for kind, groups in found.items() if groups}
