"""Who asked for agents: read from what a forge remembers of an issue.

The answer decides whether an agent starts, because only the request of a person with write access counts. So
it is taken from the forge's own history, never from the text of an issue or a delivery. Pure.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class IssueMark:
    """A label, or an assignee, that came or went.

    Names are compared as the forge compares them, and logins without their case.
    """

    kind: Literal["label", "assignee"]
    name: str  # of the label as the forge compares them, or the assignee's login without its case
    added: bool  # False when it went
    actor: str  # login of who did it, "" when the forge does not know any more


def last_to_label(marks: Sequence[IssueMark], label: str) -> str:
    """Who put the label on, "" when it was taken off since, or nobody is known; marks come oldest first.

    The newest mark decides: a label that a person took off and another put on again is the other's request.
    """
    newest = next((mark for mark in reversed(marks) if (mark.kind, mark.name) == ("label", label)), None)
    return newest.actor if newest is not None and newest.added else ""


def last_to_assign(marks: Sequence[IssueMark], assigned: Collection[str], *, own: str) -> str | None:
    """Who made the newest assignment that is still in force; None when only we made some.

    `assigned` are the logins that the issue has now, without their case; `own` is ours, whose assignments are
    no request. Of each assignee the newest mark alone counts. "" is an actor that the forge no longer knows.
    """
    seen: set[str] = set()
    for mark in reversed([mark for mark in marks if mark.kind == "assignee"]):
        # Assigned then, still assigned now, and not taken off in between.
        stands = mark.added and mark.name in assigned and mark.name not in seen
        if stands and mark.actor.casefold() != own.casefold():
            return mark.actor
        seen.add(mark.name)
    return None
