"""What Coalmine needs of a tracker: issues as a forge has them, and states that show the work on them.

The contract suite (`tests/contract/test_trackers.py`) holds every kind to it.
"""

import re
from typing import Protocol

from routing.forges.forge import IssueTracker
from routing.forges.stage import ShowsWork

_MARK = re.compile(r"<!-- [^`]{1,200} -->")


class Tracker(IssueTracker, ShowsWork, Protocol):
    """One project of a tracker. `repo` is its key, the only one that there is for us.

    People are named by the id that the tracker gives them: names may be alike, and change.
    """

    def missing_states(self) -> tuple[str, ...]:
        """The names of states in the settings that the project does not have."""
        ...

    def close_connections(self) -> None:
        """Give the sockets back; the next call opens new ones."""
        ...


def with_visible_mark(body: str) -> str:
    """A comment whose last line, a comment of HTML, is shown as code: trackers keep no comments of HTML."""
    text, _, last = body.rstrip().rpartition("\n")
    return f"{text}\n`{last}`" if _MARK.fullmatch(last) else body


def with_hidden_mark(body: str) -> str:
    """The comment as it was before `with_visible_mark`."""
    text, _, last = body.rstrip().rpartition("\n")
    return f"{text}\n{last.strip('`')}" if _MARK.fullmatch(last.strip("`")) else body
