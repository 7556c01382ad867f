"""Copies of what sandboxes are shown of /etc: one folder to mount in place of two dozen files and folders.

For each mount bubblewrap reads the table of all mounts before it, so that two dozen of them take longer than
all else that it does. A copy is made once, and again when something there has changed; a turn keeps the one
that it began with.
"""

import hashlib
import os
import secrets
import shutil
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from routing.folder_removal import remove_all
from routing.sandbox.machine_files import OF_ETC

#: Seconds for which /etc is taken to be as it was.
FRESH_SECONDS = 60.0

#: Most entries of a copy, and bytes; where there are more, each is mounted by itself.
MOST_ENTRIES = 20_000
MOST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _EtcEntry:
    """A file, folder or link that belongs into a copy."""

    at: str  # relative to /etc
    source: str  # where it really is
    facts: os.stat_result

    @property
    def stamp(self) -> tuple[str, int, int, int]:
        """Another one after each change."""
        return self.at, self.facts.st_ino, self.facts.st_mtime_ns, self.facts.st_size


class EtcCopies:
    """Makes copies for one process, whose threads share them; other processes find them again."""

    def __init__(
        self, *, etc: Path = Path("/etc"), names: Sequence[str] = OF_ETC,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """`clock` in seconds; it never goes back."""
        self._etc, self._names, self._clock = etc, names, clock
        self._lock = threading.Lock()
        self._made: dict[Path, tuple[float, Path | None]] = {}  # by place: when it was made, and what

    def copy_in(self, place: Path) -> Path | None:
        """The copy below a folder, which it makes; None where none can be made: no room, or too much.

        Nobody but this user may write there.
        """
        with self._lock:
            looked_at, copy = self._made.get(place, (float("-inf"), None))
            if self._clock() - looked_at >= FRESH_SECONDS or (copy is not None and not copy.is_dir()):
                looked_at, copy = self._clock(), self._copied(place)
                self._made[place] = looked_at, copy
            return copy

    def _copied(self, place: Path) -> Path | None:
        entries = list(_entries(self._etc, self._names))
        too_much = len(entries) > MOST_ENTRIES or sum(one.facts.st_size for one in entries) > MOST_BYTES
        if too_much:
            return None
        said = repr([one.stamp for one in entries]).encode()
        copy = place / hashlib.sha256(said).hexdigest()[:24]
        new = place / f"new-{secrets.token_hex(8)}"
        try:
            if not copy.is_dir():
                new.mkdir(mode=0o755, parents=True)
                for entry in entries:
                    _put(entry, new / entry.at)
                new.rename(copy)
            os.utime(copy)
        except OSError:  # no room; or another process was faster
            remove_all(new)
        return copy.resolve() if copy.is_dir() else None


def sweep_etc_copies(place: Path, *, unused_seconds: float, now: float | None = None) -> None:
    """Remove copies that no process has asked for during so long."""
    now = time.time() if now is None else now
    for copy in place.glob("*"):
        with suppress(OSError):
            if now - copy.lstat().st_mtime > unused_seconds:
                remove_all(copy)


def _entries(etc: Path, names: Sequence[str]) -> Iterator[_EtcEntry]:
    """What is there of these names; links that are named are followed, others stay links."""
    for name in names:
        source = os.path.realpath(etc / name)
        with suppress(OSError):
            yield from _below(name, source, Path(source).stat())


def _below(at: str, source: str, facts: os.stat_result) -> Iterator[_EtcEntry]:
    """An entry, and all that is in it; what this user may not read is not there for its agents either."""
    is_kept = stat.S_ISLNK(facts.st_mode) or (
        (stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode)) and os.access(source, os.R_OK)
    )
    if not is_kept:
        return
    yield _EtcEntry(at, source, facts)
    if stat.S_ISDIR(facts.st_mode):
        with os.scandir(source) as found:
            for one in sorted(found, key=lambda each: each.name):
                with suppress(OSError):
                    yield from _below(f"{at}/{one.name}", one.path, one.stat(follow_symlinks=False))


def _put(entry: _EtcEntry, to: Path) -> None:
    """Make an entry in a copy. OSError."""
    to.parent.mkdir(parents=True, exist_ok=True)
    if stat.S_ISDIR(entry.facts.st_mode):
        to.mkdir(exist_ok=True)
    elif stat.S_ISLNK(entry.facts.st_mode):
        to.symlink_to(os.readlink(entry.source))  # noqa: PTH115 - the text of a link, as it is
    else:
        shutil.copyfile(entry.source, to, follow_symlinks=False)
        to.chmod(0o644 | entry.facts.st_mode & 0o111)
