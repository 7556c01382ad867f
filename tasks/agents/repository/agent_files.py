"""An agent's folders and files, read as data: held open, bounded, and never through a link.

A pipe is not waited for, a device is not read, and neither a link nor a file in the place of a folder leads
anywhere.
"""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Self

from routing.errors import CoalmineError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class TooLargeError(CoalmineError):
    """An agent left more than is read of it; nothing was taken."""


@dataclass(frozen=True, slots=True)
class AgentFolder:
    """A folder that is open. One that is not there, or cannot be read, has no entries."""

    descriptor: int | None

    @classmethod
    @contextmanager
    def at(cls, path: Path, *below: str) -> Iterator[Self]:
        """Open a folder, some levels below one whose parents are ours."""
        descriptor = _opened(os.fspath(path), None)
        try:
            for name in below:
                outer, descriptor = descriptor, None if descriptor is None else _opened(name, descriptor)
                if outer is not None:
                    os.close(outer)
            yield cls(descriptor)
        finally:
            if descriptor is not None:
                os.close(descriptor)

    @contextmanager
    def folder(self, name: str) -> Iterator["AgentFolder"]:
        """Open a folder in it."""
        descriptor = None if self.descriptor is None else _opened(name, self.descriptor)
        try:
            yield AgentFolder(descriptor)
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def entries(self, *, most: int) -> list[str]:
        """The names in it, sorted; TooLargeError when there are more than `most`."""
        if self.descriptor is None:
            return []
        with os.scandir(self.descriptor) as found:
            names = sorted(entry.name for entry in islice(found, most + 1))
        if len(names) > most:
            message = f"a folder of the agent's repository has more than {most} entries; it is not read"
            raise TooLargeError(message)
        return names

    def has(self, name: str) -> bool:
        """Whether there is anything by that name."""
        if self.descriptor is None:
            return False
        try:
            os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except OSError:
            return False
        return True

    def read(self, name: str, *, most_bytes: int) -> bytes:
        """The content of a regular file, b"" for none; TooLargeError when it is longer."""
        with self.file(name) as file:
            content = b"" if file is None else file.read(most_bytes + 1)
        if len(content) > most_bytes:
            raise _too_large(name, most_bytes)
        return content

    def copy(self, name: str, to: Path, *, most_bytes: int) -> int:
        """Copy a regular file, and return its size; 0 for none. TooLargeError when it is longer."""
        with self.file(name) as file:
            if file is None:
                return 0
            size = os.fstat(file.fileno()).st_size
            if size > most_bytes:
                raise _too_large(name, most_bytes)
            with to.open("wb") as copied:
                shutil.copyfileobj(file, copied)
                copied.truncate(size)  # it has not grown, unless a process of the agent has escaped us
        return size

    @contextmanager
    def file(self, name: str) -> Iterator[BinaryIO | None]:
        """Open a regular file, None for anything else."""
        descriptor = None if self.descriptor is None else _opened(name, self.descriptor, _FILE)
        if descriptor is not None and not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            descriptor = None
        if descriptor is None:
            yield None
            return
        with os.fdopen(descriptor, "rb") as file:
            yield file


def _opened(name: str, parent: int | None, flags: int = _FOLDER) -> int | None:
    try:
        return os.open(name, flags, dir_fd=parent)
    except (OSError, ValueError):
        return None


def _too_large(name: str, most_bytes: int) -> TooLargeError:
    message = f"{name[:200]!r} of the agent's repository is larger than {most_bytes} bytes; it is not read"
    return TooLargeError(message)
