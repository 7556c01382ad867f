"""The tables that explain trials, and their differences by group and over jobs: from the ledger, and kept.

All change with a trial's revision alone. What was explained is kept, so that looking again costs nothing,
and after new outcomes the table goes on from the first unit about which something new is known. Groups of
which a record has expired meanwhile stay as they were: all of their units were known then.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from harvest.evidence.difference import Difference, DifferenceStep, difference_course
from harvest.evidence.explanation import ExplainedUnit, explain
from harvest.evidence.group_differences import GroupDifference, group_differences
from harvest.evidence.policy import TrialPolicy
from harvest.evidence.trial_test import parted
from harvest.trials.modes import deciding_test
from routing.jobs.job import Job
from routing.templates.trial import Arm, Mode, Trial

#: How many trials' tables a process keeps: one of 5,000 jobs takes about 10 MB.
_MOST = 4

#: Jobs or pairs of a trial that are looked up for their groups: the newest.
MOST_GROUPED = 1_000


class FixForwards(NamedTuple):
    """How often jobs went back to their agents, which were to repair what was red."""

    turns: int
    jobs: int  # among which they are


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """A trial's units in the order of dispatch, and the differences by repository and by difficulty."""

    revision: int  # of the trial
    lines: Sequence[ExplainedUnit]
    groups: Mapping[str, Sequence[GroupDifference]]
    course: Sequence[DifferenceStep]  # of the difference and its interval
    fix_forwards: Mapping[Arm, FixForwards]  # of the newest jobs; none for pairs


class Explanations:
    """Explanations by trial. Threads may share it: two that ask at once compute the same.

    `of` costs O(jobs of the trial) when the trial has moved since it was asked for; CorruptRecordError for a
    ledger that cannot be read.
    """

    def __init__(
        self,
        ledger: Callable[[Trial], Sequence[Any]],
        jobs: Callable[[Sequence[str]], Sequence[Job | None]],
        difference: Callable[[Trial], Difference],
    ) -> None:
        self._ledger = ledger  # of a trial, as far as its stored state has counted it
        self._jobs = jobs  # records by id, None for one that is no longer there
        self._difference = difference  # of a trial, as it is now
        self._kept: OrderedDict[str, Explanation] = OrderedDict()

    def of(self, trial: Trial) -> Explanation:
        """What the evidence that is stored now rests on."""
        kept = self._kept.get(trial.id)
        if kept is not None and kept.revision == trial.revision:
            with suppress(KeyError):  # another thread took it
                self._kept.move_to_end(trial.id)
            return kept
        policy = TrialPolicy.from_json(trial.policy)
        test, ledger = deciding_test(policy), self._ledger(trial)
        dispatches, _ = parted(test, ledger)
        jobs = self._jobs([line.subject for line in dispatches[-MOST_GROUPED:]])
        found = Explanation(
            revision=trial.revision,
            lines=explain(test, policy, ledger, known=() if kept is None else kept.lines),
            groups=_groups(policy, ledger, jobs, is_cut=len(dispatches) > MOST_GROUPED or None in jobs),
            course=difference_course(test, policy, ledger, self._difference(trial)),
            fix_forwards=_fix_forwards(jobs) if trial.mode is Mode.DRAW else {},
        )
        self._kept[trial.id] = found
        self._kept.move_to_end(trial.id)
        while len(self._kept) > _MOST:
            with suppress(KeyError):  # another thread took it
                self._kept.popitem(last=False)
        return found


def _groups(
    policy: TrialPolicy, ledger: Sequence[object], jobs: Sequence[Job | None], *, is_cut: bool
) -> dict[str, list[GroupDifference]]:
    """By what is known of the issues before they are dispatched, from the records of the newest jobs.

    A record that has expired is of no group; then, and in a longer trial, the groups have no intervals.
    Kinds of which all jobs have the same are left out.
    """
    test = deciding_test(policy)
    asked = {job.id: job.request for job in jobs if job is not None}
    kinds = {
        "repository": {job: request.repository for job, request in asked.items() if request.repository},
        "difficulty": {job: request.difficulty for job, request in asked.items() if request.difficulty},
    }
    found = {
        kind: group_differences(test, policy, ledger, groups, is_cut=is_cut) for kind, groups in kinds.items()
    }
    return {kind: groups for kind, groups in found.items() if groups}


def _fix_forwards(jobs: Sequence[Job | None]) -> dict[Arm, FixForwards]:
    """By arm, of the jobs whose records are there."""
    turns = {arm: [job.fix_forwards for job in jobs if job is not None and job.arm is arm] for arm in Arm}
    return {arm: FixForwards(sum(found), len(found)) for arm, found in turns.items()}
