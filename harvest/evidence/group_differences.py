"""The difference by group of issues, such as by repository: where a canary is better, and where it is worse.

A group is known before the dispatch of its units, so its interval holds as the whole trial's does. Of many
groups one may be off by chance, the more so the smaller it is. So its difference is also given shrunk towards
the whole, as if some more of its units had shown what all show, and nothing is decided by a group.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from harvest.evidence.difference import Difference, difference_of
from harvest.evidence.ledger_line import DispatchLine, SettlementLine
from harvest.evidence.policy import TrialPolicy
from harvest.evidence.trial_test import AnyTest, parted

#: Groups that are shown: the largest.
MOST_GROUPS = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupDifference:
    """The difference within one group."""

    name: str
    units: int  # dispatched: jobs of both arms, or pairs
    difference: Difference  # of these units alone
    is_cut: bool = False  # whether units of it may be missing, so that its interval does not hold
    shrunk: float | None  # towards the whole; None before the whole has any

    def document(self) -> dict[str, Any]:
        """For scripts."""
        missing = {"lower": None, "upper": None} if self.is_cut else {}
        return {
            "name": self.name,
            "units": self.units,
            "shrunk": self.shrunk,
            "is_cut": self.is_cut,
            "difference": self.difference.document() | missing,
        }


def group_differences(
    test: type[AnyTest], policy: TrialPolicy, ledger: Iterable[object], groups: Mapping[str, str],
    *, is_cut: bool = False,
) -> list[GroupDifference]:  # fmt: skip
    """The largest groups, the largest first; none where all units are of one group.

    `groups` has the group of a unit by its subject, the id of the (champion's) job. Units that it does not
    have are left out. `is_cut`: some are missing whose group is no longer known. Each look would then begin a
    group's betting with another unit, so its interval would not hold.
    """
    dispatches, settlements = parted(test, ledger)
    group_of = {line.index: groups[line.subject] for line in dispatches if line.subject in groups}
    sizes = Counter(group_of.values())
    if len(sizes) <= 1:
        return []
    lines: list[DispatchLine | SettlementLine] = [*dispatches, *settlements]
    whole = difference_of(test, policy, [line for line in lines if line.index in group_of])
    found = []
    for name, units in sizes.most_common(MOST_GROUPS):
        own = difference_of(test, policy, [line for line in lines if group_of.get(line.index) == name])
        found.append(
            GroupDifference(
                name=name,
                units=units,
                difference=own,
                is_cut=is_cut,
                shrunk=_shrunk(own, whole, policy.stratum_weight),
            )
        )
    return found


def _shrunk(own: Difference, whole: Difference, weight: float) -> float | None:
    """The group's difference, as if `weight` more of its units had shown the whole's."""
    if whole.value is None:
        return own.value
    return ((own.value or 0.0) * own.units + whole.value * weight) / (own.units + weight)
