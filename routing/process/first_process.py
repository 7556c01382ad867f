"""The first process of a sandbox: when it has ended, so has all that was inside.

Bubblewrap exits when its program does. The first process in its namespace of processes is ended by that, and
ends all others, and the kernel lets it go last of all (pid_namespaces(7)). Bubblewrap says its pid as it
starts (`--info-fd` of bwrap(1)); it is held by a pidfd from then on, so that its number may be used again.

Where something is to be done to the sandbox before the program runs in it, the first process waits for that
(`--block-fd`), and never runs the program if it fails.
"""

import os
import re
import select
import signal
from contextlib import suppress
from pathlib import Path
from selectors import EVENT_READ
from typing import Final, Protocol

from routing.errors import UnavailableError
from routing.process.poll_loop import PollLoop

_SAID: Final = re.compile(rb'"child-pid": *([0-9]+)')
_READ_BYTES: Final = 4096


class SandboxNetworkError(UnavailableError):
    """The network of a sandbox was not made as its profile says: nothing ran in it, and nothing is left."""


class Preparation(Protocol):
    """What is done to one sandbox before its program runs."""

    def ask(self, said: int) -> None:
        """Before the start. `said` is a descriptor of where the first process will be said; copy it.

        SandboxNetworkError: it cannot be done.
        """

    def done(self) -> int:
        """After the start: wait until it is done. A pidfd of the first process, which the caller closes.

        SandboxNetworkError: it was not done, or nothing was said.
        """

    def close(self) -> None:
        """Let go of all descriptors; again is harmless."""


class FirstProcess:
    """Made for one start of a program that makes a namespace.

    In this order: `begin` when it was started; `end` when it has exited; `close` whatever happened, and again
    is harmless. The program inherits `descriptors`. Where nothing was said, nothing is inside.
    """

    def __init__(self, preparation: Preparation | None = None) -> None:
        """SandboxNetworkError: what is to be done before cannot be. OSError: no descriptors are left."""
        said, self.says = os.pipe()
        os.set_blocking(said, False)
        self._said: int | None = said
        self._is_begun = False
        self._text = b""
        self._pidfd: int | None = None
        self._loop: PollLoop | None = None
        self._preparation = preparation
        self.waits: int | None = None  # where it reads that it may go on; None: it does so by itself
        self._go: int | None = None
        if preparation is not None:
            try:
                self.waits, self._go = _gate()
                preparation.ask(said)
            except BaseException:
                self.close()
                raise
            self._shut_said()  # the one that was asked listens there

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What the program inherits."""
        return (self.says,) if self.waits is None else (self.says, self.waits)

    def begin(self, loop: PollLoop) -> None:
        """The program has its end of the pipe: listen at ours, or see that all is done, and let it go on.

        SandboxNetworkError: it does not go on; end it.
        """
        self._shut_given()
        if self._preparation is not None and self._go is not None:
            self._pidfd = self._preparation.done()
            try:
                os.write(self._go, b"!")
            except OSError as error:
                message = "bubblewrap ended before its program ran"
                raise SandboxNetworkError(message) from error
            self._shut_preparation()
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
        self._shut_given()
        self._shut_said()
        self._shut_preparation()
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

    def _shut_given(self) -> None:
        if not self._is_begun:
            self._is_begun = True
            for descriptor in self.descriptors:
                os.close(descriptor)

    def _shut_preparation(self) -> None:
        go, self._go = self._go, None
        if go is not None:
            os.close(go)
        if self._preparation is not None:
            self._preparation.close()

    def _shut_said(self) -> None:
        said, self._said = self._said, None
        if said is not None:
            if self._loop is not None:
                self._loop.forget(said)
            os.close(said)


def _gate() -> tuple[int, int]:
    """Where a process waits, and what lets it go on by a byte.

    It waits at a pipe that it could write itself. So that has no end, which our own death would be otherwise:
    bubblewrap goes on at the end of a pipe, too.
    """
    read, go = os.pipe()
    try:
        return os.open(f"/proc/self/fd/{read}", os.O_RDWR | os.O_CLOEXEC), go
    except OSError:
        os.close(go)
        raise
    finally:
        os.close(read)


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
