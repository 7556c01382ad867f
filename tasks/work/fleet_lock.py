"""One fleet for a repository, and one for a folder of issues: two would do and pay everything twice.

It is a lock of the kernel's on a small file in the git directory of the repository, and on one in the
folder of issues. So it holds for every spelling of the path, every user and every state folder, and it ends
with the process that took it, however that ends. A repository of a forge on another machine has its file in
a folder of this machine, for all users; fleets that share a store are one fleet there. What the file says
is for people, for that, and for workers that somebody starts beside the fleet, with another store.
"""

import errno
import fcntl
import hashlib
import json
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from routing.errors import CoalmineError, ConflictError, InvalidInputError
from routing.forges.config import ForgeConfig, RemoteConfig
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


#: The folder, where programs put temporary files, that the files of repositories on other machines are in.
OF_REMOTE = "coalmine-fleets"


class FleetLock:
    """The locks of one fleet; use it as a `with` block. Raises ConflictError when another fleet has one."""

    def __init__(
        self,
        folders: Iterable[Path],
        *,
        state: Path,
        names: Mapping[Path, str] | None = None,
        store: str = "",
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self._pause = pause
        self._names = dict(names or {})  # what people call the thing of a folder, where it is not the folder
        self._folders = (*folders, *self._names)
        self._store = store  # a name of the store, where others may share it; "" for one of its own
        self._note = {"pid": os.getpid(), "state": str(state), "folder": str(Path.cwd()), "store": store}
        self._descriptors: list[int] = []

    def __enter__(self) -> Self:
        try:
            for folder in self._folders:
                locked = self._locked(folder)
                self._descriptors += [] if locked is None else [locked]
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._release()

    def _locked(self, folder: Path) -> int | None:
        """Lock the folder's file; it stays, as removing it would let two fleets lock two files.

        None when a fleet with the same store has it: this one is a part of that.
        """
        descriptor = _opened(folder)
        if not self._takes(descriptor):
            note, has = _note_in(descriptor), _whose(descriptor)
            os.close(descriptor)
            if self._store and note.get("store") == self._store:
                return None
            message = (
                f"a fleet works on {self._names.get(folder, folder)} already: {has}; two would do and pay "
                "everything twice, so nothing was started. End that one, or go on with it: commands find it "
                "in its own folder"
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
            if _locks(descriptor, fcntl.LOCK_EX):
                return True
            if not _locks(descriptor, fcntl.LOCK_SH):
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
        if _locks(descriptor, fcntl.LOCK_SH):
            return ""  # given back at once
        served_by = _note_in(descriptor).get("served_by")
        return "" if served_by in {None, store} else _whose(descriptor)
    finally:
        os.close(descriptor)


def _locks(descriptor: int, kind: int) -> bool:
    """Take a lock of that kind if nobody is in the way."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def remote_repositories(forges: Iterable[ForgeConfig]) -> dict[Path, str]:
    """The folders that stand for repositories of forges on other machines, and what people call those.

    Where this machine does not let us make the folders there are none, and nothing is locked.
    """
    found, place = {}, Path(tempfile.gettempdir()) / OF_REMOTE
    for forge in forges:
        if not isinstance(forge, RemoteConfig) or not forge.is_served or forge.kill_switch:
            continue
        for name in (*forge.allow_list, *forge.served.patterns):
            said = f"{name} of {forge.address}"
            folder = place / hashlib.sha256(said.casefold().encode()).hexdigest()[:32]
            if _made_for_all(place) and _made_for_all(folder):
                found[folder] = said
    return found


def store_name(redis_url: str, namespace: str) -> str:
    """A name by which two fleets see that they have the same store; it holds no password.

    It is that of the place, however the URL spells it; a server that has two names is two. SettingsError: it
    is none.
    """
    address = RedisAddress.parse(redis_url)
    if address.path:
        address = replace(address, path=os.path.realpath(address.path))
    return hashlib.sha256(f"{address.place} {namespace}".encode()).hexdigest()[:32]


def _made_for_all(folder: Path) -> bool:
    """Make a folder in which every user may make files, and remove only their own; False where none is."""
    try:
        folder.mkdir(exist_ok=True)
        if folder.stat().st_uid == os.getuid():
            folder.chmod(0o1777)
    except OSError:
        return False
    return folder.is_dir() and not folder.is_symlink()


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


def _note_in(descriptor: int) -> Mapping[str, Any]:
    """What the holder wrote; empty when it is none."""
    try:
        note = json.loads(os.pread(descriptor, _NOTE_BYTES, 0))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _whose(descriptor: int) -> str:
    """Who has it, from the note; its words come from another process, so they are made printable."""
    try:
        note = _note_in(descriptor)
        pid, folder, state = int(note["pid"]), str(note["folder"]), str(note["state"])
    except (OSError, ValueError, KeyError, TypeError):
        return "another process holds its lock"
    return printable(f"process {pid}, started in {folder}, with its state in {state}")
