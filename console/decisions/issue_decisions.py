"""Decisions about an issue and its place in the queue, and about where issues come from."""

from contextlib import closing
from dataclasses import dataclass

from routing.backlog.item import BacklogItem, BacklogState
from routing.errors import InvalidInputError, NotFoundError, UnavailableError
from routing.forges.config import RemoteConfig
from routing.forges.errors import ForgeError
from routing.issues.issue import IssueRef
from routing.issues.stated_words import PRIORITIES
from tasks.composition.composition import Coalmine
from tasks.composition.forge_parts import ForgeParts

#: States in which an issue carries the label that leaves it to people.
LEFT_TO_PEOPLE = frozenset({BacklogState.ESCALATED, BacklogState.FROZEN})

#: What people write in place of a priority to leave it to what the issue says.
AS_LABELLED = "labels"

#: All that they may write, in words.
PRIORITY_WORDS = (
    f"{PRIORITIES[0]}, the most urgent, to {PRIORITIES[-1]}; `{AS_LABELLED}` leaves it to what the issue says"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class IssueResumed:
    """What became of an issue that a person put back."""

    before: BacklogItem
    item: BacklogItem  # as it is now
    changed: bool
    label_off: bool | None  # whether it had the label that leaves it to people; None: its forge was not asked


def pause_issue(parts: Coalmine, ref: IssueRef, *, by: str) -> tuple[BacklogItem, bool]:
    """Take an issue out of the queue; returns it as it is now, and whether that changed anything."""
    with closing(_forge_parts(parts)) as forges:
        changed = forges.backlog.cancel(ref, by=by)
        # Read again after the step: the answer shows what is stored, not what was meant.
        return forges.backlog.find(ref), changed


def resume_issue(parts: Coalmine, ref: IssueRef, *, by: str) -> IssueResumed:
    """Put an issue back that was paused or waits for a person, and take its label off on its forge."""
    label = parts.settings.issues.watch.escalation_label
    with closing(_forge_parts(parts)) as forges:
        before = forges.backlog.find(ref)
        # The label first: with it still on, the next poll would take the issue out again.
        off = _take_label_off(forges, before, label)
        changed = forges.backlog.requeue(ref, by=by) or bool(off)  # a poll may have put it back in between
        return IssueResumed(before=before, item=forges.backlog.find(ref), changed=changed, label_off=off)


def prioritize_issue(
    parts: Coalmine, ref: IssueRef, priority: int | None, *, by: str
) -> tuple[BacklogItem, bool]:
    """Set an issue's priority, or with None leave it to what the issue says: `Backlog.set_priority`.

    Returns it as it is now, and whether that changed anything.
    """
    with closing(_forge_parts(parts)) as forges:
        changed = forges.backlog.set_priority(ref, priority, by=by)
        return forges.backlog.find(ref), changed


def priority_named(text: str) -> int | None:
    """One of PRIORITIES as people write it; None for AS_LABELLED; InvalidInputError for others."""
    if text == AS_LABELLED:
        return None
    if text in map(str, PRIORITIES):
        return int(text)
    message = f"{text[:20]!r} is not a priority, and nothing was changed; give {PRIORITY_WORDS}"
    raise InvalidInputError(message)


def accept_repository(parts: Coalmine, place: str) -> bool:
    """Serve whatever repository has the name `forge:repo` at the next look; False if nothing was known of it.

    NotFoundError for a place that no forge of the settings over HTTP serves.
    """
    from routing.forges.rest.clone import server_of  # noqa: PLC0415 - HTTP and git, for this step alone

    name, _, repo = place.partition(":")
    remote = [one for one in parts.settings.forge if isinstance(one, RemoteConfig) and one.is_served]
    config = next((one for one in remote if one.name == name and one.served.spelled(repo)), None)
    if config is None:
        known = ", ".join(f"{one.name}:{repo}" for one in remote for repo in one.repositories) or "none"
        message = f"no forge that is reached over HTTP serves {place[:100]!r}; these are served: {known}"
        raise NotFoundError(message)
    return parts.repository_ids.forget(name, server_of(config), repo) is not None


def _forge_parts(parts: Coalmine) -> ForgeParts:
    """The parts around forges. No decision runs a CI."""
    return ForgeParts(coalmine=parts, run_ci=lambda _commit: None)


def _take_label_off(forges: ForgeParts, item: BacklogItem, label: str) -> bool | None:
    """Take the label off the item's issue; with it, the next poll would take the issue out of the queue.

    Returns whether the issue had the label. None: its forge was not asked, because the item does not wait
    for a person, the forge is not set up here, or its kill switch is on. Labels are compared without regard
    to case and removed in the forge's own spelling. Raises UnavailableError when the forge does not answer
    or refuses; a label that is gone already is not an error.
    """
    site = forges.sources.get(item.ref.forge)
    waits = item.state in LEFT_TO_PEOPLE or item.paused
    if site is None or site.config.kill_switch or not waits:
        return None
    try:
        found = site.forge.read_issue(item.ref)
        theirs = [name for name in found.labels if name.casefold() == label.casefold()]
        for name in theirs:
            site.forge.remove_label(item.ref, name)
    except ForgeError as error:
        remedy = "nothing was changed; try again, or take the label off on its forge"
        message = f"the label {label} could not be taken off {item.ref} ({error}): {remedy}"
        raise UnavailableError(message) from error
    return bool(theirs)
