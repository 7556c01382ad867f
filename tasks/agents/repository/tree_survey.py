"""What git is not to look at in a work tree that an agent had: every entry is looked at before git does.

A folder with a `.git` in it, of whatever kind, is a repository of its own: git would read its configuration,
and record it as a submodule that nobody can fetch. Git would wait for a pipe that has the name of one of its
own files. Folders that cannot be read, or have paths longer than the kernel takes, are named, so that the
rest is looked at.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

#: Files that git reads wherever they are; it waits for a pipe of such a name.
_READ_BY_GIT = frozenset({b".gitignore", b".gitattributes", b".gitmodules"})

#: Bytes of a file that is not read: a dump or a disk image, which would take a worker's place for hours.
LARGE_BYTES = 2 * 1024**3

#: Most entries that are looked at.
MOST_ENTRIES = 5_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class TreeSurvey:
    """Paths from the top of the tree, in the bytes of the file system."""

    nested: tuple[bytes, ...] = ()  # folders that are repositories of their own
    closed: tuple[bytes, ...] = ()  # folders that cannot be looked into
    large: tuple[bytes, ...] = ()  # files of more than LARGE_BYTES
    is_there: bool = True  # whether there is a tree, which is a folder and no link
    is_safe: bool = True  # whether git can look at the rest without waiting for ever


def survey(tree: Path) -> TreeSurvey:
    """Look at every entry, and follow no link. A pipe in the place of one of git's files is removed."""
    top = os.fsencode(tree)
    if not _is_folder(top):
        return TreeSurvey(is_there=False, is_safe=False)
    nested: list[bytes] = []
    closed: list[bytes] = []
    large: list[bytes] = []
    safe, seen, waiting = True, 0, [b""]
    while waiting and seen <= MOST_ENTRIES:
        path = waiting.pop()
        try:
            look = _look(top, path)
        except OSError:
            closed.append(path)
            continue
        seen += look.entries
        waiting += look.folders
        nested += [path] if path and look.has_git else []
        large += look.large
        safe = safe and look.is_safe
    safe = safe and not waiting and b"" not in closed
    return TreeSurvey(
        nested=tuple(sorted(nested)), closed=tuple(sorted(closed)), large=tuple(sorted(large)), is_safe=safe
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Look:
    """What is in one folder."""

    entries: int
    folders: list[bytes]  # paths from the top, without `.git`
    large: list[bytes]
    has_git: bool
    is_safe: bool


def _look(top: bytes, path: bytes) -> _Look:
    folders: list[bytes] = []
    large: list[bytes] = []
    entries, has_git, safe = 0, False, True
    with os.scandir(_join(top, path)) as found:
        for entry in found:
            entries += 1
            if entry.name == b".git":
                has_git = True
            elif entry.is_dir(follow_symlinks=False):
                folders.append(_join(path, entry.name))
            elif entry.name in _READ_BY_GIT and not (entry.is_symlink() or entry.is_file()):
                safe = _removed(_join(top, path, entry.name)) and safe
            elif entry.stat(follow_symlinks=False).st_size > LARGE_BYTES:
                large.append(_join(path, entry.name))
    return _Look(entries=entries, folders=folders, large=large, has_git=has_git, is_safe=safe)


def _join(*parts: bytes) -> bytes:
    return b"/".join(part for part in parts if part)


def _is_folder(path: bytes) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def _removed(path: bytes) -> bool:
    """Remove what is neither a file nor a link; whether it is gone."""
    try:
        Path(os.fsdecode(path)).unlink()
    except OSError:
        return False
    return True
