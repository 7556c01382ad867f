"""An agent's own commits, written anew before they are pushed: another message, or another base.

Words in messages that keep CI away are taken out. Commits whose base was taken out of the branch that they go
to are put onto that branch, so that nothing comes back with them. Authors and times stay, and the same
commits give the same new ones each time, so that a later push only adds to what is there.
"""

import logging
from collections.abc import Sequence

from routing.base import Base
from routing.forges.skip_marker import skip_marker, without_skip_markers
from routing.git.git import Git
from routing.git.push_refusal import PushRefusedError, RefusalKind

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


def put_onto(git: Git, tip: str, target: Base, before: Sequence[str]) -> str:
    """The tip of the same work on the branch that it goes to; `tip` itself where that branch has its base.

    `before` are commits that the work began from, or was shown since. PushRefusedError: the work has
    conflicts there, or merges, of which nobody can say what in them is the agent's; a person has to do it.
    """
    own = git("rev-list", "--topo-order", "--reverse", tip, f"^{target.commit}", *before).split()
    if git("rev-list", "--count", tip, f"^{target.commit}") == str(len(own)):
        return tip
    made = target.commit
    for commit in own:
        made = _picked(git, commit, made, target)
    _LOG.warning("commits that %s has no longer were left out: %s is pushed as %s", target.branch, tip, made)
    return made


def _picked(git: Git, commit: str, onto: str, target: Base) -> str:
    """The change of one commit on top of another one; that one itself where it has the change already."""
    head, _, message = git("cat-file", "commit", commit).partition("\n\n")
    parents = [line.removeprefix("parent ") for line in head.split("\n") if line.startswith("parent ")]
    if len(parents) != 1:
        raise _not_put(commit, target, "it is a merge")
    # A commit with the tree of `onto` and the parent of `commit` has that parent in common with it.
    beside = git("commit-tree", f"{onto}^{{tree}}", "-p", parents[0], stdin="")
    merged = git.attempt("merge-tree", "--write-tree", "--name-only", "-z", beside, commit)
    tree, _, conflicts = merged.stdout.partition("\0")
    if merged.returncode != 0:
        raise _not_put(commit, target, f"it has conflicts in {conflicts.partition(chr(0))[0]!r}")
    if tree == git("rev-parse", f"{onto}^{{tree}}"):
        return onto
    rest = [line for line in head.split("\n") if not line.startswith(("tree ", "parent "))]
    lines = _unsigned([f"tree {tree}", f"parent {onto}", *rest])
    return git("hash-object", "-t", "commit", "-w", "--stdin", stdin=f"{lines}\n\n{message}\n")


def _not_put(commit: str, target: Base, why: str) -> PushRefusedError:
    message = (
        f"{target.branch} was rewritten and no longer has what the work began from, and {commit[:12]} could "
        f"not be put onto {target.commit[:12]}: {why}; nothing was pushed, put it there by hand if wanted"
    )
    return PushRefusedError(message, kind=RefusalKind.REWRITTEN)


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
