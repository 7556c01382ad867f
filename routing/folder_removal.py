"""Removing what an agent or its tests have made, whatever that is: pipes, links, 10,000 levels of folders.

Every entry is reached through the open folder that holds it, and no link is followed. A folder that is many
levels down is first moved to the top, so that neither the length of paths, nor the number of open files, nor
the depth of calls limits how deep it may be. Nothing here raises for what cannot be removed: the answer says
so.
"""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

#: Looks at one folder. Each removes all that it can; more are needed only while somebody still writes there.
_LOOKS = 20

#: Levels that are gone down before a folder is moved to the top: each takes a descriptor and a call.
_DEPTH = 50

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, kw_only=True, slots=True)
class Removal:
    """What became of an attempt to remove something."""

    left: int = 0  # entries that could not be removed
    why: str = ""  # the first reason, "" when nothing is left

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left."""
        return self.left == 0


def remove_all(path: Path) -> Removal:
    """Remove whatever is at a path: a file, a link, a pipe, or a folder with all that is in it.

    Folders are made writable first. What belongs to another user, or is immutable, stays, with the folders
    above it; all else goes. A path where nothing is counts as removed.
    """
    try:
        facts = path.lstat()
        if not stat.S_ISDIR(facts.st_mode):
            path.unlink()
            return Removal()
    except FileNotFoundError:
        return Removal()
    except OSError as error:
        return Removal(left=1, why=str(error))
    return _FolderRemoval(path).run()


class _FolderRemoval:
    """The removal of one folder; used once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._prefix = f".removing-{secrets.token_hex(4)}-"
        self._moved = 0  # folders that were moved to the top
        self._waiting: list[str] = []  # their names there
        self._left = 0
        self._why = ""

    def run(self) -> Removal:
        try:
            with suppress(OSError):
                _make_writable(self._path.name, None, self._path)
            top = os.open(self._path, _FOLDER)
        except OSError as error:
            return Removal(left=1, why=str(error))
        try:
            self._empty_all(top)
        finally:
            os.close(top)
        try:
            self._path.rmdir()
        except FileNotFoundError:
            pass
        except OSError as error:
            self._note(error)
        return Removal(left=self._left, why=self._why)

    def _empty_all(self, top: int) -> None:
        """Empty the top folder and, one after the other, all that were moved up into it."""
        self._empty(top, top, depth=0)
        while self._waiting:
            self._remove_folder(self._waiting.pop(), top, top, depth=0)

    def _empty(self, folder: int, top: int, *, depth: int) -> None:
        """Remove what is in a folder. Looks again, because one that changes may not be listed in full."""
        kept: set[str] = set(self._waiting) if folder == top else set()
        for _ in range(_LOOKS):
            listed = [entry for entry in _entries(folder) if entry[0] not in kept]
            if not listed:
                return
            for name, is_folder in listed:
                if not self._remove_entry(name, folder, top, depth, is_folder=is_folder):
                    kept.add(name)

    def _remove_entry(self, name: str, folder: int, top: int, depth: int, *, is_folder: bool) -> bool:
        """Remove one entry, or move it away; False when it stays."""
        try:
            if not is_folder:
                os.unlink(name, dir_fd=folder)
                return True
        except FileNotFoundError:
            return True
        except OSError as error:
            self._note(error)
            return False
        return self._remove_folder(name, folder, top, depth=depth)

    def _remove_folder(self, name: str, parent: int, top: int, *, depth: int) -> bool:
        try:
            if _removed_empty(name, parent):
                return True
            with suppress(OSError):  # it belongs to somebody else
                _make_writable(name, parent, Path(name))
            if depth >= _DEPTH:
                self._moved += 1
                new = f"{self._prefix}{self._moved}"
                os.rename(name, new, src_dir_fd=parent, dst_dir_fd=top)
                self._waiting.append(new)
                return True
            with _opened(name, parent) as folder:
                self._empty(folder, top, depth=depth + 1)
            os.rmdir(name, dir_fd=parent)
        except FileNotFoundError:
            return True
        except OSError as error:
            self._note(error)
            return False
        return True

    def _note(self, error: OSError) -> None:
        self._left += 1
        self._why = self._why or f"{self._path}: {error.strerror or error}"


def _removed_empty(name: str, parent: int) -> bool:
    """Remove a folder if it is empty; whether it was."""
    try:
        os.rmdir(name, dir_fd=parent)
    except FileNotFoundError:
        raise
    except OSError:
        return False
    return True


@contextmanager
def _opened(name: str, parent: int) -> Iterator[int]:
    folder = os.open(name, _FOLDER, dir_fd=parent)
    try:
        yield folder
    finally:
        os.close(folder)


def _entries(folder: int) -> Iterator[tuple[str, bool]]:
    """The names in an open folder, and whether each is a folder itself."""
    with os.scandir(folder) as entries:
        for entry in entries:
            yield entry.name, entry.is_dir(follow_symlinks=False)


def _make_writable(name: str, parent: int | None, path: Path) -> None:
    """Let the owner do everything in a folder; package caches of some languages are read-only.

    A link that has taken its place is not followed.
    """
    if not hasattr(os, "O_PATH"):  # not Linux
        os.chmod(name if parent is not None else path, 0o700, dir_fd=parent, follow_symlinks=False)
        return
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    folder = os.open(name if parent is not None else path, flags, dir_fd=parent)
    try:
        Path(f"/proc/self/fd/{folder}").chmod(0o700)
    finally:
        os.close(folder)
