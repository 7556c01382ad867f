"""What an agent committed: which commit is its work, and which others are kept aside for its next attempt.

The position of HEAD counts, as it does for a person, unless the agent only went to look at something else.
What lies elsewhere is neither pushed nor lost: other branches, stashes, work trees and a HEAD that is not the
work are kept as references of our git directory, and handed out again with the tree.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from routing.git.commit_shape import misfit
from routing.git.git import Git
from tasks.agents.repository.agent_repository import AgentRepository, safe_name, take_objects

#: The agent's commit when we last took it over: our own commits on top of it stay while it is there.
TAKEN = "refs/coalmine/taken"
_ASIDE = "refs/coalmine/aside/"

#: Most pieces of work that are kept aside.
MOST_ASIDE = 20

#: Names that are shown in a message.
_SHOWN = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Aside:
    """Work that is not on the job's branch, under a reference of our git directory."""

    name: str  # `branch/helper`, `stash/0`, `left/head`
    commit: str

    @property
    def is_stash(self) -> bool:
        """Whether it is a stash; all else is a branch when it is handed out again."""
        return self.name.startswith("stash/")

    @property
    def branch(self) -> str:
        """The branch as which it is handed out again."""
        return self.name.removeprefix("branch/")

    def __str__(self) -> str:
        what = "a stash" if self.is_stash else f"branch {self.branch}"
        return f"{what} ({self.commit[:12]})"


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentWork:
    """What the agent's repository holds, once we have it too."""

    tip: str  # commit of the job's branch
    at: str  # commit that the files are to be compared with: on top of `tip` when they are the same
    is_there: bool  # whether there is a repository that can be read
    unrelated: str = ""  # the agent's commit, when it has nothing in common with what it began from
    is_sparse: bool = False  # the agent has had git take files out of its tree, which are not deleted
    not_taken: tuple[str, ...] = ()  # what of its repository we do not have, in words

    @property
    def believes_deletions(self) -> bool:
        """Whether a file that is not in the tree was deleted, as far as its repository shows."""
        return self.is_there and not self.is_sparse


def take_work(git: Git, tree: Path, branch: str, *, mirror: Path, known: Sequence[str]) -> AgentWork:
    """Take over the agent's commits, move our branch to its work, and keep the rest aside.

    `known` are commits that its work may begin from. A repository that is broken, or has nothing in common
    with them, moves nothing.
    """
    theirs = AgentRepository.of(tree)
    ours, start = git("rev-parse", f"refs/heads/{branch}", TAKEN).split()
    have = take_objects(git, tree, theirs.commits, lenders=[mirror]) if theirs.commits else set()
    misfits = _misfits(git, theirs, have, branch, known=[start, ours, *known])
    have -= misfits.keys()
    related = {commit for commit in have if _is_related(git, commit, [start, *known])}
    head, own = (one if one in related else None for one in (theirs.head, theirs.branches.get(branch)))
    chosen = _chosen(git, theirs, head=head, own=own, start=start, branch=branch)
    if chosen not in {None, start}:
        git("update-ref", "--stdin", stdin=f"update {TAKEN} {chosen}\nupdate refs/heads/{branch} {chosen}\n")
    tip = chosen if chosen not in {None, start} else ours
    without = [tip, ours, start, *known]
    left = _keep(git, _aside(theirs, have, branch), without=without) if have else []
    unrelated = theirs.head if theirs.head in have and chosen is None else None
    elsewhere = theirs.head in have and theirs.head != chosen and chosen is not None
    return AgentWork(
        tip=tip,
        at=theirs.head if elsewhere and theirs.head else tip,
        is_there=bool(have),
        unrelated=unrelated or "",
        is_sparse=theirs.sparse,
        not_taken=(*misfits.values(), *_not_taken(theirs, {*have, *misfits}, left)),
    )


def _misfits(
    git: Git, theirs: AgentRepository, have: set[str], branch: str, *, known: Sequence[str]
) -> dict[str, str]:
    """Commits that may be the agent's work and that cannot be written as files; why, for people."""
    found: dict[str, str] = {}
    named = {theirs.head or "", theirs.branches.get(branch, "")}
    for commit in named & (have - set(known)):
        if why := misfit(git, commit, known):
            found[commit] = f"commit {commit[:12]} cannot be written as files, it would be {why}"
    return found


def keep_aside(git: Git, name: str, commit: str) -> None:
    """Keep one more piece of work for the next attempt."""
    git("update-ref", f"{_ASIDE}{name}", commit)


def all_aside(git: Git) -> list[Aside]:
    """What is kept aside, with stashes in the order in which they were made."""
    listed = git("for-each-ref", "--format=%(refname) %(objectname)", _ASIDE).splitlines()
    pairs = (line.removeprefix(_ASIDE).split(" ") for line in listed)
    found = [Aside(name=name, commit=commit) for name, commit in pairs]
    stashes = sorted((one for one in found if one.is_stash), key=lambda one: one.name, reverse=True)
    return [*(one for one in found if not one.is_stash), *stashes]


def is_ancestor(git: Git, older: str, newer: str) -> bool:
    """Whether one commit is, or contains, another."""
    return older == newer or git.attempt("merge-base", "--is-ancestor", older, newer).returncode == 0


def _chosen(
    git: Git, theirs: AgentRepository, *, head: str | None, own: str | None, start: str, branch: str
) -> str | None:
    """The commit that is the agent's work; None when its repository has none that can be.

    HEAD, unless it is in the middle of a rebase, or at a commit that the branch, or the start, holds already.
    """
    if head is None or own is None or theirs.on == branch:
        return own if theirs.on == branch or head is None else head
    looks = is_ancestor(git, head, own) or is_ancestor(git, head, start)
    return own if theirs.rebasing or looks else head


def _aside(theirs: AgentRepository, have: set[str], branch: str) -> list[Aside]:
    """All that the repository names, whether or not it is worth keeping."""
    others = [(name, commit) for name, commit in theirs.branches.items() if name != branch]
    found = [(f"branch/{safe_name(name, number)}", commit) for number, (name, commit) in enumerate(others)]
    found += [(f"left/work-tree-{number}", one) for number, one in enumerate(theirs.work_trees.values())]
    found += [("left/head", theirs.head or ""), ("left/own-branch", theirs.branches.get(branch, ""))]
    found += [(f"stash/{number:03}", commit) for number, commit in enumerate(theirs.stashes)]
    return [Aside(name=name, commit=commit) for name, commit in found if commit in have]


def _keep(git: Git, found: Sequence[Aside], *, without: Sequence[str]) -> list[Aside]:
    """Keep what has commits that are nowhere else; what was kept before and is no longer there goes.

    Returns what is not kept because it is too much.
    """
    wanted: list[Aside] = []
    left: list[Aside] = []
    for one in found:
        seen = [*without, *(earlier.commit for earlier in wanted if not earlier.is_stash)]
        if one.commit not in seen and git("rev-list", "-1", one.commit, "--not", *seen):
            (wanted if len(wanted) < MOST_ASIDE else left).append(one)
    for before in all_aside(git):
        git("update-ref", "-d", f"{_ASIDE}{before.name}")
    for one in wanted:
        keep_aside(git, one.name, one.commit)
    return left


def _not_taken(theirs: AgentRepository, have: set[str], left: Sequence[Aside]) -> list[str]:
    """What of the agent's repository we do not have, and what is too much to be kept, for people."""
    said = []
    if missing := theirs.named_without(have):
        said.append(f"commits that could not be taken, damaged or too large: {_listed(missing)}")
    if left:
        said.append(f"more than {MOST_ASIDE} branches and stashes, not kept: {_listed(list(map(str, left)))}")
    if theirs.unread:
        said.append(f"not read of its repository: {theirs.unread}")
    elif not theirs.is_there:
        said.append("its repository is gone or broken: no commit is named in its `.git`")
    return said


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"


def _is_related(git: Git, commit: str, known: Sequence[str]) -> bool:
    return git.attempt("merge-base", commit, *known).returncode == 0
