"""Issues that webhooks named, and that wait to be read from their forge.

A delivery only says that something happened to an issue. It may be old, late or repeated, so the issue is
read again, and judged by what the forge says then; the hints merely help to find out who did it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from routing.issues.issue import IssueRef
from routing.printable import printable
from routing.store.backlog.delivery_store import DeliveryStore

#: Seconds after which an issue is taken again whose look was not finished.
LOOK_SECONDS = 60.0


class Hint(BaseModel):
    """What one delivery said. It was signed by the forge, and may have been overtaken since."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="ignore")

    digest: str  # tells the delivery from all others
    delivery: str  # the forge's id, "" when it sent none
    event: str
    action: str
    actor: str  # login of who did it; whether that user is trusted is for the forge to say


class _Note(BaseModel):
    """The stored form of an issue's hints."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="ignore")

    v: Literal[1]
    hints: tuple[Hint, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """An issue that is to be read from its forge and judged."""

    issue: IssueRef
    note: str  # as it is stored, for `Intake.done`
    hints: tuple[Hint, ...]  # oldest first, the last few; empty when they cannot be read


class Intake:
    """Filled by the webhook door, emptied by a tick."""

    def __init__(self, deliveries: DeliveryStore) -> None:
        self._deliveries = deliveries

    def take_intake(self, *, most: int = 100, lease_seconds: float = LOOK_SECONDS) -> list[Arrival]:
        """Take what waits, the longest waiting first, each issue once however many deliveries named it.

        What is taken stays here until it is `done`, so that the look of a process that died is repeated.
        While dispatch is paused nothing is taken.
        """
        taken = self._deliveries.take(most=most, lease_seconds=lease_seconds)
        return [_arrival(issue, note) for issue, note in taken]

    def done(self, arrival: Arrival) -> bool:
        """Forget an issue that was looked at; False when a delivery named it meanwhile: it waits again."""
        return self._deliveries.done(str(arrival.issue), arrival.note)


def _arrival(issue: str, noted: str) -> Arrival:
    """An issue whose note is damaged, or of a newer form, is looked at without its hints."""
    try:
        hints = _Note.model_validate_json(noted).hints
    except ValidationError:
        hints = ()
    return Arrival(issue=IssueRef.parse(issue), note=noted, hints=hints)


def by_whom(hints: Sequence[Hint], actions: Collection[str], *, own: str) -> str:
    """Who did something of these actions, as ` (by ann)` at the end of a reason; "" where nobody knows: pure.

    Our own doing counts for nothing, and where deliveries name several people, nobody is named.
    """
    said = [hint.actor for hint in hints if hint.action in actions]
    found = {actor for actor in said if actor.casefold() != own.casefold()}
    return f" (by {printable(found.pop())})" if len(found) == 1 and "" not in found else ""
