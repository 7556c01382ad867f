"""Who did what ended the work on an issue: as deliveries say, else as its forge remembers.

It is for the words of a reason alone, so what cannot be found out holds nothing up, and names nobody.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from routing.backlog.intake import Hint, by_whom
from routing.errors import CoalmineError
from routing.forges.change_request import ChangeRequest
from routing.forges.forge import Deed, RemembersDeeds
from routing.forges.site import ForgeSite, IssueSite
from routing.issues.issue import IssueRef
from routing.printable import printable

_log = structlog.get_logger(__name__)

#: Actions of deliveries by what they do to an issue.
ACTIONS: Final[Mapping[Deed, frozenset[str]]] = {
    Deed.CLOSE: frozenset({"closed"}),
    Deed.UNLABEL: frozenset({"unlabeled", "label_updated", "label_cleared"}),
    Deed.ASSIGN: frozenset({"assigned", "unassigned"}),
}

#: Those after which its forge remembers nothing.
TAKEN_AWAY = frozenset({"deleted", "transferred"})


def by(site: IssueSite, issue: IssueRef, deed: Deed, hints: Sequence[Hint] = ()) -> str:
    """Return ` (by ann)`, for the end of a reason; "" where nobody, or several, or we ourselves did it.

    Where no delivery names one person the forge is asked, so it is called only for work that ends.
    """
    forge, label = site.forge, site.config.label
    try:
        named = by_whom(hints, ACTIONS[deed], own=forge.own_login())
        if named or not isinstance(forge, RemembersDeeds):
            return named
        return _words(forge.last_to(deed, issue, label), own=forge.own_login())
    except CoalmineError as error:
        _log.info("doer.not_known", of=str(issue), reason=str(error))
        return ""


def dropped_by(site: ForgeSite | None, change: ChangeRequest | None) -> str:
    """Return the same for a change request that was closed without a merge."""
    forge = site.forge if site is not None else None
    if change is None or forge is None or not isinstance(forge, RemembersDeeds):
        return ""
    try:
        return _words(forge.last_to_drop(change), own=forge.own_login())
    except CoalmineError as error:
        _log.info("doer.not_known", of=change.branch, reason=str(error))
        return ""


def _words(who: str, *, own: str) -> str:
    return f" (by {printable(who)})" if who and who.casefold() != own.casefold() else ""


def by_delivery(site: IssueSite, hints: Sequence[Hint]) -> str:
    """Return the same for an issue that its forge no longer has."""
    named = any(hint.action in TAKEN_AWAY for hint in hints)
    return by_whom(hints, TAKEN_AWAY, own=site.forge.own_login()) if named else ""
