"""The first process of a sandbox: when it has ended, so has all that was inside.

Bubblewrap exits when its program does. The first process in its namespace of processes is ended by that, and
ends all others, and the kernel lets it go last of all (pid_namespaces(7)). Bubblewrap says its pid as it
starts (`--info-fd` of bwrap(1)); it is held by a pidfd from then on, so that its number may be used again.
"""

import os
import re
import select
import signal
from contextlib import suppress
from pathlib import Path
from selectors import EVENT_READ
from typing import Final

from routing.process.poll_loop import PollLoop

_SAID: Final = re.compile(rb'"child-pid": *([0-9]+)')
_READ_BYTES: Final = 4096


class FirstProcess:
    """Made for one start of a program that makes a namespace.

    In this order: `begin` when it was started; `end` when it has exited; `close` whatever happened, and again
    is harmless. `says` is the descriptor that it inherits. Where nothing was said, nothing is inside.
    """

    def __init__(self) -> None:
        """OSError: there are no descriptors left."""
        said, self.says = os.pipe()
        os.set_blocking(said, False)
        self._said: int | None = said
        self._is_begun = False
        self._text = b""
        self._pidfd: int | None = None
        self._loop: PollLoop | None = None

    def begin(self, loop: PollLoop) -> None:
        """The program has its end of the pipe; listen at ours."""
        self._shut_says()
        self._loop = loop
        if self._said is not None:
            loop.watch(self._said, EVENT_READ, self._read)

    def end(self, *, timeout_seconds: float) -> bool:
        """Kill it, and wait for its end and that of all inside; False when the kernel holds them longer."""
        self._read()
        if self._pidfd is None:
            return True
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        ended = select.poll()
        ended.register(self._pidfd, select.POLLIN)
        return bool(ended.poll(timeout_seconds * 1000))

    def close(self) -> None:
        """Let go of all descriptors."""
        self._shut_says()
        self._shut_said()
        pidfd, self._pidfd = self._pidfd, None
        if pidfd is not None:
            os.close(pidfd)

    def _read(self) -> None:
        """Take what was said, to its end: a program whose pipe was closed before would be killed by that."""
        while self._said is not None:
            try:
                part = os.read(self._said, _READ_BYTES)
            except BlockingIOError:
                break
            self._text += part
            if not part:
                self._shut_said()
        if self._pidfd is None and (found := _SAID.search(self._text)):
            self._pidfd = _held(int(found[1]))

    def _shut_says(self) -> None:
        if not self._is_begun:
            self._is_begun = True
            os.close(self.says)

    def _shut_said(self) -> None:
        said, self._said = self._said, None
        if said is not None:
            if self._loop is not None:
                self._loop.forget(said)
            os.close(said)


def _held(pid: int) -> int | None:
    """A pidfd of a first process; None: it has ended, the number is another's, or no descriptor is left."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return None
    with suppress(OSError):  # gone since
        if _is_first(pid):
            return pidfd
    os.close(pidfd)
    return None


def _is_first(pid: int) -> bool:
    """Whether a process is the first of a namespace within ours. OSError: it has gone."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("NSpid:"):
            own = line.split()[2:]
            return own[-1:] == ["1"]
    return False
