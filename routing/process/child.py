"""The owner of child processes: one is started, read, and ended together with everything that it started.

Nothing else in Coalmine starts a process. Every child has a session and a process group of its own, so a
terminal's Ctrl-C reaches only us and the whole group can be ended.

How descendants are found that left the process group (shell tools of agents call setsid):

- A *child subreaper* would inherit them, but it is an attribute of the whole worker process. In a worker
  that supervises hundreds of turns from threads, and under Celery's prefork pool, orphans of every turn,
  and of libraries that know nothing of it, would become children that nobody waits for; which turn they
  belong to would be lost as well.
- A *cgroup* a turn is exact, but needs rights that many a worker does not have. Where it has them, it is
  used: see `turn_cgroup` and `cgroup_home`.
- Everywhere every turn's processes carry a *marker*: a value of its own in an environment variable, which
  children inherit whatever they do to session and group. When a turn ends, the process table is searched for
  it, for the group and session, and for descendants of all these.

What escapes without a cgroup: a process that changed its session, removed the variable from its environment,
or closed that to its user (`PR_SET_DUMPABLE`), and lost its parent before the search; a process of another
user. A container covers these.

Process ids are used again. The agent itself is not reaped before its group has been ended, so that its
pid, group and session cannot become anybody else's; others are signalled through a pidfd after their
start time was compared.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from selectors import EVENT_READ
from typing import Self

from routing.process.cgroup import CgroupHome, TurnCgroup
from routing.process.command import Command, Ended, Output, SpawnError
from routing.process.marker import TurnMarker
from routing.process.parent_death import tied_to_us
from routing.process.pipes import Pipes
from routing.process.poll_loop import PollLoop
from routing.process.table import (
    MARKER,
    ProcessEntry,
    ProcessTable,
    family,
    start_ticks,
    still_running,
)

#: Between two looks at processes that were sent a signal.
_LOOK_SECONDS = 0.05
#: How long processes may take to vanish after SIGKILL (they may hang in the kernel).
_VANISH_SECONDS = 5.0
#: The longest wait for a loop; all that a child does wakes it, so this only bounds surprises.
_PATIENCE_SECONDS = 5.0
#: The same where the kernel does not report that a process has exited.
_BLIND_PATIENCE_SECONDS = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessIdentity:
    """What names a process on the whole fleet for as long as it lives, and afterwards no other."""

    host: str
    boot_id: str  # of the host's kernel, "" where there is none to read
    pid: int
    start_ticks: int | None  # clock ticks from boot to the start, None where there is no /proc
    marker: str  # value of COALMINE_TURN in the environment of its descendants


class ChildProcess:
    """A process that was started.

    After `start`, the caller pumps the loop until `has_exited`, or until it has had enough, and then calls
    `end` (or `discard`) once, whatever happened. All of it in the thread that pumps the loop.
    """

    def __init__(
        self, command: Command, process: subprocess.Popen[bytes], *, loop: PollLoop, owns_loop: bool,
        output: Output | None, error: Output | None, table: ProcessTable | None, cgroup: TurnCgroup | None,
        marker: str, clock: Callable[[], float],
    ) -> None:  # fmt: skip
        """Called by `start` alone."""
        self._command = command
        self._process = process
        self._loop = loop
        self._owns_loop = owns_loop
        self._table = table
        self._cgroup = cgroup
        self._clock = clock
        self._started_at = clock()
        self._is_reaped = False
        self._identity = _identity(process.pid, marker) if table is not None else None
        streams = ((process.stdout, output), (process.stderr, error))
        self._pipes = Pipes(
            self._loop,
            stdin=process.stdin,
            data=command.stdin or b"",
            outputs=[(pipe, taker) for pipe, taker in streams if pipe is not None and taker is not None],
        )
        self._exit_fd = _open_exit_fd(process.pid)
        if self._exit_fd is not None:
            self._loop.watch(self._exit_fd, EVENT_READ, self._forget_exit)

    @classmethod
    def start(
        cls, command: Command, *, output: Output | None = None, error: Output | None = None,
        loop: PollLoop | None = None, table: ProcessTable | None = None, home: CgroupHome | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> Self:  # fmt: skip
        """Start a program in a session of its own. SpawnError: it was not, and nothing is left.

        `output` takes what it prints, with its standard error unless `error` takes that; without `output`
        nothing is read. Without a `loop`, which several children may share, it has one of its own. With a
        `table` all its processes carry a marker of their own and are ended with it wherever they have got to;
        with a `home` as well they run in a cgroup of their own, from the first instruction on.
        """
        environment, marker, cgroup, entering = command.environment, "", None, None
        argv = _tied(command)
        if table is not None:
            inherited = os.environ if environment is None else environment
            marker = str(TurnMarker.of_new_turn(inherited.get("COALMINE_JOB_ID", "")))
            environment = {**inherited, MARKER: marker}
            if home is not None and (cgroup := home.make(marker)) is not None:
                entering = cgroup.entering(argv, cwd=command.cwd or Path(), environment=environment)

        def popen() -> subprocess.Popen[bytes]:
            unread = subprocess.DEVNULL if command.log is None else command.log
            return subprocess.Popen(
                entering or argv,
                cwd=command.cwd,
                env=environment,
                stdin=subprocess.DEVNULL if command.stdin is None else subprocess.PIPE,
                stdout=unread if output is None else subprocess.PIPE,
                stderr=subprocess.STDOUT if error is None else subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
                pass_fds=tuple(command.descriptors),
                umask=command.umask,
            )

        pumped = loop
        try:
            pumped = loop or PollLoop()
            process = _in_lasting_thread(popen) if command.outlives_thread else popen()
        except (OSError, ValueError) as refused:  # ValueError: a NUL in a variable or an argument
            if pumped is not None and loop is None:
                pumped.close()
            if cgroup is not None:
                cgroup.end(clock=time.monotonic, pause=time.sleep)
            message = (
                f"{command.argv[0]} could not be started in {command.cwd or Path.cwd()}: {refused}; "
                "see that the program is installed and the folder is there"
            )
            raise SpawnError(message) from refused
        if cgroup is not None and entering is None:
            cgroup.admit(process.pid)
        return cls(
            command, process, loop=pumped, owns_loop=loop is None, output=output, error=error,
            table=table, cgroup=cgroup, marker=marker, clock=clock,
        )  # fmt: skip

    @property
    def pid(self) -> int:
        """Its process id, which is the id of its group and session too."""
        return self._process.pid

    @property
    def identity(self) -> ProcessIdentity:
        """What names it on the whole fleet; it was read at the start, of a child with a table alone."""
        if self._identity is None:
            raise AssertionError("the child was started without a process table")
        return self._identity

    @property
    def bytes_read(self) -> int:
        """How much it has printed, as far as that was read."""
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
        """Ask it to end, and what it started unless it ends that itself; returns at once."""
        self._signal(signal.SIGTERM, self._left())

    def end(self, *, grace_seconds: float = 0.0) -> Ended:
        """End whatever is left (SIGTERM, `grace_seconds`, SIGKILL), read its last words, and reap it.

        Output is read meanwhile; when an output raises, all is killed at once and the error is passed on.
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
        left = self._left()
        if left and grace_seconds > 0:
            self._signal(signal.SIGTERM, left)
            kill_at = self._clock() + grace_seconds
            while self._is_running(left) and self._clock() < kill_at:
                pause(_LOOK_SECONDS)
        give_up_at = self._clock() + _VANISH_SECONDS
        # Again and again, as a process may start another one between the look and the signal.
        # A process that is just dying has lost its environment already: it counts until it is gone.
        while left and (left := self._left() or still_running(left)) and self._clock() < give_up_at:
            self._signal_group(signal.SIGKILL)
            self._signal_others(signal.SIGKILL, left)
            pause(_LOOK_SECONDS)
        self._signal_group(signal.SIGKILL)
        held = self._cgroup.end(clock=self._clock, pause=pause) if self._cgroup is not None else 0
        return max(len(left), held)

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
            if self._owns_loop:
                self._loop.close()

    def _forget_exit(self) -> None:
        """The descriptor is readable from the exit on, and would wake the loop again and again."""
        if self._exit_fd is not None:
            self._loop.forget(self._exit_fd)

    def _left(self) -> list[ProcessEntry]:
        """Its processes that are to be ended one by one; beyond its group they are known by the table."""
        if self._table is None or self.identity.start_ticks is None:  # the program stands for its group
            return [] if self.has_exited() else [ProcessEntry(self.pid, os.getpid(), self.pid, self.pid, 0)]
        entries = self._table.read()
        found = family(entries, leader=self.pid, marker=self.identity.marker)
        if self._cgroup is None:
            return found
        # Read after the table: a pid that has changed hands in between is recognised by its start.
        inside = self._cgroup.pids() - {entry.pid for entry in found}
        return found + [entries[pid] for pid in inside if pid in entries]

    def _is_running(self, left: list[ProcessEntry]) -> bool:
        return bool(still_running(left)) or not self.has_exited()

    def _signal(self, number: signal.Signals, left: list[ProcessEntry]) -> None:
        if not self._command.ends_its_own:
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


def signal_process(entry: ProcessEntry, number: signal.Signals) -> None:
    """Signal this very process, and no other that has got its pid since."""
    with contextlib.suppress(OSError):  # it has gone, or it is another user's
        descriptor = os.pidfd_open(entry.pid)
        try:
            if start_ticks(entry.pid) == entry.start_ticks:
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)


def _tied(command: Command) -> list[str]:
    if command.death_signal is None:
        return list(command.argv)
    return tied_to_us(command.argv, death_signal=command.death_signal)


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


def _identity(pid: int, marker: str) -> ProcessIdentity:
    return ProcessIdentity(
        host=socket.gethostname(), boot_id=_boot_id(), pid=pid, start_ticks=start_ticks(pid), marker=marker
    )


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
