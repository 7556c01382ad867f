"""What an agent left in its `.git`, read as data: no git of ours ever uses it as a repository.

Git would believe what it finds there: settings that name programs, hooks, alternates, links and gitfiles that
lead to other repositories, pipes that it would wait for. So the names of commits are read here as text, and
the bytes of objects are copied into a repository whose settings, references and alternates are all ours. From
that our git directory fetches, which checks every object.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from routing.folder_removal import remove_all
from routing.git.git import Git, GitAccess, GitError, is_at_limit
from routing.git.lfs import LfsStore, lfs_objects, uses_lfs
from routing.git.limits import GitLimits
from routing.git.own_settings import ALONE
from routing.git.push_refusal import PushRefusedError, RefusalKind
from routing.git.remote import Remote
from routing.printable import printable
from tasks.agents.repository.agent_files import AgentFolder, TooLargeError
from tasks.agents.repository.our_git import borrow, without_tree
from tasks.agents.repository.our_repository import forgiving, our_repository

#: Most bytes of objects that are taken after one turn, and most files that they may be in.
MOST_BYTES = 4 * 1024**3
MOST_OBJECTS = 1_000_000
MOST_PACKS = 200

#: Most bytes of memory for one object: a few bytes of a delta may stand for gigabytes. Larger files that git
#: keeps whole are streamed, and need none.
MOST_MEMORY = 1024**3

#: Most branches, work trees and stashes that are looked at, and levels of folders that branches are in.
MOST_NAMES = 200
_MOST_LEVELS = 10
_HEAD_BYTES = 4096
_LIST_BYTES = 8 * 1024 * 1024

#: Commits that are tried one by one when not all can be taken.
_MOST_TRIES = 20

_COMMIT = re.compile(rb"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_FAN_OUT = re.compile(r"[0-9a-f]{2}")
_OBJECT = re.compile(r"[0-9a-f]{38}(?:[0-9a-f]{24})?")
_PACK = re.compile(r"pack-[0-9a-f]{40,64}\.pack")
_HEADS = "refs/heads/"
#: Characters of a name that are shown.
_SHOWN_CHARACTERS = 100
#: A branch whose name is repeated; others get a number. Narrower than git's own rule: names are shown.
_BRANCH = re.compile(r"(?!.*(?:\.\.|\.lock(?:/|$)|//|/\.|\./))[A-Za-z0-9_][A-Za-z0-9._/+-]{0,180}(?<![./])")


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentRepository:
    """The commits that the agent's repository names. What could not be read is None or left out."""

    head: str | None = None  # commit that its work tree is at
    on: str = ""  # the branch that is checked out, "" for none
    branches: Mapping[str, str] = field(default_factory=dict)  # name → commit
    stashes: Sequence[str] = ()  # newest first
    work_trees: Mapping[str, str] = field(default_factory=dict)  # detached ones that it added → commit
    rebasing: bool = False  # HEAD is in the middle of something that has not come to its end
    sparse: bool = False  # the agent has had git take files out of its tree
    unread: str = ""  # why nothing, or not all, of it could be read

    @property
    def is_there(self) -> bool:
        """Whether there is anything that names a commit."""
        return bool(self.head or self.branches or self.stashes or self.work_trees)

    @property
    def commits(self) -> list[str]:
        """All of them, each once, the most important first."""
        others = (*self.branches.values(), *self.stashes, *self.work_trees.values())
        return list(dict.fromkeys(commit for commit in (self.head, *others) if commit))

    def named_without(self, have: Collection[str]) -> list[str]:
        """What names commits that we have not, in words for people."""
        found = {"HEAD": self.head} | {f"branch {_shown(name)}": one for name, one in self.branches.items()}
        found |= {f"stash {number}": one for number, one in enumerate(self.stashes)}
        found |= {f"work tree {_shown(name)}": one for name, one in self.work_trees.items()}
        return [f"{name} ({commit[:12]})" for name, commit in found.items() if commit and commit not in have]

    @classmethod
    def of(cls, tree: Path) -> Self:
        """Read the names of a work tree's repository; nothing in it is run, followed or waited for."""
        try:
            with AgentFolder.at(tree, ".git") as git, AgentFolder.at(tree, ".git", "refs", "heads") as heads:
                named = _packed(git) | dict(_loose(heads, _HEADS, levels=_MOST_LEVELS))
                head, on = _head(git, named)
                more = len(named) - MOST_NAMES
                return cls(
                    head=head,
                    on=on,
                    branches=dict(list(_branches(named, first=on))[:MOST_NAMES]),
                    stashes=_stashes(tree),
                    work_trees=_work_trees(tree),
                    rebasing=git.has("rebase-merge") or git.has("rebase-apply"),
                    sparse=_is_sparse(tree),
                    unread=f"{more} branches more than are looked at" if more > 0 else "",
                )
        except (TooLargeError, OSError) as error:  # no repository that git wrote
            return cls(unread=str(error))


def _shown(name: str) -> str:
    """A name for people, of a bounded length and without control characters."""
    return " ".join(printable(name).split())[:_SHOWN_CHARACTERS]


def safe_name(name: str, number: int) -> str:
    """The name of a branch, or one with a number for a name that is not to be repeated."""
    return name if _BRANCH.fullmatch(name) else f"unnamed-{number}"


def take_objects(git: Git, tree: Path, commits: Sequence[str], *, lenders: Sequence[Path]) -> set[str]:
    """Take commits, with all that they need, from the agent's repository into ours.

    Returns those that we have then. What is missing, damaged or malformed there is not among them. Raises
    TooLargeError when the agent's objects are more than is taken, and GitError or OSError when this host is
    at its limits.
    """
    missing = [commit for commit in commits if commit not in (known := _known(git, commits))]
    if not missing:
        return known
    quarantine = git.directory / "quarantine.git"
    try:
        remove_all(quarantine)
        borrow(our_repository(quarantine, like=git.directory).directory, *lenders, git.directory)
        _copy_objects(tree, quarantine / "objects")
        _index_packs(quarantine)
        _fetch(git, quarantine, missing)
    finally:
        remove_all(quarantine)
    return _known(git, commits)


def take_lfs_objects(git: Git, tree: Path, tip: str, without: Sequence[str]) -> list[str]:
    """Take the LFS objects of an agent's commits into our repository, and return those that it names.

    Not all of them need be there: some may be on the remote.
    """
    if not uses_lfs(git, tip):
        return []
    store, names = LfsStore.of(git.directory), lfs_objects(git, tip, without)
    copied = git.directory / "lfs.object"
    for name in names:
        if not store.has(name):
            with AgentFolder.at(tree, ".git", "lfs", "objects", name[:2], name[2:4]) as folder:
                if folder.copy(name, copied, most_bytes=MOST_BYTES):
                    store.take(name, copied)
    copied.unlink(missing_ok=True)
    return names


def deliver_lfs_objects(git: Git, remote: Remote, names: Sequence[str], *, lenders: Sequence[Path]) -> None:
    """Copy LFS objects to the remote, before the commits that need them are pushed.

    PushRefusedError when one is nowhere, or the remote is not on this machine: the file would be lost.
    """
    there = LfsStore.at(remote.address)
    if names and there is None:
        why = f"{remote.shown} takes no files in Git LFS from us"
        raise _lfs_refused(names, f"{why}: commit them without it (see .gitattributes)")
    stores = [LfsStore.of(lender) for lender in (git.directory, *lenders)]
    missing = [
        name
        for name in names
        if there is not None
        and not there.has(name)
        and not any(store.has(name) and there.take(name, store.path_of(name)) for store in stores)
    ]
    if missing:
        raise _lfs_refused(missing, "their content is nowhere: add the files again, with git-lfs installed")


def _lfs_refused(names: Sequence[str], why: str) -> PushRefusedError:
    message = f"{len(names)} files are in Git LFS (sha256 {names[0][:12]}, …), and {why}; nothing was pushed"
    return PushRefusedError(message, kind=RefusalKind.OBJECT)


def _known(git: Git, commits: Sequence[str]) -> set[str]:
    """Those of the names that are of commits that a repository has, and of nothing else (a tag)."""
    asked = "".join(f"{commit}\n" for commit in commits)
    kinds = git("cat-file", "--batch-check=%(objecttype)", stdin=asked).splitlines()
    return {commit for commit, kind in zip(commits, kinds, strict=True) if kind == "commit"}


def _fetch(git: Git, quarantine: Path, commits: Sequence[str]) -> None:
    """Fetch all at once, or one by one when one of them is damaged. Git checks every object that comes."""
    lines = "".join(f"{commit} {_HEADS}{commit}\n" for commit in sorted(commits))
    (quarantine / "packed-refs").write_text(f"# pack-refs with: sorted \n{lines}", encoding="utf-8")
    checked = [
        "-c",
        "fetch.fsckObjects=true",
        "-c",
        "protocol.allow=never",
        "-c",
        "protocol.file.allow=always",
    ]
    options = ["--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head"]
    fetch = [*checked, *forgiving("fetch.fsck"), "fetch", *options, "--", str(quarantine.resolve())]
    specs = [f"+{_HEADS}{commit}:refs/coalmine/seen/{commit}" for commit in commits]
    fetching = _bounded(without_tree(git))
    if not _is_done(fetching, *fetch, *specs):
        for spec in specs[:_MOST_TRIES]:
            _is_done(fetching, *fetch, spec)


def _is_done(git: Git, *arguments: str) -> bool:
    """Whether git did it, or found the objects damaged; GitError where this host kept it from looking."""
    try:
        git(*arguments)
    except GitError as error:
        if is_at_limit(error) or error.returncode is None:
            raise
        return False  # a crash of git's, too: the objects have made it
    return True


def _bounded(git: Git) -> Git:
    """The same git with a bound for the memory that one object takes; for the transfer's other end, too."""
    access = git.access or GitAccess()
    environment = {**access.environment, "GIT_ALLOC_LIMIT": str(MOST_MEMORY)}
    return replace(git, access=replace(access, environment=environment))


def _copy_objects(tree: Path, to: Path) -> None:
    """Copy loose objects and packs, by their names alone; no index, no alternates, no grafts."""
    room, files = MOST_BYTES, MOST_OBJECTS
    with AgentFolder.at(tree, ".git", "objects") as objects:
        for name in objects.entries(most=MOST_OBJECTS):
            wanted = _PACK if name == "pack" else _OBJECT if _FAN_OUT.fullmatch(name) else None
            if wanted is None:
                continue
            (to / name).mkdir(exist_ok=True)
            with objects.folder(name) as folder:
                names = folder.entries(most=files)
                files -= len(names)
                for file in filter(wanted.fullmatch, names):
                    room -= folder.copy(file, to / name / file, most_bytes=room)
                    files -= _packed_objects(to / name / file) if name == "pack" else 0
                    if files < 0:
                        message = (
                            f"the agent's repository has more than {MOST_OBJECTS} objects; none is taken"
                        )
                        raise TooLargeError(message)


def _packed_objects(pack: Path) -> int:
    """The number of objects in a pack, as its header says (see gitformat-pack(5)); git checks that later."""
    with pack.open("rb") as file:
        return int.from_bytes(file.read(12)[8:], "big")


def _index_packs(quarantine: Path) -> None:
    """Make the index of each pack: one that the agent wrote is not believed. A broken pack is left out."""
    git = _bounded(GitLimits().for_files(Git(quarantine, access=GitAccess(environment=ALONE))))
    for pack in sorted((quarantine / "objects" / "pack").glob("*.pack"))[:MOST_PACKS]:
        if not _is_done(git, "index-pack", str(pack.resolve())):
            pack.unlink()


def _branches(named: Mapping[str, str], *, first: str) -> Iterator[tuple[str, str]]:
    """All branches; that which is checked out comes first."""
    if _HEADS + first in named:
        yield first, named[_HEADS + first]
    yield from ((name.removeprefix(_HEADS), commit) for name, commit in named.items())


def _head(git: AgentFolder, named: Mapping[str, str], name: str = "HEAD") -> tuple[str | None, str]:
    """The commit of HEAD and the branch that it names."""
    text = git.read(name, most_bytes=_HEAD_BYTES)
    if text.startswith(b"ref: "):
        branch = text.removeprefix(b"ref: ").strip().decode(errors="replace")
        return named.get(branch), branch.removeprefix(_HEADS)
    return _commit(text), ""


def _commit(text: bytes) -> str | None:
    found = _COMMIT.fullmatch(text.strip())
    return found[0].decode() if found else None


def _packed(git: AgentFolder) -> dict[str, str]:
    """The branches in the file of packed references."""
    named = {}
    for line in git.read("packed-refs", most_bytes=_LIST_BYTES).splitlines():
        commit, _, name = line.partition(b" ")
        if name.startswith(_HEADS.encode()) and _COMMIT.fullmatch(commit):
            named[name.decode(errors="replace")] = commit.decode()
    return named


def _loose(folder: AgentFolder, prefix: str, *, levels: int) -> Iterator[tuple[str, str]]:
    """The references that have a file each."""
    for name in folder.entries(most=10 * MOST_NAMES):
        commit = _commit(folder.read(name, most_bytes=_HEAD_BYTES))
        if commit is not None:
            yield f"{prefix}{name}", commit
        elif levels:
            with folder.folder(name) as inner:
                yield from _loose(inner, f"{prefix}{name}/", levels=levels - 1)


def _stashes(tree: Path) -> list[str]:
    """The newest stash, and the older ones, which git keeps in a log alone."""
    with AgentFolder.at(tree, ".git", "refs") as refs, AgentFolder.at(tree, ".git", "logs", "refs") as logs:
        newest = _commit(refs.read("stash", most_bytes=_HEAD_BYTES))
        log = logs.read("stash", most_bytes=_LIST_BYTES)
    entries = [line.split(b" ", 2) for line in log.splitlines()]
    logged = [_commit(entry[1]) for entry in entries if len(entry) > 2]  # noqa: PLR2004 - OLD NEW WHO …
    found = [commit for commit in (newest, *reversed(logged)) if commit]
    return list(dict.fromkeys(found))[:MOST_NAMES] if newest else []


def _is_sparse(tree: Path) -> bool:
    """Whether there are patterns of a sparse checkout. They stay where it was ended: then nothing is gone."""
    with AgentFolder.at(tree, ".git", "info") as info:
        return info.has("sparse-checkout")


def _work_trees(tree: Path) -> dict[str, str]:
    """The commits of detached work trees that the agent added; those on a branch are that branch."""
    found = {}
    with AgentFolder.at(tree, ".git", "worktrees") as folder:
        for name in folder.entries(most=10 * MOST_NAMES)[:MOST_NAMES]:
            with folder.folder(name) as one:
                commit, _ = _head(one, {})
            if commit is not None:
                found[name] = commit
    return found
