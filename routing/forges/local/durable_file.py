"""Files that several processes write: replaced whole, on the disk before they count, under a lock.

The order of a change is: take the lock, read, decide, replace the file. Readers take no lock, because a
replacement is atomic. OSError is passed on as it is; callers say which thing it happened to.
"""

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from routing.errors import CorruptRecordError

#: Permissions of a file that did not exist before, before the umask of the folder's owner.
NEW_FILE_MODE = 0o644


@contextmanager
def locked(lock_file: Path) -> Iterator[int]:
    """Hold the exclusive lock of a file, which is created if need be. Yields the file's descriptor.

    The lock is `flock`'s: it ends with the process, however that ends, and it excludes other threads that
    open the file as well. It waits without a limit, so what is done under it must be short. A symbolic link
    in the place of the lock file is refused (OSError).
    """
    descriptor = os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, NEW_FILE_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def read_regular(path: Path, *, max_bytes: int) -> tuple[bytes, os.stat_result]:
    """Read a regular file that is not a symbolic link, or raise CorruptRecordError that says why not.

    Others may write in the folder: a link could lead to a file that they cannot read themselves, and reading
    a pipe could wait for ever. So a link is not followed, a pipe is refused unread, and no more than
    `max_bytes` and one are read. Returns the content and the facts of the very file that was read. A missing
    file is FileNotFoundError, a link OSError.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a Path cannot be opened by its descriptor
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            message = f"{path.name!r} is not a regular file"
            raise CorruptRecordError(message)
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        message = f"{path.name!r} is larger than {max_bytes} bytes; make it smaller"
        raise CorruptRecordError(message)
    return content, facts


def replace_file(path: Path, content: bytes, *, mode: int = NEW_FILE_MODE) -> None:
    """Put `content` in the place of the file: readers see the old or the new one, never a part.

    When it returns, the new file is on the disk under its name, also after a power cut. After an error the
    old file is there, and no temporary one. The name of the temporary file begins with a dot, which no reader
    here takes for an issue. `mode` is set as it is, without the umask.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=".", suffix=".new", dir=path.parent)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a Path cannot be opened by its descriptor
            file.write(content)
            file.flush()
            os.fchmod(descriptor, stat.S_IMODE(mode))
            os.fsync(descriptor)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Have the folder's entries on the disk: without this a power cut may bring the old file back."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
