"""One fleet for a repository, a folder of issues, and a state folder: two would do and pay all twice.

It is a lock of the kernel's on a small file in the git directory of the repository, and on one in the
folder of issues. So it holds for every spelling of the path, every user and every state folder, and it ends
with the process that took it, however that ends. What the file says is for people, and for workers that
somebody starts beside the fleet, with another store. Repositories of forges on other machines are locked by
`tasks.work.remote_lock`.
"""

import errno
import fcntl
import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from routing.errors import CoalmineError, ConflictError, InvalidInputError
from routing.forges.local.config import LocalConfig
from routing.forges.local.issues import LOCK_NAME
from routing.git.git import Git
from routing.printable import printable
from routing.store.redis.address import RedisAddress
from tasks.settings.settings import Settings

#: The file that is locked; it begins with a dot, so that no issue is read from it.
NAME = ".coalmine-fleet"

#: The file, or the folder, is another user's, or the file system can only be read.
_NOT_WRITABLE = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})

#: How much of another fleet's note is read.
_NOTE_BYTES = 4096

#: How often, and after how many seconds, a fleet asks again for a lock that a worker only looks at.
_LOOKS = 100
_LOOK_SECONDS = 0.01

#: Kinds of the kernel's lock: one process has it alone, or several have it together.
EXCLUSIVE, SHARED = fcntl.LOCK_EX, fcntl.LOCK_SH


class FleetLock:
    """The locks of one fleet; use it as a `with` block. Raises ConflictError when another fleet has one.

    Those that were taken by then are let go. All fleets lock in the same order, so that of two that start at
    once, with folders in common, one gets them all.
    """

    def __init__(
        self,
        folders: Iterable[Path],
        *,
        state: Path,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self._pause = pause
        self._folders = tuple(sorted(set(folders)))
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
        descriptor = opened(folder)
        if not self._takes(descriptor):
            has = whose(descriptor)
            os.close(descriptor)
            message = (
                f"a fleet works on {folder} already: {has}; two would do and pay everything twice, so "
                "nothing was started. End that one, or go on with it: commands find it in its own folder"
            )
            raise ConflictError(message)
        self._write(descriptor)
        return descriptor

    def _takes(self, descriptor: int) -> bool:
        """Lock the file; False when another fleet has it.

        A worker that starts has it for a moment, with others, to see whether a fleet has it: see
        `_held_with_another_store`. That is in nobody's way.
        """
        for _ in range(_LOOKS):
            if locks(descriptor, fcntl.LOCK_EX):
                return True
            if not locks(descriptor, fcntl.LOCK_SH):
                return False
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            self._pause(_LOOK_SECONDS)
        return False

    def note_store(self, store: str) -> None:
        """Add the name of the store, once it is known, for `other_fleet`."""
        self._note["served_by"] = store
        for descriptor in self._descriptors:
            self._write(descriptor)

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
    return _git_directory(repository), issues.resolve()


def _git_directory(repository: Path) -> Path:
    return Path(Git(repository)("rev-parse", "--path-format=absolute", "--git-common-dir").strip()).resolve()


def other_fleet(settings: Settings) -> str:
    """Why a worker with these settings may not start: `coalmine up` has its repository, with another store.

    "" when nothing is in the way, as far as this machine shows it.
    """
    if settings.redis_url is None:
        return ""
    store = store_name(settings.redis_url.get_secret_value(), settings.namespace)
    for forge in settings.forge:
        if not isinstance(forge, LocalConfig) or forge.repository is None or forge.issues is None:
            continue
        for folder in _lockable(forge.repository, forge.issues):
            if has := _held_with_another_store(folder, store):
                return (
                    f"a fleet with another server works on {folder} already: {has}; two would do and pay "
                    "everything twice. Give this worker that fleet's server (COALMINE_REDIS_URL), or end "
                    "that fleet"
                )
    return ""


def _lockable(repository: Path, issues: Path) -> Iterator[Path]:
    """What `locked_folders` says, as far as it is found: each of the two stands for itself."""
    with suppress(CoalmineError, OSError):
        yield _git_directory(repository)
    with suppress(OSError):
        yield issues.resolve()


def _held_with_another_store(folder: Path, store: str) -> str:
    """Who has the folder's lock and another store, in words; "" for nobody, and where that is not seen."""
    try:
        descriptor = os.open(folder / NAME, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # no fleet was ever there, or this user may not look
        return ""
    try:
        if locks(descriptor, fcntl.LOCK_SH):
            return ""  # given back at once
        served_by = note_in(descriptor).get("served_by")
        return "" if served_by in {None, store} else whose(descriptor)
    finally:
        os.close(descriptor)


def locks(descriptor: int, kind: int) -> bool:
    """Take a lock of that kind if nobody is in the way."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def store_name(redis_url: str, namespace: str) -> str:
    """A name by which two fleets see that they have the same store; it holds no password.

    It is that of the place, however the URL spells it; a server that has two names is two. SettingsError: it
    is none.
    """
    address = RedisAddress.parse(redis_url)
    if address.path:
        address = replace(address, path=os.path.realpath(address.path))
    return hashlib.sha256(f"{address.place} {namespace}".encode()).hexdigest()[:32]


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


def opened(folder: Path) -> int:
    """The file, made where there is none; InvalidInputError where none can be made.

    It is opened for reading where it cannot be written, which is enough to lock it. A link or a device that
    somebody put in its place is not followed.
    """
    path, flags = folder / NAME, os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags | os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as refused:
        if refused.errno not in _NOT_WRITABLE:
            raise _not_opened(path, refused) from refused
        try:
            descriptor = os.open(path, flags | os.O_RDONLY)
        except OSError as error:
            message = (
                f"{folder} cannot be written by this user ({refused.strerror}); let it, or run as its owner"
            )
            raise InvalidInputError(message) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        message = f"{path} is not a regular file; remove it, and start again"
        raise InvalidInputError(message)
    return descriptor


def _not_opened(path: Path, error: OSError) -> InvalidInputError:
    """Why a lock's file cannot be opened."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return InvalidInputError(f"{path.parent} is not a folder; create it, or correct the path")
    return InvalidInputError(
        f"{path} cannot be opened ({error.strerror}); remove what lies there, and start again"
    )


def note_in(descriptor: int, most: int = _NOTE_BYTES) -> Mapping[str, Any]:
    """What the holder wrote, if it has at most so many bytes; empty when it is none."""
    try:
        note = json.loads(os.pread(descriptor, most, 0))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def whose(descriptor: int, most: int = _NOTE_BYTES) -> str:
    """Who has it, from the note; its words come from another process, so they are made printable."""
    try:
        note = note_in(descriptor, most)
        pid, folder, state = int(note["pid"]), str(note["folder"]), str(note["state"])
    except (OSError, ValueError, KeyError, TypeError):
        return "another process holds its lock"
    return printable(f"process {pid}, started in {folder}, with its state in {state}")
