"""Who did what ended the work on an issue: as deliveries say, else as its forge remembers.

It is for the words of a reason alone, so what cannot be found out holds nothing up, and names nobody.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from routing.backlog.intake import Hint, by_whom
from routing.errors import CoalmineError
from routing.forges.forge import Deed, RemembersDeeds
from routing.forges.site import IssueSite
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
    try:
        own = site.forge.own_login()
        named = by_whom(hints, ACTIONS[deed], own=own)
        if named or not isinstance(site.forge, RemembersDeeds):
            return named
        who = site.forge.last_to(deed, issue, site.config.label)
    except CoalmineError as error:
        _log.info("issue.doer_not_known", issue=str(issue), reason=str(error))
        return ""
    return f" (by {printable(who)})" if who and who.casefold() != own.casefold() else ""


def by_delivery(site: IssueSite, hints: Sequence[Hint]) -> str:
    """Return the same for an issue that its forge no longer has."""
    named = any(hint.action in TAKEN_AWAY for hint in hints)
    return by_whom(hints, TAKEN_AWAY, own=site.forge.own_login()) if named else ""
