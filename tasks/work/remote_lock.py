"""One fleet for each repository of a forge on another machine, as far as this machine shows it.

Each fleet has a file in a folder of the machine's, the same for all users and whatever TMPDIR says. The file
names the repositories as they are set, patterns and exclusions included, and is locked by the kernel as long
as the fleet's process lives: what a dead one left is in nobody's way. Fleets with one store are one fleet.
"""

import json
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from routing.errors import ConflictError, InvalidInputError
from routing.forges.allow_list import AllowList
from routing.forges.config import RemoteConfig
from routing.http.address import same_api
from tasks.settings.settings import Settings
from tasks.work.fleet_lock import EXCLUSIVE, NAME, SHARED, locks, note_in, opened, store_name, whose

#: Where every user may make files; TMPDIR moves none of them. The first that a machine has is used.
PLACES = (Path("/dev/shm"), Path("/var/tmp"), Path("/tmp"))  # noqa: S108 - each fleet makes its own file there

#: The folder there that the files are in.
OF_REMOTE = "coalmine-fleets"

#: How much of another fleet's file is read: it has all repositories of its settings.
_NOTE_BYTES = 1_048_576

#: How often, and after how many seconds, the folder's own lock is asked for: others have it for a moment.
_LOOKS = 100
_LOOK_SECONDS = 0.01


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """What a fleet serves of one forge."""

    address: str  # of its API
    repositories: tuple[str, ...]  # as they are set: names, patterns and exclusions

    @classmethod
    def all_of(cls, settings: Settings) -> tuple[Self, ...]:
        """Those of a fleet with these settings; none where it dispatches nothing."""
        if settings.kill_switch:
            return ()
        return tuple(
            cls(address=forge.address, repositories=forge.repositories)
            for forge in settings.forge
            if isinstance(forge, RemoteConfig)
            and forge.is_served
            and forge.repositories
            and not forge.kill_switch
        )

    def shared_with(self, other: Self) -> str | None:
        """A name or pattern of this one that the other may work on too, in words."""
        if not same_api(self.address, other.address):
            return None
        found = AllowList.of(self.repositories).shared_with(AllowList.of(other.repositories))
        return None if found is None else f"{found} of {self.address}"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Fleet:
    """A fleet that lives, by its file."""

    served: tuple[Served, ...]
    store: str  # a name of its store; "" where it is not known yet
    whose: str  # in words


@dataclass(kw_only=True)
class RemoteLock:
    """The lock of one fleet; use it as a `with` block. Raises ConflictError when another fleet is in the way.

    Where the machine has no folder for it nothing is locked, and `why_not` says so: the lock is a help.
    """

    served: tuple[Served, ...]
    state: Path
    store: str = ""  # a name of the store, where others may share it; "" for one of its own
    places: Sequence[Path] = PLACES
    pause: Callable[[float], object] = time.sleep
    why_not: str = ""  # in words, once it was entered
    _file: Path | None = field(default=None, init=False)
    _descriptor: int | None = field(default=None, init=False)

    def __enter__(self) -> Self:
        if not self.served:
            return self
        try:
            folder = _made(self.places)
            with _gate(folder, self.pause):
                self._refuse_beside(_living(folder))
                self._take(folder)
        except (OSError, InvalidInputError) as error:
            self._release()
            self.why_not = (
                f"nothing keeps a second fleet of this machine from the same repositories: {error}; see that "
                "all users may make files there"
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._release()

    def note_store(self, store: str) -> None:
        """Add the name of the store, once it is known, for workers that somebody starts beside the fleet."""
        self.store = store
        if self._descriptor is not None:
            self._write(self._descriptor)

    def _refuse_beside(self, fleets: Iterator[_Fleet]) -> None:
        for fleet in fleets:
            if self.store and fleet.store == self.store:
                continue
            if what := _shared(self.served, fleet):
                message = (
                    f"a fleet works on {what} already: {fleet.whose}; two would do and pay everything twice, "
                    "so nothing was started. End that one, or go on with it: commands find it in its own "
                    "folder"
                )
                raise ConflictError(message)

    def _take(self, folder: Path) -> None:
        """Make the fleet's file, locked and readable for all users."""
        self._file = folder / f"{secrets.token_hex(8)}.json"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(self._file, flags, 0o644)
        os.fchmod(self._descriptor, 0o644)
        locks(self._descriptor, EXCLUSIVE)
        self._write(self._descriptor)

    def _write(self, descriptor: int) -> None:
        note = {"pid": os.getpid(), "state": str(self.state), "folder": str(Path.cwd()), "store": self.store}
        os.ftruncate(descriptor, 0)
        os.pwrite(
            descriptor, json.dumps({**note, "served": [asdict(one) for one in self.served]}).encode(), 0
        )

    def _release(self) -> None:
        if self._file is not None:
            self._file.unlink(missing_ok=True)
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._file = self._descriptor = None


def other_remote_fleet(
    settings: Settings, *, places: Sequence[Path] = PLACES, pause: Callable[[float], object] = time.sleep
) -> str:
    """Why a worker with these settings may not start: a fleet with another store works on what it would.

    "" when nothing is in the way, as far as this machine shows it.
    """
    served = Served.all_of(settings)
    if settings.redis_url is None or not served:
        return ""
    store = store_name(settings.redis_url.get_secret_value(), settings.namespace)
    with suppress(OSError, InvalidInputError):
        folder = _place(places)
        if not folder.is_dir():
            return ""
        with _gate(folder, pause):
            for fleet in _living(folder):
                what = _shared(served, fleet)
                if what and fleet.store not in {"", store}:
                    return (
                        f"a fleet with another server works on {what} already: {fleet.whose}; two would do "
                        "and pay everything twice. Give this worker that fleet's server "
                        "(COALMINE_REDIS_URL), or end that fleet"
                    )
    return ""


def _shared(served: Sequence[Served], fleet: _Fleet) -> str:
    """What both work on, in words; "" for nothing."""
    found = (one.shared_with(other) for one in served for other in fleet.served)
    return next(filter(None, found), "")


def _place(places: Sequence[Path]) -> Path:
    """The folder, which need not be there; FileNotFoundError on a machine without a place for it."""
    for place in places:
        with suppress(OSError):
            mode = place.stat().st_mode
            if stat.S_ISDIR(mode) and mode & stat.S_ISVTX and mode & stat.S_IWOTH:
                return place / OF_REMOTE
    message = f"none of {', '.join(map(str, places))} is a folder in which every user may make files"
    raise FileNotFoundError(message)


def _made(places: Sequence[Path]) -> Path:
    """The folder, made where there is none: every user may make files in it, and remove their own alone."""
    folder = _place(places)
    with suppress(FileExistsError):
        folder.mkdir()
    if folder.is_symlink() or not folder.is_dir():
        message = f"{folder} is not a folder; remove it"
        raise NotADirectoryError(message)
    if folder.stat().st_uid == os.getuid():
        folder.chmod(0o1777)
    return folder


@contextmanager
def _gate(folder: Path, pause: Callable[[float], object]) -> Iterator[None]:
    """Let one process at a time look at the files and add its own. TimeoutError when another does not end."""
    descriptor = opened(folder)
    try:
        with suppress(OSError):  # of another user, who has done it
            os.fchmod(descriptor, 0o644)
        for _ in range(_LOOKS):
            if locks(descriptor, EXCLUSIVE):
                break
            pause(_LOOK_SECONDS)
        else:
            message = f"another process does not give back the lock on {folder / NAME}"
            raise TimeoutError(message)
        yield
    finally:
        os.close(descriptor)


def _living(folder: Path) -> Iterator[_Fleet]:
    """The fleets whose processes live; files of others are removed where they are ours."""
    for file in sorted(folder.glob("*.json")):
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:  # it has just ended, or was not made by a fleet
            continue
        try:
            if locks(descriptor, SHARED):
                with suppress(OSError):
                    file.unlink()
            elif served := _served_in(note := note_in(descriptor, _NOTE_BYTES)):
                yield _Fleet(
                    served=served, store=str(note.get("store", "")), whose=whose(descriptor, _NOTE_BYTES)
                )
        finally:
            os.close(descriptor)


def _served_in(note: Any) -> tuple[Served, ...]:
    """What a file says of forges; nothing where it is not the file of a fleet."""
    try:
        return tuple(
            Served(address=str(one["address"]), repositories=tuple(map(str, one["repositories"])))
            for one in note["served"]
        )
    except (KeyError, TypeError):
        return ()
