"""All that is known of one issue, read for `coalmine issue show`.

It reads stores and no forge: what a forge said is shown as it was recorded, so the command answers while
the forge is away.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from routing.backlog.item import BacklogItem
from routing.errors import NotFoundError
from routing.events import Event
from routing.issues.issue import IssueRef

if TYPE_CHECKING:
    from routing.store.backlog.backlog_store import BacklogStore
    from routing.store.events.event_store import EventStore

#: How many of the latest events of the fleet are searched for those of one issue, and how many are shown.
EVENTS_READ = 2_000
EVENTS_KEPT = 20

#: What a forge answered about a blocker that is not in the backlog, in words.
_SAID = {
    "open": "open on its forge",
    "closed": "closed on its forge",
    "missing": "unknown to its forge",
    "": "its forge was not asked yet",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Neighbour:
    """An issue that another one waits for, or that waits for it."""

    ref: IssueRef
    state: str  # its state in the backlog, or what its forge answered
    title: str  # "" when it is not in the backlog


@dataclass(frozen=True, kw_only=True, slots=True)
class IssueDetail:
    """One issue with its neighbours and its latest events."""

    item: BacklogItem
    blockers: Sequence[Neighbour]
    dependents: Sequence[Neighbour]
    events: Sequence[Event]  # of the issue, oldest first; at most EVENTS_KEPT


def detail_of(ref: IssueRef, store: BacklogStore, events: EventStore) -> IssueDetail:
    """Read it; NotFoundError for an issue that is not in the backlog.

    The parts are read one after the other, so they may be of slightly different moments. An issue that is
    waited for may be missing from the backlog; then its state is what its forge answered about it.
    """
    item = store.read([ref])[0]
    if item is None:
        message = f"issue {ref} is not in the backlog; label it on its forge to have it taken in"
        raise NotFoundError(message)
    return IssueDetail(
        item=item,
        blockers=_neighbours(store, store.blockers(ref)),
        dependents=_neighbours(store, store.dependents(ref)),
        events=_of_issue(events.newest(EVENTS_READ), str(ref)),
    )


def _neighbours(store: BacklogStore, refs: Sequence[IssueRef]) -> list[Neighbour]:
    """The issues that the references name, in their order; one whose record is damaged counts as unknown."""
    known = {item.ref: item for item in store.read_sound(refs)}
    said = dict(zip(refs, store.said(refs), strict=True))
    return [_neighbour(ref, known.get(ref), said[ref]) for ref in refs]


def _neighbour(ref: IssueRef, item: BacklogItem | None, said: str) -> Neighbour:
    """One of them; its state says both what the backlog has and what the forge answered, if it was asked."""
    if item is None:
        return Neighbour(ref=ref, state=_SAID.get(said, said), title="")
    # the forge is also asked about a blocker that has left the queue
    asked = f", {_SAID[said]}" if said else ""
    return Neighbour(ref=ref, state=f"{item.state.value}{asked}", title=item.title)


def _of_issue(newest_first: Iterable[Event], issue: str) -> list[Event]:
    """The latest EVENTS_KEPT events of the issue, oldest first, out of the latest of the whole fleet."""
    found = [event for event in newest_first if event.subject == issue]
    return found[:EVENTS_KEPT][::-1]
