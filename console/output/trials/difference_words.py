"""The difference between the versions of a trial, with its interval, in words and cells.

The interval is named before the value: it is what holds at every look.
"""

from collections.abc import Iterable, Iterator, Sequence

from rich.console import RenderableType

from console.output.rendering import heading, table, text
from harvest.evidence.difference import Difference
from harvest.evidence.group_differences import GroupDifference

#: Why a group decides nothing.
MANY_LOOKS = (
    "Of many groups some look better or worse by chance, the small ones most. "
    "The last column is drawn towards the whole for that; no group decides anything."
)

GROUPS_CUT = (
    " The records of earlier jobs are no longer read, so no group has an interval: "
    "it would not hold at every look."
)


def signed(value: float | None) -> str:
    """A difference with its sign; a dash for an unknown one."""
    return "-" if value is None else f"{value:+.2f}"


def difference_cell(found: Difference | None) -> str:
    """`+0.02 [-0.04, +0.11]`; a dash where nothing is known."""
    if found is None or (found.value is None and found.lower <= -1.0 and found.upper >= 1.0):
        return "-"
    return f"{signed(found.value)} [{signed(found.lower)}, {signed(found.upper)}]"


def group_cell(found: GroupDifference) -> str:
    """The difference of a group; without an interval where earlier units are missing."""
    return signed(found.difference.value) if found.is_cut else difference_cell(found.difference)


def groups_meaning(groups: Iterable[GroupDifference]) -> str:
    """What the table of groups means, and why there is no interval."""
    return MANY_LOOKS + (GROUPS_CUT if any(each.is_cut for each in groups) else "")


def difference_words(found: Difference | None) -> str:
    """The whole sentence, with what the interval promises; "" before anything is known."""
    if found is None or difference_cell(found) == "-":
        return ""
    start = f"The canary's mean score less the champion's is {signed(found.value)} so far, and "
    if found.contradicts:
        return f"{start}no difference fits all outcomes: something has changed while the trial ran."
    return (
        f"{start}really between {signed(found.lower)} and {signed(found.upper)}: the lower end is wrong with "
        f"chance {found.beta:g} at most, the upper one with {found.alpha:g}, however often one looks."
    )


def groups_view(kind: str, groups: Sequence[GroupDifference]) -> Iterator[RenderableType]:
    """Differences by group for people; nothing where there is one group."""
    if not groups:
        return
    yield ""
    yield heading(f"Difference by {kind}")
    yield table(
        (f"!{kind}", "!>units", "!difference and interval", "!>towards the whole"),
        ((each.name, str(each.units), group_cell(each), signed(each.shrunk)) for each in groups),
    )
    yield text(groups_meaning(groups), "dim")
