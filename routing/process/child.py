"""The owner of child processes: one is started, read, and ended together with everything that it started.

Nothing else in Coalmine starts a process. Every child has a session and a process group of its own, so a
terminal's Ctrl-C reaches only us and the whole group can be ended.
What has left the group is found by `Descendants`, where the caller has one: agents do. What is in a sandbox
ends with its `FirstProcess`, which is waited for.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from selectors import EVENT_READ
from typing import Self

from routing.process.command import Command, Ended, Output, SpawnError
from routing.process.descendants import Descendants, kill_all, signal_process
from routing.process.first_process import SandboxNetworkError
from routing.process.parent_death import tied_to_us
from routing.process.pipes import Pipes
from routing.process.poll_loop import PollLoop
from routing.process.table import ProcessEntry, still_running
from routing.process.wrapped import Wrapped

#: Between two looks at processes that were sent a signal.
_LOOK_SECONDS = 0.05
#: How long processes may take to vanish after SIGKILL (they may hang in the kernel).
_VANISH_SECONDS = 5.0
#: The longest wait for a loop; all that a child does wakes it, so this only bounds surprises.
_PATIENCE_SECONDS = 5.0
#: The same where the kernel does not report that a process has exited.
_BLIND_PATIENCE_SECONDS = 0.1


class ChildProcess:
    """A process that was started, with everything that it starts in turn.

    In this order: `start`; `pump`, or the shared loop's `pump`, until `has_exited` or until the caller's own
    limit; then `end` (or `discard`) exactly once, whatever happened. One thread at a time may use it, except
    for `wake`. Its outputs are called in the thread that pumps or ends it.
    """

    def __init__(
        self, command: Command, process: subprocess.Popen[bytes], pipes: Pipes, *, loop: PollLoop,
        owns_loop: bool, descendants: Descendants | None, clock: Callable[[], float],
    ) -> None:  # fmt: skip
        """Called by `start` alone."""
        self._command = command
        self._process = process
        self._pipes = pipes
        self._loop = loop
        self._owns_loop = owns_loop
        self._descendants = descendants
        self._clock = clock
        self._started_at = clock()
        self._is_reaped = False
        self._has_last_word = False
        self._exit_fd = _open_exit_fd(process.pid)
        if self._exit_fd is not None:
            loop.watch(self._exit_fd, EVENT_READ, self._forget_exit)

    @classmethod
    def start(
        cls, command: Command, *, output: Output | None = None, error: Output | None = None,
        loop: PollLoop | None = None, descendants: Descendants | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> Self:  # fmt: skip
        """Start a program in a session of its own. SpawnError: it was not, and nothing is left.

        SandboxNetworkError: what it was to run in could not be prepared, and nothing is left either.

        `output` takes what it prints, with its standard error unless `error` takes that; without `output`
        nothing is read. Without a `loop`, which several children may share, it has one of its own. With
        `descendants` whatever it starts is ended with it, wherever that has got to; without, its group is.
        """
        program = command.argv[0]
        if command.death_signal is not None:
            command = replace(command, argv=tied_to_us(command.argv, death_signal=command.death_signal))
        if descendants is not None:
            command = descendants.marked(command)
        pumped = loop
        try:
            pumped = loop or PollLoop()
            process = _popen(command, reads_output=output is not None, reads_error=error is not None)
        except (OSError, ValueError, RuntimeError) as refused:
            # ValueError: a NUL in a variable or an argument. RuntimeError: no thread could be started.
            if pumped is not None and loop is None:
                pumped.close()
            if descendants is not None:
                descendants.end(clock=time.monotonic, pause=time.sleep)
            message = (
                f"{program} could not be started in {command.cwd or Path.cwd()}: {refused}; "
                "see that the program is installed and the folder is there"
            )
            raise SpawnError(message) from refused
        if descendants is not None:
            descendants.begin(process.pid)
        streams = ((process.stdout, output), (process.stderr, error))
        pipes = Pipes(
            pumped,
            stdin=process.stdin,
            data=command.stdin or b"",
            outputs=[(pipe, taker) for pipe, taker in streams if pipe is not None and taker is not None],
        )
        child = cls(
            command, process, pipes, loop=pumped, owns_loop=loop is None, descendants=descendants, clock=clock
        )
        child._begin()
        return child

    def _begin(self) -> None:
        """Prepare what the program runs in; what is raised ends all of it, and has what it printed."""
        first = self._command.first_process
        if first is None:
            return
        try:
            first.begin(self._loop)
        except BaseException as error:
            first.end(timeout_seconds=_VANISH_SECONDS)
            said = self._pipes.first_words()
            self.discard()
            if isinstance(error, SandboxNetworkError) and said:
                message = f"{error}: {said}"
                raise SandboxNetworkError(message) from error.__cause__
            raise

    @property
    def pid(self) -> int:
        """Its process id, which is the id of its group and session too."""
        return self._process.pid

    @property
    def bytes_read(self) -> int:
        """How many bytes it has printed, as far as they were read."""
        return self._pipes.bytes_read

    def pump(self, timeout_seconds: float) -> None:
        """Move bytes, or wait until some can be moved, it exits, or `wake` is called; at most so long."""
        longest = _BLIND_PATIENCE_SECONDS if self._exit_fd is None else _PATIENCE_SECONDS
        self._loop.pump(min(timeout_seconds, longest))

    def wake(self) -> None:
        """Let `pump` return at once; from any thread, and from a signal handler, until `end` or `discard`."""
        self._loop.wake()

    def has_exited(self) -> bool:
        """Whether the program itself has ended; it is not reaped by asking, so its pid stays its own."""
        if self._process.returncode is not None:
            return True
        if not hasattr(os, "waitid"):  # macOS before Python 3.13: asking reaps
            return self._process.poll() is not None
        try:
            # WNOWAIT leaves the status, and with it the pid, for `end`.
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # reaped by a wait for any child elsewhere in this process
            return True

    def terminate(self) -> None:
        """Send SIGTERM and return at once: to all its processes, or as `Command.ends_its_own` says."""
        self._signal(signal.SIGTERM, self._left())

    def end(self, *, grace_seconds: float = 0.0) -> Ended:
        """End what is left of it (SIGTERM, `grace_seconds`, SIGKILL), read the rest of its output, reap it.

        Output is read meanwhile; when an output raises, all is killed at once and the error is passed on.
        Without a grace period there is no SIGTERM. At most two times 5 s more go by if the kernel holds
        processes that were killed.
        """
        try:
            survivors = self._end_all(grace_seconds, self._loop.pump)
            exit_code = self._reap()
            self._pipes.drain()
        except BaseException:
            self.discard()
            raise
        self._close()
        return Ended(exit_code=exit_code, seconds=self._clock() - self._started_at, survivors=survivors)

    def discard(self) -> None:
        """Kill all of it and read nothing more."""
        try:
            if not self._is_reaped:
                self._end_all(0.0, time.sleep)
                self._reap()
        finally:
            self._close()

    def _end_all(self, grace_seconds: float, pause: Callable[[float], None]) -> int:
        """Return how many processes could not be ended. `pause(seconds)` waits."""
        first = self._command.first_process
        if first is not None and self.has_exited():  # what is inside ends by that, without a grace period
            first.end(timeout_seconds=_VANISH_SECONDS)
        left = self._left()
        if left and grace_seconds > 0:
            if self._command.is_wrapper and (wrapped := Wrapped.among(left, wrapper=self.pid)):
                wrapped.hold()
            self._signal(signal.SIGTERM, left)
            kill_at = self._clock() + grace_seconds
            last_word_at = kill_at - grace_seconds / 2
            while self._is_running(left) and self._clock() < kill_at:
                pause(_LOOK_SECONDS)
                if self._command.is_wrapper:
                    self._terminate_wrapped(is_late=self._clock() >= last_word_at)
        give_up_at = self._clock() + _VANISH_SECONDS
        # Again and again, as a process may start another one between the look and the signal.
        # A process that is just dying has lost its environment already: it counts until it is gone.
        while left and (left := self._left() or still_running(left)) and self._clock() < give_up_at:
            others = [entry for entry in left if entry.group != self.pid]
            for entry in others:  # a shell whose command dies first would run its next line
                signal_process(entry, signal.SIGSTOP)
            self._signal_group(signal.SIGKILL)
            kill_all(others)
            pause(_LOOK_SECONDS)
        self._signal_group(signal.SIGKILL)
        held = self._descendants.end(clock=self._clock, pause=pause) if self._descendants is not None else 0
        if first is not None and not first.end(timeout_seconds=_VANISH_SECONDS):
            held = max(held, 1)
        return max(len(left), held)

    def _terminate_wrapped(self, *, is_late: bool) -> None:
        """Send SIGTERM to the wrapped program, once, when what it started has gone or takes too long."""
        wrapped = None if self._has_last_word else Wrapped.among(self._left(), wrapper=self.pid)
        if wrapped is not None and (is_late or not wrapped.others):
            self._has_last_word = True
            wrapped.let_end()

    def _reap(self) -> int | None:
        """Collect the exit code, when everything has been ended; None when it does not exit at all."""
        self._is_reaped = True
        try:
            return self._process.wait(timeout=_VANISH_SECONDS)
        except subprocess.TimeoutExpired:
            return None

    def _close(self) -> None:
        try:
            self._pipes.close()
        finally:
            self._forget_exit()
            if self._exit_fd is not None:
                os.close(self._exit_fd)
                self._exit_fd = None
            if self._command.first_process is not None:
                self._command.first_process.close()
            if self._owns_loop:
                self._loop.close()

    def _forget_exit(self) -> None:
        """The descriptor is readable from the exit on, and would wake the loop again and again."""
        if self._exit_fd is not None:
            self._loop.forget(self._exit_fd)

    def _left(self) -> list[ProcessEntry]:
        """Its processes that are alive. Without descendants only the program itself is known to be."""
        found = self._descendants.left() if self._descendants is not None else None
        if found is not None:
            return found
        return [] if self.has_exited() else [ProcessEntry(self.pid, os.getpid(), self.pid, self.pid, 0)]

    def _is_running(self, left: list[ProcessEntry]) -> bool:
        return bool(still_running(left)) or not self.has_exited()

    def _signal(self, number: signal.Signals, left: list[ProcessEntry]) -> None:
        if self._command.is_wrapper and (wrapped := Wrapped.among(left, wrapper=self.pid)):
            wrapped.signal_first(number)
        elif not self._command.ends_its_own:
            self._signal_group(number)
            self._signal_others(number, left)
        elif not self.has_exited():
            os.kill(self.pid, number)

    def _signal_others(self, number: signal.Signals, left: list[ProcessEntry]) -> None:
        for entry in left:
            if entry.group != self.pid:
                signal_process(entry, number)

    def _signal_group(self, number: signal.Signals) -> None:
        if not self._is_reaped:  # the group's id is still ours
            # PermissionError: macOS, where nothing but a zombie is left of the group.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)


def _popen(command: Command, *, reads_output: bool, reads_error: bool) -> subprocess.Popen[bytes]:
    unread = subprocess.DEVNULL if command.log is None else command.log
    first = () if command.first_process is None else command.first_process.descriptors

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            list(command.argv),
            cwd=command.cwd,
            env=command.environment,
            stdin=subprocess.DEVNULL if command.stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE if reads_output else unread,
            stderr=subprocess.PIPE if reads_error else subprocess.STDOUT,
            bufsize=0,
            start_new_session=True,
            pass_fds=(*command.descriptors, *first),
            umask=command.umask,
        )

    return _in_lasting_thread(start) if command.outlives_thread else start()


def _in_lasting_thread(start: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Start a program from a thread that lives as long: its end would bring the parent death signal."""
    if not sys.platform.startswith("linux"):  # there is no such signal
        return start()
    started: Future[subprocess.Popen[bytes]] = Future()

    def last() -> None:
        try:
            process = start()
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            started.set_exception(error)
            return
        started.set_result(process)
        with contextlib.suppress(ChildProcessError):  # `end` was faster in reaping it
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

    threading.Thread(target=last, name="child-starter", daemon=True).start()
    return started.result()


def _open_exit_fd(pid: int) -> int | None:
    """Return a descriptor that becomes readable when the process exits, None where there is none."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):  # not Linux, an old kernel, or out of descriptors
        return None
