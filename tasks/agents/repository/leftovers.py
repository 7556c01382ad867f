"""What an agent did and did not commit: the difference between its files and a commit, as a commit of ours.

The files are compared with what git itself made of the same commit when it checked it out: line endings, Git
LFS and other filters can make a file differ that nobody has touched. Repositories in the tree are left out,
and deletions are not believed where most files, or the repository itself, are gone.
"""

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from routing.forges.skip_marker import without_skip_markers
from routing.git.git import Git, GitAnswer, GitError
from routing.git.lfs import are_pointers
from routing.git.own_settings import lfs_filters
from routing.printable import printable
from tasks.agents.repository.our_git import with_index
from tasks.agents.repository.tree_survey import LARGE_BYTES, TreeSurvey, survey

#: A commit in our git directory: the files of a fresh checkout as git would commit them; its parent is the
#: commit that was checked out.
HANDED = "refs/coalmine/handed"

#: Uncommitted deletions of more than half of the files, and of at least so many, are taken for an accident.
FEW_FILES = 10

_SUBMODULE, _NOTHING = b"160000", b"000000"

#: Names that are shown in a message, and characters of each.
_SHOWN, _NAME = 5, 100

#: Exit code of `git check-ignore` that ignores none of the paths.
_NONE = 1

#: Exit code of `git add` that gave up, and how often it is asked again with a part of the files.
_FATAL, _MOST_TRIES = 128, 100

#: A file in our git directory: the paths of submodules whose files were written into the tree.
_SUBMODULES = "submodules"

#: Says of a commit of ours what it is for and whose work it is. No two jobs make the same commit.
_MESSAGE = """\
{subject}

The agent did not commit these changes; Coalmine did when its turn ended.

Coalmine-Job: {job}
"""

#: The subject where nothing is known of what was asked, and the longest one, in characters.
_SUBJECT = "Keep what the agent left uncommitted"
_SUBJECT_CHARACTERS = 72


#: What makes a forge close or mention another issue when the commit is merged: `#12`, `GH-12`, `!12`.
_REFERENCE = re.compile(r"(?:#|\bGH-|!)(?=\d)", re.IGNORECASE)


def subject_of(asked: str) -> str:
    """What was asked, which is a person's text, as the first line of a commit's message: pure."""
    words = _REFERENCE.sub("no. ", " ".join(printable(without_skip_markers(asked)).split()))
    if len(words) <= _SUBJECT_CHARACTERS:
        return words or _SUBJECT
    return f"{words[:_SUBJECT_CHARACTERS].rpartition(' ')[0] or words[: _SUBJECT_CHARACTERS - 1]}…"


@dataclass(frozen=True, kw_only=True, slots=True)
class Leftovers:
    """What came of the files that the agent did not commit."""

    commit: str | None = None  # on top of the commit that they were compared with; None: there were none
    left_out: tuple[str, ...] = ()  # what was not taken, in words for people


@dataclass(frozen=True, slots=True)
class _PathChange:
    """One path of two trees, as `git diff-tree --raw` shows it."""

    old: bytes  # mode and object
    new: bytes
    path: bytes

    @classmethod
    def all_between(cls, git: Git, one: str, other: str) -> list[Self]:
        """The changes from one tree to another."""
        fields = git.raw("diff-tree", "-r", "-z", "--no-renames", "--raw", one, other).split(b"\0")
        heads = [head.removeprefix(b":").split(b" ") for head in fields[0:-1:2]]
        return [
            cls(b" ".join((head[0], head[2])), b" ".join((head[1], head[3])), path)
            for head, path in zip(heads, fields[1::2], strict=True)
        ]

    @property
    def is_deletion(self) -> bool:
        return self.new.startswith(_NOTHING)

    @property
    def is_of_submodule(self) -> bool:
        return self.old.startswith(_SUBMODULE) or self.new.startswith(_SUBMODULE)

    @property
    def entry(self) -> bytes:
        """The line by which `git update-index --index-info` makes it."""
        return self.new + b"\t" + self.path + b"\0"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Excluded:
    """What git is not to look at; what is ignored it passes by, and complains when that is excluded."""

    nested: Sequence[bytes]
    closed: Sequence[bytes]
    large: Sequence[bytes]

    @classmethod
    def of(cls, git: Git, found: TreeSurvey) -> Self:
        """Leave out what is ignored, and what holds files of the index."""
        nested = _without_tracked(git, found.nested)
        ignored = _ignored(git, [*nested, *found.closed, *found.large])
        wanted = (
            [path for path in paths if path not in ignored] for paths in (nested, found.closed, found.large)
        )
        return cls(**dict(zip(("nested", "closed", "large"), wanted, strict=True)))

    def words(self, submodules: Sequence[bytes]) -> list[str]:
        """What was not looked at, for people."""
        said = {
            "repositories in the tree": [path for path in self.nested if path not in submodules],
            "folders that cannot be read": self.closed,
            f"files of more than {LARGE_BYTES >> 30} GiB": self.large,
        }
        return [f"{what}: {_listed(paths)}" for what, paths in said.items() if paths]


def _ignored(git: Git, paths: Sequence[bytes]) -> set[bytes]:
    """Those of the paths that git ignores: nobody expects them to be committed."""
    if not paths:
        return set()
    try:
        listed = git.raw("check-ignore", "-z", "--stdin", stdin=b"\0".join(paths) + b"\0", also=_NONE)
    except GitError:  # one of them is longer than the kernel takes: each is named
        return set()
    return set(listed.split(b"\0"))


def note_checkout(git: Git, commit: str) -> None:
    """Note what a fresh checkout looks like to git: what differs from the commit already is nobody's work."""
    index = git.directory / "handed.index"
    apart = with_index(git, index)
    if git("ls-files", "--", ":(glob)**/.gitattributes"):
        index.unlink(missing_ok=True)  # without the times of files, so that each is read
        apart("read-tree", commit)
    else:  # nothing changes a file on its way, and to read them all takes as long as writing them did
        shutil.copyfile(git.directory / "index", index)
    _drop_submodules(apart)
    _add(apart, [])
    tree = apart("write-tree")
    git("update-ref", HANDED, git("commit-tree", tree, "-p", commit, stdin="What was handed out\n"))


def note_submodules(git: Git, paths: Sequence[str]) -> None:
    """Note whose files were written into the tree: changes to them are not part of this repository."""
    (git.directory / _SUBMODULES).write_bytes(b"\0".join(os.fsencode(path) for path in paths))


def _written_submodules(git: Git, known: Sequence[bytes]) -> list[bytes]:
    """Those whose files we wrote, and that are submodules still."""
    try:
        noted = (git.directory / _SUBMODULES).read_bytes().split(b"\0")
    except FileNotFoundError:
        return []
    return [path for path in noted if path in known]


def commit_leftovers(
    git: Git, tree: Path, onto: str, *, job: str, believes_deletions: bool, asked: str = ""
) -> Leftovers:
    """Commit what the tree has beyond a commit. Deletions count if they are believed, and are not most files.

    The commit is called after what was `asked`, the title of an issue for instance.

    Raises GitError when git cannot compare them, or not in time.
    """
    found = survey(tree)
    if not found.is_safe:
        why = "its files cannot be looked at" if found.is_there else "its folder is gone"
        return Leftovers(left_out=(f"nothing of what was not committed was taken: {why}",))
    git("read-tree", "--reset", onto)
    submodules = _drop_submodules(git)
    out = _Excluded.of(git, found)
    problem = _add(git, [*out.nested, *out.closed, *out.large, *_written_submodules(git, submodules)])
    stray = _stray(git, onto, submodules)
    changes = _work(git, onto, stray)
    if in_lfs := _as_content(git, changes):
        changes = [change for change in changes if change.path not in in_lfs]
    left_out = out.words(submodules)
    left_out += [f"submodules without an address: {_listed(stray)}"] if stray else []
    left_out += [f"not everything could be committed: {problem}"] if problem else []
    if in_lfs:
        left_out.append(f"files in Git LFS, as git-lfs is not installed here: {_listed(sorted(in_lfs))}")
    if not believes_deletions or _is_accident(git, onto, changes):
        gone = sum(change.is_deletion and not change.is_of_submodule for change in changes)
        left_out += [f"{gone} files are gone from the tree; that was not committed"] if gone else []
        changes = [change for change in changes if change.is_of_submodule or not change.is_deletion]
    message = _MESSAGE.format(subject=subject_of(asked), job=job)
    return Leftovers(commit=_commit(git, onto, changes, message), left_out=tuple(left_out))


def _commit(git: Git, onto: str, changes: list[_PathChange], message: str) -> str | None:
    """Make a commit of changes, and leave the index at it; None when there are none."""
    git("read-tree", "--reset", onto)
    if not changes:
        return None
    deletions_first = sorted(changes, key=lambda change: not change.is_deletion)
    lines = b"".join(change.entry for change in deletions_first)
    git.raw("update-index", "-z", "--index-info", stdin=lines)
    return git("commit-tree", git("write-tree"), "-p", onto, stdin=message)


def _add(git: Git, without: Sequence[bytes]) -> str:
    """Bring the index in step with the files, but for some folders; returns git's complaint, if any."""
    added = _added(git, [b":/", *(b":(exclude,top,literal)" + path for path in without)])
    if added.returncode != _FATAL:
        return printable(added.stderr.strip())[-300:] if added.returncode else ""
    listed = git.raw("ls-files", "-z", "--others", "--modified", "--exclude-standard")
    folders = tuple(path + b"/" for path in without)
    paths = [
        path for path in listed.split(b"\0") if path and path not in without and not path.startswith(folders)
    ]
    return _add_each(git, list(dict.fromkeys(paths)))


def _add_each(git: Git, paths: Sequence[bytes]) -> str:
    """Add files although git gives up at some of them, which are found by halves; says which.

    Git does so at a name that other systems take for `.git`, and where a file is not in the encoding that
    its attributes name.
    """
    failed: list[bytes] = []
    waiting, tries = [list(paths)], 0
    while waiting:
        some = waiting.pop()
        tries += 1
        if not some:
            continue
        if tries > _MOST_TRIES:
            failed += some
        elif _added(git, [b":(top,literal)" + path for path in some]).returncode == _FATAL:
            if len(some) == 1:
                failed += some
            else:
                waiting += [some[: len(some) // 2], some[len(some) // 2 :]]
    return f"git cannot add {_listed(sorted(failed))}"


def _added(git: Git, paths: Sequence[bytes]) -> GitAnswer:
    """Add what these patterns name; GitError where this host is at its limits."""
    listed = git.directory / "paths"
    listed.write_bytes(b"\0".join(paths) + b"\0")
    arguments = [
        *("-c", "advice.addEmbeddedRepo=false", "add", "--all", "--ignore-errors"),
        *(f"--pathspec-from-file={listed}", "--pathspec-file-nul"),
    ]
    added = git.attempt(*arguments)
    if added.at_limit or added.returncode < 0:
        raise git.error(arguments[2:], added)  # what is not taken now would count as not done
    return added


def _work(git: Git, onto: str, stray: Sequence[bytes]) -> list[_PathChange]:
    """How the index differs from a commit, without what differed when the files were handed out."""
    done = git.attempt("rev-parse", "--verify", f"{HANDED}^{{tree}}")
    nobodys = set(_PathChange.all_between(git, f"{HANDED}^", HANDED)) if done.returncode == 0 else set()
    changes = [one for one in _PathChange.all_between(git, onto, git("write-tree")) if one not in nobodys]
    added = [change.path for change in changes if not change.is_deletion]

    def counts(change: _PathChange) -> bool:
        """A submodule stays, unless it is one by accident, or the agent put something in its place."""
        if not change.is_of_submodule or change.path in stray:
            return True
        return not change.is_deletion or any(path.startswith(change.path + b"/") for path in added)

    return [change for change in changes if counts(change)]


def _as_content(git: Git, changes: Sequence[_PathChange]) -> set[bytes]:
    """The files in Git LFS that would be committed with their content, as nothing makes pointers of them."""
    files = [change for change in changes if not (change.is_deletion or change.is_of_submodule)]
    if lfs_filters() or not files:
        return set()
    asked = b"".join(change.path + b"\0" for change in files)
    said = git.raw("check-attr", "-z", "--stdin", "filter", stdin=asked).split(b"\0")  # PATH, `filter`, VALUE
    named = {path for path, value in zip(said[0::3], said[2::3], strict=False) if value == b"lfs"}
    blobs = {change.path: change.new.partition(b" ")[2].decode() for change in files if change.path in named}
    pointers = set(are_pointers(git, list(blobs.values())))
    return {path for path, blob in blobs.items() if blob not in pointers}


def _drop_submodules(git: Git) -> list[bytes]:
    """Take submodules out of the index: git would run in them, by their own configuration."""
    entries = git.raw("ls-files", "-z", "--stage").split(b"\0")  # MODE OBJECT STAGE<tab>PATH
    found = [entry.partition(b"\t") for entry in entries if entry.startswith(_SUBMODULE)]
    if found:
        lines = b"".join(b"0 " + head.split()[1] + b"\t" + path + b"\0" for head, _, path in found)
        git.raw("update-index", "-z", "--index-info", stdin=lines)
    return [path for _, _, path in found]


def _stray(git: Git, onto: str, submodules: Sequence[bytes]) -> list[bytes]:
    """Submodules that came since the checkout and have no address: nobody could fetch them."""
    before = git.attempt("ls-tree", "-r", "-z", f"{HANDED}^") if submodules else None
    if before is None or before.returncode != 0:
        return []
    entries = before.stdout.split("\0")
    known = {entry.partition("\t")[2] for entry in entries if entry.startswith(_SUBMODULE.decode())}
    listed = git.attempt(
        "config", "-z", "--blob", f"{onto}:.gitmodules", "--get-regexp", r"^submodule\..*\.path$"
    )
    known |= {entry.partition("\n")[2] for entry in listed.stdout.split("\0")}
    return [path for path in submodules if path.decode(errors="replace") not in known]


def _without_tracked(git: Git, nested: Sequence[bytes]) -> list[bytes]:
    """Those repositories that have no file in the index: in the others the files are looked at."""
    if not nested:
        return []
    tracked: set[bytes] = set()
    for path in git.raw("ls-files", "-z").split(b"\0"):
        while (path := path.rpartition(b"/")[0]) and path not in tracked:
            tracked.add(path)
    return [path for path in nested if path not in tracked]


def _is_accident(git: Git, onto: str, changes: Sequence[_PathChange]) -> bool:
    """Whether most files of a commit are gone, and have not been moved to another place."""
    moved = {change.new.partition(b" ")[2] for change in changes}
    gone = sum(
        change.is_deletion and not change.is_of_submodule and change.old.partition(b" ")[2] not in moved
        for change in changes
    )
    if not gone:
        return False
    files = len(git.raw("ls-tree", "-r", "-z", "--name-only", onto).split(b"\0")) - 1
    return _is_most(gone, files)


def _listed(paths: Sequence[bytes]) -> str:
    names = (printable(os.fsdecode(path).encode(errors="replace").decode()) for path in paths[:_SHOWN])
    shown = ", ".join(name if len(name) <= _NAME else f"{name[:_NAME]}…" for name in names)
    return shown if len(paths) <= _SHOWN else f"{shown} and {len(paths) - _SHOWN} more"


def is_gutted(git: Git, commit: str) -> bool:
    """Whether most files of a commit are gone from the tree: then it is not handed out again."""
    git("read-tree", "--reset", commit)
    _drop_submodules(git)
    gone, files = (len(git.raw("ls-files", "-z", *how).split(b"\0")) - 1 for how in (["--deleted"], []))
    return _is_most(gone, files)


def _is_most(gone: int, files: int) -> bool:
    return gone > 0 and (gone == files or (gone >= FEW_FILES and 2 * gone > files))
