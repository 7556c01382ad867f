"""What a git complained of, by the formats of its messages: the names in them are left out.

What git prints holds names of files and of references, which may be any words. Its trace has the format of
each message beside it, such as `open("%s"): Permission denied` (see api-trace2(7)). So a name proves nothing.
"""

import errno
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

#: How the system says that this host is at its limits.
LIMITS = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM),
        errno.EAGAIN,  # no more processes
    }
)

#: Git ends the format of a message with the system's own words, or has its own for two of the limits.
_AT_LIMIT = re.compile(
    rf"(: |^)({'|'.join(re.escape(os.strerror(number)) for number in sorted(LIMITS))})$"
    r"|^Out of memory, |write error\. Out of diskspace$"
)
_ENDED_BY_SIGNAL = "%s died of signal %d"
_AT_LIMIT_BY_SIGNAL = re.compile(r" died of signal (9|15)$")

#: Most bytes of a trace that are read.
_MOST_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Complaints:
    """The trace of one git and of all that it starts. It is in memory: a full disk is among what it tells."""

    file: IO[bytes]

    @classmethod
    @contextmanager
    def noted(cls) -> Iterator["Complaints"]:
        """Begin to note. OSError: this process has no descriptor left."""
        with _in_memory() as file:
            yield cls(file)

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which a git notes what it complains of; it inherits `descriptor`."""
        return {"GIT_TRACE2_EVENT": f"/dev/fd/{self.descriptor}", "GIT_TRACE2_EVENT_BRIEF": "1"}

    @property
    def descriptor(self) -> int:
        """Where it notes."""
        return self.file.fileno()

    def are_of_a_limit(self) -> bool:
        """Whether this host had no room, memory, descriptors or processes left, or git was killed."""
        return any(_is_of_a_limit(line) for line in self._lines())

    def _lines(self) -> Iterator[bytes]:
        self.file.seek(0)
        return iter(self.file.read(_MOST_BYTES).splitlines())


def _is_of_a_limit(line: bytes) -> bool:
    if b'"event":"error"' not in line:
        return False
    try:
        event = json.loads(line.decode(errors="replace"))
    except ValueError:  # cut off
        return False
    form = str(event.get("fmt", ""))
    if form == _ENDED_BY_SIGNAL:
        return bool(_AT_LIMIT_BY_SIGNAL.search(str(event.get("msg", ""))))
    return bool(_AT_LIMIT.search(form))


def _in_memory() -> IO[bytes]:
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("git"), "w+b")
    return tempfile.TemporaryFile()
