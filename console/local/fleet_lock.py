"""One fleet for a repository, and one for a folder of issues: two would do and pay everything twice.

It is a lock of the kernel's on a small file in the git directory of the repository, and on one in the
folder of issues. So it holds for every spelling of the path, every user and every state folder, and it ends
with the process that took it, however that ends. What the file says is for people alone.
"""

import fcntl
import json
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from routing.errors import CoalmineError, ConflictError, InvalidInputError
from routing.forges.local.issues import LOCK_NAME
from routing.git.git import Git
from routing.printable import printable

#: The file that is locked; it begins with a dot, so that no issue is read from it.
NAME = ".coalmine-fleet"

#: How much of another fleet's note is read.
_NOTE_BYTES = 4096


class FleetLock:
    """The locks of one fleet; use it as a `with` block. Raises ConflictError when another fleet has one."""

    def __init__(self, folders: Iterable[Path], *, state: Path) -> None:
        self._folders = tuple(folders)
        self._note = {"pid": os.getpid(), "state": str(state), "folder": str(Path.cwd())}
        self._descriptors: list[int] = []

    def __enter__(self) -> Self:
        try:
            for folder in self._folders:
                self._descriptors.append(self._locked(folder))
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._release()

    def _locked(self, folder: Path) -> int:
        """Lock the folder's file; it stays, as removing it would let two fleets lock two files."""
        descriptor = _opened(folder)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            has = _whose(descriptor)
            os.close(descriptor)
            message = (
                f"a fleet works on {folder} already: {has}; two would do and pay everything twice, so "
                "nothing was started. End that one, or go on with it: commands find it in its own folder"
            )
            raise ConflictError(message) from None
        self._write(descriptor)
        return descriptor

    def _write(self, descriptor: int) -> None:
        """Say whose it is. A file of another user cannot be written; its lock holds all the same."""
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(self._note).encode(), 0)
        except OSError:
            return

    def _release(self) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()


def locked_folders(repository: Path, issues: Path) -> tuple[Path, Path]:
    """The folders that stand for a repository and its issues, whatever they are called on the way there.

    The git directory is the one that all work trees of a repository share.
    """
    common = Git(repository)("rev-parse", "--path-format=absolute", "--git-common-dir").strip()
    return Path(common).resolve(), issues.resolve()


def hide_from_git(issues: Path) -> None:
    """Have git leave out our locks in a folder of issues that lies in a work tree: nobody is to commit them.

    That is noted in the repository's own `info/exclude`, which is never committed. Where it cannot be
    written, git shows the files.
    """
    try:
        place = Git(issues)("rev-parse", "--path-format=absolute", "--git-path", "info/exclude").strip()
        exclude = Path(place)
        known = exclude.read_bytes() if exclude.exists() else b""
        missing = [name for name in (NAME, LOCK_NAME) if name.encode() not in known.splitlines()]
        if missing:
            exclude.parent.mkdir(exist_ok=True)
            before = "" if known.endswith(b"\n") or not known else "\n"
            with exclude.open("a", encoding="utf-8") as written:
                written.write(before + "".join(f"{name}\n" for name in missing))
    except (CoalmineError, OSError):
        return


def _opened(folder: Path) -> int:
    """The file, made where there is none; InvalidInputError where none can be made.

    It is opened for reading where it cannot be written, which is enough to lock it. A link or a device that
    somebody put in its place is not followed.
    """
    path, flags = folder / NAME, os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags | os.O_RDWR | os.O_CREAT, 0o644)
    except PermissionError:
        try:
            descriptor = os.open(path, flags | os.O_RDONLY)
        except OSError as error:
            message = (
                f"{folder} cannot be written by this user ({error.strerror}); let it, or run as its owner"
            )
            raise InvalidInputError(message) from error
    except (FileNotFoundError, NotADirectoryError) as error:
        message = f"{folder} is not a folder; create it, or correct the path"
        raise InvalidInputError(message) from error
    except OSError as error:
        message = f"{path} cannot be opened ({error.strerror}); remove what lies there, and start again"
        raise InvalidInputError(message) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        message = f"{path} is not a regular file; remove it, and start again"
        raise InvalidInputError(message)
    return descriptor


def _whose(descriptor: int) -> str:
    """Who has it, from the note; its words come from another process, so they are made printable."""
    try:
        note: Any = json.loads(os.pread(descriptor, _NOTE_BYTES, 0))
        pid, folder, state = int(note["pid"]), str(note["folder"]), str(note["state"])
    except (OSError, ValueError, KeyError, TypeError):
        return "another process holds its lock"
    return printable(f"process {pid}, started in {folder}, with its state in {state}")
