"""Who asked for agents: read from what a forge remembers of an issue."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class IssueMark:
    """A label, or an assignee, that came or went."""

    kind: Literal["label", "assignee"]
    name: str  # of the label as the forge compares them, or the assignee's login without its case
    added: bool  # False when it went
    actor: str  # login of who did it, "" when the forge does not know any more


def last_to_label(marks: Sequence[IssueMark], label: str) -> str:
    """Who put the label on, "" when it was taken off since; marks come oldest first."""
    newest = next((mark for mark in reversed(marks) if (mark.kind, mark.name) == ("label", label)), None)
    return newest.actor if newest is not None and newest.added else ""


def last_to_assign(marks: Sequence[IssueMark], assigned: Collection[str], *, own: str) -> str | None:
    """Who made the newest assignment that is still in force; None when only we made some."""
    seen: set[str] = set()
    for mark in reversed([mark for mark in marks if mark.kind == "assignee"]):
        stands = mark.added and mark.name in assigned and mark.name not in seen
        if stands and mark.actor.casefold() != own.casefold():
            return mark.actor
        seen.add(mark.name)
    return None
