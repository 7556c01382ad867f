"""An agent's process and everything it started, to be ended together.

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
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from routing.errors import UnavailableError
from routing.process.cgroup import TurnCgroup
from routing.process.cgroup_home import CgroupHome
from routing.process.marker import TurnMarker
from routing.process.table import (
    MARKER,
    ProcessEntry,
    ProcessTable,
    family,
    start_ticks,
    still_running,
)

#: Between two looks at processes that were told to end.
_LOOK_SECONDS = 0.05
#: How long processes may take to vanish after SIGKILL (they may hang in the kernel).
_VANISH_SECONDS = 5.0


class SpawnError(UnavailableError):
    """The agent's process could not be started; nothing was left behind."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessIdentity:
    """What names a process on the whole fleet for as long as it lives, and afterwards no other."""

    host: str
    boot_id: str  # of the host's kernel, "" where there is none to read
    pid: int
    start_ticks: int | None  # clock ticks from boot to the start, None where there is no /proc
    marker: str  # value of COALMINE_TURN in the environment of its descendants


class ProcessGroup:
    """A started agent. `end` must be called, whatever happens."""

    def __init__(
        self, process: subprocess.Popen[bytes], *, marker: str, table: ProcessTable,
        cgroup: TurnCgroup | None = None,
    ) -> None:  # fmt: skip
        self._process = process
        self._table = table
        self._cgroup = cgroup
        self.identity = ProcessIdentity(
            host=socket.gethostname(),
            boot_id=_boot_id(),
            pid=process.pid,
            start_ticks=start_ticks(process.pid),
            marker=marker,
        )

    @classmethod
    def spawn(
        cls, argv: Sequence[str], *, cwd: Path, environment: Mapping[str, str], table: ProcessTable,
        home: CgroupHome | None = None,
    ) -> "ProcessGroup":  # fmt: skip
        """Start a program in a session of its own, with pipes for its three streams.

        With a `home` it runs in a cgroup of its own, from its first instruction on.
        """
        marker = str(TurnMarker.of_new_turn(environment.get("COALMINE_JOB_ID", "")))
        variables = {**environment, MARKER: marker}
        cgroup = home.make(marker) if home is not None else None
        entering = cgroup.entering(argv, cwd=cwd, environment=variables) if cgroup is not None else None
        try:
            process = subprocess.Popen(
                entering or list(argv),
                cwd=cwd,
                env=variables,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:  # ValueError: a NUL in a variable or an argument
            if cgroup is not None:
                cgroup.end(clock=time.monotonic, pause=time.sleep)
            message = f"the agent could not be started in {cwd}: {error}; see that its program is installed"
            raise SpawnError(message) from error
        if cgroup is not None and entering is None:
            cgroup.admit(process.pid)
        return cls(process, marker=marker, table=table, cgroup=cgroup)

    @property
    def streams(self) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
        """Our ends of standard input, output and error."""
        process = self._process
        if process.stdin is None or process.stdout is None or process.stderr is None:
            message = "the process was started without pipes"
            raise SpawnError(message)
        return process.stdin, process.stdout, process.stderr

    def open_exit_fd(self) -> int | None:
        """Return a descriptor that becomes readable when the agent exits, None where there is none."""
        try:
            return os.pidfd_open(self._process.pid)
        except (AttributeError, OSError):  # not Linux, an old kernel, or out of descriptors
            return None

    def has_exited(self) -> bool:
        """Whether the agent itself has ended; it is not reaped by asking."""
        if self._process.returncode is not None:
            return True
        if not hasattr(os, "waitid"):  # macOS: asking reaps, the group is ended right afterwards
            return self._process.poll() is not None
        try:
            # WNOWAIT leaves the status, and with it the pid, for `reap`.
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # reaped by a wait for any child elsewhere in this process
            return True

    def end(self, *, grace_seconds: float, clock: Callable[[], float], pause: Callable[[float], None]) -> int:
        """End whatever is left: SIGTERM, `grace_seconds`, SIGKILL. Return how many could not be ended.

        `pause(seconds)` waits, and may read the agent's output meanwhile.
        """
        left = self._members() or self._unseen()
        if left:
            self._signal(signal.SIGTERM, left)
            killed_at = clock() + grace_seconds
            while self._running(left) and clock() < killed_at:
                pause(_LOOK_SECONDS)
        give_up_at = clock() + _VANISH_SECONDS
        # Again and again, as a process may start another one between the look and the signal.
        # A process that is just dying has lost its environment already: it counts until it is gone.
        while (
            left
            and (left := self._members() or self._unseen() or still_running(left))
            and clock() < give_up_at
        ):
            self._signal(signal.SIGKILL, left)
            pause(_LOOK_SECONDS)
        self._signal_group(signal.SIGKILL)
        held = self._cgroup.end(clock=clock, pause=pause) if self._cgroup is not None else 0
        return max(len(left), held)

    def reap(self) -> int | None:
        """Collect the exit code, after `end`: negative for a signal, None when it does not exit at all."""
        try:
            return self._process.wait(timeout=_VANISH_SECONDS)
        except subprocess.TimeoutExpired:
            return None

    def discard(self) -> None:
        """Kill a group that nobody supervises yet, at once, and close its pipes."""
        self.end(grace_seconds=0.0, clock=time.monotonic, pause=time.sleep)
        self.reap()
        for stream in self.streams:
            stream.close()

    def _members(self) -> list[ProcessEntry]:
        entries = self._table.read()
        found = family(entries, leader=self._process.pid, marker=self.identity.marker)
        if self._cgroup is None:
            return found
        # Read behind the table: a pid that has changed hands in between is told by its start.
        inside = self._cgroup.pids() - {entry.pid for entry in found}
        return found + [entries[pid] for pid in inside if pid in entries]

    def _unseen(self) -> list[ProcessEntry]:
        """Stand in for the agent where there is no process table."""
        if self.identity.start_ticks is not None or self.has_exited():
            return []
        pid = self._process.pid
        return [ProcessEntry(pid, os.getpid(), pid, pid, 0)]

    def _running(self, told: list[ProcessEntry]) -> bool:
        return bool(still_running(told)) or not self.has_exited()

    def _signal(self, number: signal.Signals, entries: list[ProcessEntry]) -> None:
        self._signal_group(number)
        for entry in entries:
            if entry.group != self._process.pid:
                signal_process(entry, number)

    def _signal_group(self, number: signal.Signals) -> None:
        if self._process.returncode is None:  # not reaped: the group's id is still ours
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)


def signal_process(entry: ProcessEntry, number: signal.Signals) -> None:
    """Signal this very process, and no other that has got its pid since."""
    with contextlib.suppress(OSError):  # it has gone, or it is another user's
        descriptor = os.pidfd_open(entry.pid)
        try:
            if start_ticks(entry.pid) == entry.start_ticks:
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
