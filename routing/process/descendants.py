"""Finds what a child has started, wherever it has got to, so that it can be ended with it.

Processes leave their group: the shell tools of agents call setsid. How they are found all the same:

- A *child subreaper* would inherit them, but it is an attribute of the whole worker process. In a worker
  that supervises hundreds of turns from threads, and under Celery's prefork pool, orphans of every turn,
  and of libraries that know nothing of it, would become children that nobody waits for; which turn they
  belong to would be lost as well.
- A *cgroup* for each child is exact, but needs rights that many a worker does not have. Where it has them,
  it is used: see `cgroup` and `cgroup_probe`.
- Everywhere the processes of a child carry a *marker*: a value of its own in an environment variable, which
  children inherit whatever they do to session and group. When the child ends, the process table is searched
  for the marker, for its group and session, and for descendants of all these.

What escapes without a cgroup: a process that changed its session, removed the variable from its environment,
or closed that to its user (`PR_SET_DUMPABLE`), and lost its parent before the search; a process of another
user. A container covers these.

Process ids are used again. A child is not reaped before its group has been ended, so that its pid, group and
session cannot become anybody else's; others are signalled through a pidfd after their start was compared.
"""

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from routing.process.cgroup import CgroupHome, TurnCgroup
from routing.process.command import Command
from routing.process.marker import TurnMarker
from routing.process.table import MARKER, ProcessEntry, ProcessTable, boot_id, family, start_ticks


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessIdentity:
    """What names a process on the whole fleet for as long as it lives, and afterwards no other."""

    host: str
    boot_id: str  # of the host's kernel, "" where there is none to read
    pid: int
    start_ticks: int | None  # clock ticks from boot to the start, None where there is no /proc
    marker: str  # value of COALMINE_TURN in the environment of its descendants


class Descendants:
    """What one child has started: made for one `ChildProcess.start`, and called by that child alone.

    In this order: `marked`, then `begin` when the process is there, or `end` when it could not be started;
    `left` as often as wanted; `end`.
    """

    def __init__(self, table: ProcessTable, home: CgroupHome | None = None) -> None:
        self._table = table
        self._home = home
        self._marker = ""
        self._cgroup: TurnCgroup | None = None
        self._enters = False  # the process lets itself into the cgroup
        self._identity: ProcessIdentity | None = None

    @property
    def identity(self) -> ProcessIdentity:
        """Of the child, as it was read in `begin`."""
        if self._identity is None:
            raise AssertionError("the child was not started")
        return self._identity

    def marked(self, command: Command) -> Command:
        """Return the command as it is to be started: marked, and in a cgroup if it can have one."""
        inherited = os.environ if command.environment is None else command.environment
        self._marker = str(TurnMarker.of_new_turn(inherited.get("COALMINE_JOB_ID", "")))
        environment = {**inherited, MARKER: self._marker}
        argv: list[str] | None = None
        if self._home is not None and (cgroup := self._home.make(self._marker)) is not None:
            self._cgroup = cgroup
            argv = cgroup.entering(command.argv, cwd=command.cwd or Path(), environment=environment)
        self._enters = argv is not None
        return replace(command, argv=argv or command.argv, environment=environment)

    def begin(self, pid: int) -> None:
        """Note the process that was started."""
        if self._cgroup is not None and not self._enters:
            self._cgroup.admit(pid)
        self._identity = ProcessIdentity(
            host=socket.gethostname(),
            boot_id=boot_id(),
            pid=pid,
            start_ticks=start_ticks(pid),
            marker=self._marker,
        )

    def left(self) -> list[ProcessEntry] | None:
        """The child and its descendants that live; None where there is no process table to read.

        The child itself may have exited, even before it was noted: then it stands in no table any more, and
        what it has started still does.
        """
        entries = self._table.read()
        if not entries:  # this very process is in every table
            return None
        found = family(entries, leader=self.identity.pid, marker=self._marker)
        if self._cgroup is None:
            return found
        # Read after the table: a pid that has changed hands in between is recognised by its start.
        inside = self._cgroup.pids() - {entry.pid for entry in found}
        return found + [entries[pid] for pid in inside if pid in entries]

    def end(self, *, clock: Callable[[], float], pause: Callable[[float], None]) -> int:
        """Kill what is left in the cgroup, and remove it; returns how many processes the kernel holds."""
        return self._cgroup.end(clock=clock, pause=pause) if self._cgroup is not None else 0


def signal_process(entry: ProcessEntry, number: signal.Signals) -> None:
    """Signal this very process, and no other that has got its pid since."""
    with contextlib.suppress(OSError):  # it has gone, or it is another user's
        descriptor = os.pidfd_open(entry.pid)
        try:
            if start_ticks(entry.pid) == entry.start_ticks:
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)


def kill_all(entries: Iterable[ProcessEntry]) -> None:
    """Kill processes: all are stopped before the first is killed.

    A shell whose command dies would run its next line.
    """
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for entry in entries:
            signal_process(entry, number)
