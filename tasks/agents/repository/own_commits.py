"""The messages of an agent's commits, before they are pushed: words that keep CI away are taken out.

A commit is written anew with the same tree, authors and times, and so are its descendants. The same commits
give the same new ones each time, so that a later push only adds to what is there.
"""

import logging
from collections.abc import Sequence

from routing.forges.skip_marker import skip_marker, without_skip_markers
from routing.git.git import Git

_LOG = logging.getLogger(__name__)


def judged_by_ci(git: Git, tip: str, without: Sequence[str]) -> str:
    """The tip of the same commits, none of whose messages keeps CI away; `tip` itself where none does.

    `without` are revisions whose commits are not the agent's, as git lists them (`^COMMIT`): they stay.
    """
    own = (tip, *without, "--")
    if not skip_marker(git("log", "--format=%B", *own)):
        return tip
    made: dict[str, str] = {}
    for commit in git("rev-list", "--topo-order", "--reverse", *own).split():
        made[commit] = _anew(git, commit, made)
    _LOG.warning("commit messages that kept CI away were changed: %s is pushed as %s", tip, made[tip])
    return made[tip]


def _anew(git: Git, commit: str, made: dict[str, str]) -> str:
    """The commit with a message that CI heeds and the new parents; itself where nothing changes.

    A signature is dropped, as it would be of another commit; so is the encoding, as the message is UTF-8 now.
    """
    head, _, message = git("cat-file", "commit", commit).partition("\n\n")
    lines = [_with_parent(line, made) for line in head.split("\n")]
    text = without_skip_markers(f"{message}\n")
    if lines == head.split("\n") and text == f"{message}\n":
        return commit
    content = f"{_unsigned(lines)}\n\n{text}"
    return git("hash-object", "-t", "commit", "-w", "--stdin", stdin=content)


def _with_parent(line: str, made: dict[str, str]) -> str:
    name, _, value = line.partition(" ")
    return f"parent {made.get(value, value)}" if name == "parent" else line


def _unsigned(lines: list[str]) -> str:
    """The header without its signature, whose further lines begin with a space."""
    kept, dropping = [], False
    for line in lines:
        dropping = line.startswith(("gpgsig", "mergetag", "encoding ")) or (dropping and line.startswith(" "))
        kept += [] if dropping else [line]
    return "\n".join(kept)
