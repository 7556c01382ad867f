"""The label of issues that wait for a person, taken off where a person has an agent try again."""

from routing.backlog.item import BacklogItem, BacklogState
from routing.errors import UnavailableError
from routing.forges.errors import ForgeError
from tasks.composition.forge_parts import ForgeParts

#: States in which an issue carries the label of issues that wait for a person.
LEFT_TO_PEOPLE = frozenset({BacklogState.ESCALATED, BacklogState.FROZEN})


def take_label_off(forges: ForgeParts, item: BacklogItem, label: str) -> bool | None:
    """Take the label off the item's issue, as the next look would take an issue with it out of the queue.

    True when it was on it; None when nobody looked: the item does not wait for a person, or its forge is
    not to be asked here. A forge that gives no answer, or refuses, raises UnavailableError.
    """
    site = forges.sites.get(item.ref.forge)
    waits = item.state in LEFT_TO_PEOPLE or item.paused
    if site is None or site.gates.kill_switch or not waits:
        return None
    try:
        found = site.forge.read_issue(item.ref)
        theirs = [name for name in found.labels if name.casefold() == label.casefold()]
        for name in theirs:
            site.forge.remove_label(item.ref, name)
    except ForgeError as error:
        remedy = "the issue is where it was; try again, or take the label off on its forge"
        message = f"the label {label} could not be taken off {item.ref} ({error}): {remedy}"
        raise UnavailableError(message) from error
    return bool(theirs)
