"""The name of an issue as people give it: `github:acme/shop#7`, or as little of it as names one here."""

import re
from collections.abc import Sequence

from routing.errors import InvalidInputError
from routing.forges.config import IssueSourceConfig
from routing.issues.issue import IssueRef

#: `7`, `#7`, `shop#7`, `SHOP-7`: a number, after a repository or not.
_SHORT = re.compile(
    r"(?:(?P<repo>[^:#]+)#|(?P<project>[A-Za-z][A-Za-z0-9_]{0,49})-|#)?(?P<number>[1-9][0-9]{0,9})"
)


def issue_named(text: str, sources: Sequence[IssueSourceConfig]) -> IssueRef:
    """The issue; forge and repository may be left out where the settings have only one that fits.

    An issue of a tracker may be given as the tracker writes it: `jira:SHOP-12`, `SHOP-12`.

    Raises InvalidInputError for anything else, with the names that are meant if there are several.
    """
    short = _SHORT.fullmatch(text)
    if short is None:
        return IssueRef.parse(text)
    places = [f"{source.name}:{name}" for source in sources if source.is_served for name in source.allow_list]
    asked = (short["repo"] or short["project"] or "").casefold()
    fitting = [each for each in places if asked in {"", each.partition(":")[2].casefold()}]
    if len(fitting) == 1:
        return IssueRef.parse(f"{fitting[0]}#{short['number']}")
    if not fitting:
        return IssueRef.parse(text)  # which says how an issue is written
    named = ", ".join(f"{place}#{short['number']}" for place in fitting[:5])
    message = f"{text!r} may be an issue of {len(fitting)} repositories; give one of them: {named}"
    raise InvalidInputError(message)
