"""References to issues in a text: `#5`, `owner/repo#5`, `github:owner/repo#5`; never a number inside a word.

An address counts when its path is that of an issue, or of a pull request, of the same repository: for another
path, the text does not say which forge the address belongs to. A link in markdown is its address.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from routing.errors import InvalidInputError
from routing.issues.issue import IssueRef, is_repository_name

#: A reference as it may be written; whether the words before `#` name a repository is decided in `_named`.
REFERENCE = re.compile(
    r"https?://[^\s/]{1,253}/(?P<path>[A-Za-z0-9._/-]{1,300}?)/(?:-/)?(?:issues|pulls?|work_items)"
    r"/(?P<id>[1-9][0-9]{0,8})(?![\w-])(?:/[\w/-]{0,99})?(?:\?[\w=&%.-]{0,200}\w)?(?:\#[\w-]{1,99})?"
    r"|(?:(?<![\w#&./:@-])|(?<=[0-9]/))(?P<where>[A-Za-z0-9][A-Za-z0-9._/:-]{0,300})?#(?P<number>[1-9][0-9]{0,8})"
    r"(?!\w|-\w|\.\d|/(?!#))"
)


#: Words of a link that may be a statement, and no mere name of what it leads to.
_SAYS = re.compile(r"block|depend|requires", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """A reference with its place in the text."""

    ref: IssueRef
    start: int
    end: int


def references(text: str, own: IssueRef) -> Iterator[Reference]:
    """The references in a text, in their order; `own` is the issue whose text it is."""
    for found in REFERENCE.finditer(text):
        if found["id"]:
            same = found["path"].casefold() == own.repo.casefold()
            ref = _named("", int(found["id"]), own) if same else None
        else:
            ref = _named(found["where"] or "", int(found["number"]), own)
        if ref is not None:
            yield Reference(ref=ref, start=found.start(), end=found.end())


def linked(text: str, address: str) -> str:
    """The words of a link, with its address where that is an issue's: then the words only name the link.

    What they say of it ("blocked by the schema") is kept, and a number in them is not: the address counts.
    """
    if not (found := REFERENCE.match(address)) or not found["id"]:
        return text
    words = REFERENCE.sub(" ", text) if _SAYS.search(text) else ""
    return f"{words} {found[0]}" if words.strip() else found[0]


def _named(where: str, number: int, own: IssueRef) -> IssueRef | None:
    """The issue that is meant; None when the word before the number names no repository."""
    if not where or where.casefold() == own.repo.casefold():
        return IssueRef(forge=own.forge, repo=own.repo, number=number)
    if ":" in where:
        try:
            return IssueRef.parse(f"{where}#{number}")
        except InvalidInputError:
            return None
    if "/" in where and is_repository_name(where):
        return IssueRef(forge=own.forge, repo=where, number=number)
    return None
