"""The program that a sandbox wraps, and what it has started: whom a signal may reach, and in which order.

Bubblewrap, its first process in the sandbox, and the program are parent, child and grandchild. When it
gets SIGTERM, or the program exits, all end at once, whatever the program has started. So that is signalled
first, and the program when it has ended. Until then the program is held (SIGSTOP): a shell that runs
an agent, or runs another shell that does, would exit as soon as its own child has, and take the agent's last
seconds.
"""

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from routing.process.descendants import signal_process
from routing.process.table import ProcessEntry


@dataclass(frozen=True, kw_only=True, slots=True)
class Wrapped:
    """A wrapped program that lives."""

    program: ProcessEntry
    others: Sequence[ProcessEntry]  # that it has started

    @classmethod
    def among(cls, entries: Sequence[ProcessEntry], *, wrapper: int) -> Self | None:
        """Find it among the wrapper's descendants; None when it has ended, or nobody can say."""
        first = {entry.pid for entry in entries if entry.parent == wrapper}
        # What lost its parent has the first process as one, too: the program is the oldest.
        children = [entry for entry in entries if entry.parent in first]
        if not children:
            return None
        program = min(children, key=lambda entry: (entry.start_ticks, entry.pid))
        known = {wrapper, program.pid, *first}
        return cls(program=program, others=[entry for entry in entries if entry.pid not in known])

    def signal_first(self, number: signal.Signals) -> None:
        """Signal what the program has started; the program itself when there is nothing else."""
        for entry in self.others or [self.program]:
            signal_process(entry, number)

    def hold(self) -> None:
        """Have the program do nothing, and not exit, while what it has started ends; then call `let_end`."""
        if self.others:
            signal_process(self.program, signal.SIGSTOP)

    def let_end(self) -> None:
        """Ask the program itself to end, held or not."""
        for number in (signal.SIGTERM, signal.SIGCONT):
            signal_process(self.program, number)
