"""Who asked for agents, and who took that back: read from what a forge remembers of an issue.

The answer decides whether an agent starts, because only the request of a person with write access counts. So
it is taken from the forge's own history, never from the text of an issue or a delivery. Pure.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class IssueMark:
    """A label, or an assignee, that came or went, or that the issue was closed (added), or reopened.

    Names are compared as the forge compares them, and logins without their case.
    """

    kind: Literal["label", "assignee", "end"]
    name: str  # of the label as the forge compares them, or the assignee's login without its case, or ""
    added: bool  # False when it went
    actor: str  # login of who did it, "" when the forge does not know any more


def last_to_label(marks: Sequence[IssueMark], label: str) -> str:
    """Who put the label on, "" when it was taken off since, or nobody is known; marks come oldest first.

    The newest mark decides: a label that a person took off and another put on again is the other's request.
    """
    newest = next((mark for mark in reversed(marks) if (mark.kind, mark.name) == ("label", label)), None)
    return newest.actor if newest is not None and newest.added else ""


def last_to_unlabel(marks: Sequence[IssueMark], label: str) -> str:
    """Who took the label off, "" when it was put on since, or nobody is known; marks come oldest first."""
    newest = next((mark for mark in reversed(marks) if (mark.kind, mark.name) == ("label", label)), None)
    return newest.actor if newest is not None and not newest.added else ""


def last_to_close(marks: Sequence[IssueMark]) -> str:
    """Who closed the issue, "" when it was reopened since, or nobody is known; marks come oldest first."""
    newest = next((mark for mark in reversed(marks) if mark.kind == "end"), None)
    return newest.actor if newest is not None and newest.added else ""


def last_to_reassign(marks: Sequence[IssueMark], *, own: str) -> str:
    """Who gave the issue to somebody, or took it from somebody, last, apart from us; "" for nobody known."""
    named = (mark.actor for mark in reversed(marks) if mark.kind == "assignee")
    return next((actor for actor in named if actor.casefold() != own.casefold()), "")


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
