"""The text of a case: the issue, without what leads to its answer. Pure.

Links to changes and commits are taken out, and so are the names of the commits of the true change, also when
they are short. What people say about the change in words stays: it is the issue.
"""

import re
from collections.abc import Iterable

#: Stands where a link was.
TAKEN_OUT = "[link taken out]"

#: Characters of a commit's name that people write at least.
_SHORTEST = 7

_LINK = re.compile(
    r"https?://[^\s)>\]]{0,300}/(?:pulls?|merge_requests|commits?|compare|releases|blob|tree|raw|archive)/[^\s)>\]]*",
    re.IGNORECASE,
)
#: The same without its beginning, as people write it: `github.com/a/b/pull/12`, `../commit/3f2a…`.
_PATH = re.compile(
    r"(?<![\w/.~-])(?:[\w.~-]*/)+(?:(?:pulls?|merge_requests)/\d+|(?:commits?|compare)/[\w.]*[0-9a-f]{7,})[^\s)>\]]*",
    re.IGNORECASE,
)
#: What may stand before `#12` or `!12`: a repository, or nothing that makes another word of it.
_REPOSITORY = r"(?:(?<![\w/#.-])[\w.-]+(?:/[\w.-]+)+|(?<![\w#]))"
_HEX = re.compile(r"(?<![0-9a-z])[0-9a-f]{7,64}(?![0-9a-z])", re.IGNORECASE)


def without_answer(text: str, commits: Iterable[str], *, numbers: Iterable[int] = ()) -> str:
    """The text without links to changes, without these commits, and without these numbers.

    `numbers` are those of change requests, as forges write them: `#12`, `!12`, `acme/shop#12`, `GH-12`. An
    issue's own number leads nowhere.
    """
    known = [commit.lower() for commit in commits]

    def taken(found: re.Match[str]) -> str:
        is_one = any(commit.startswith(found[0].lower()) for commit in known)
        return TAKEN_OUT if is_one else found[0]

    text = _HEX.sub(taken, _PATH.sub(TAKEN_OUT, _LINK.sub(TAKEN_OUT, text)))
    for number in numbers:
        text = re.sub(rf"{_REPOSITORY}[!#]{number}(?!\w)|\bGH-{number}(?!\w)", TAKEN_OUT, text)
    return text


def leads_to(text: str, commits: Iterable[str]) -> bool:
    """Whether a text names one of these commits, or links to a change."""
    return without_answer(text, commits) != text
