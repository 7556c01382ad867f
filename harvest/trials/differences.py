"""The differences of trials with their intervals, for people: computed from the ledger, and kept.

A trial's difference changes with its revision alone, so one that was asked for is kept until then: looking
again costs nothing, and no harvest pays for it. A verdict writes it into its review.
"""

import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from harvest.evidence.difference import Difference, difference_of
from harvest.evidence.policy import TrialPolicy
from harvest.trials.modes import deciding_test
from routing.errors import CorruptRecordError
from routing.templates.trial import Trial

#: How many trials' differences a process keeps.
_MOST = 200


class Differences:
    """Differences by trial. Threads may share it: two that ask at once compute the same.

    `of` costs O(jobs of the trial) when the trial has moved since it was asked for; CorruptRecordError for a
    ledger that cannot be read.
    """

    def __init__(self, ledger: Callable[[Trial], Sequence[Any]]) -> None:
        self._ledger = ledger  # of a trial, as far as its stored state has counted it
        self._kept: OrderedDict[str, tuple[int, Difference]] = OrderedDict()

    def of(self, trial: Trial) -> Difference:
        """What the evidence that is stored now says."""
        kept = self._kept.get(trial.id)
        if kept is not None and kept[0] == trial.revision:
            return kept[1]
        policy = TrialPolicy.from_json(trial.policy)
        found = difference_of(deciding_test(policy), policy, self._ledger(trial))
        self._kept[trial.id] = trial.revision, found
        while len(self._kept) > _MOST:
            with suppress(KeyError):  # another thread took it
                self._kept.popitem(last=False)
        return found

    def in_list(self, trial: Trial) -> Difference | None:
        """For lists: of an open trial as it is now, of an ended one as its verdict had it, without a ledger.

        None for a trial that ended without a verdict of the evidence, and for one that cannot be read.
        """
        if trial.is_open:
            try:
                return self.of(trial)
            except CorruptRecordError:
                return None
        try:
            return Difference.stored(json.loads(trial.review)["difference"])
        except (ValueError, KeyError, TypeError):  # no review, or one of before
            return None
