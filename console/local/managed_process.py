"""One program that the supervisor keeps running: its process, its output and its deaths.

It starts nothing by itself and decides nothing: the supervisor asks `has_ended`, collects, and sets
`start_at` by the policy.
"""

import signal
from collections import deque
from collections.abc import Callable

from console.local.program import Program, RestartPolicy
from routing.printable import printable
from routing.process.child import ChildProcess
from routing.process.command import Command, Ended
from routing.process.line_reader import LineReader, OutputLine
from routing.process.poll_loop import PollLoop

#: Longest part of a line that is passed on, in bytes.
LINE_CAP_BYTES = 8192

#: Lines of output that are kept for the report of a failure.
TAIL_LINES = 20


class ManagedProcess:
    """A program's processes, one after the other: `start`, until `has_ended`, then `collect`, and again.

    The supervisor's thread alone calls the methods; other threads only read the numbers.
    """

    def __init__(
        self, program: Program, *, policy: RestartPolicy, on_line: Callable[[str, str], None]
    ) -> None:
        self.program = program
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)  # the last lines of output, of all its processes
        self.quick_deaths = 0  # in a row, see RestartPolicy
        self.starts = 0  # so far
        self.started_at = 0.0  # by the supervisor's clock
        self.start_at: float | None = None  # when to start again; None: runs, or is not to be started
        self._policy = policy
        self._on_line = on_line
        self._child: ChildProcess | None = None

    @property
    def name(self) -> str:
        """The program's."""
        return self.program.name

    @property
    def pid(self) -> int | None:
        """Process id from `start` to `collect`, else None."""
        child = self._child
        return child.pid if child is not None else None

    def start(self, loop: PollLoop, now: float) -> None:
        """Start the process; its lines are passed on while the loop is pumped. Raises SpawnError."""
        self.start_at = None
        self.started_at = now
        command = Command(
            argv=self.program.argv,
            cwd=self.program.cwd,
            environment=self.program.env,
            descriptors=self.program.descriptors,
            death_signal=signal.SIGKILL,
            ends_its_own=True,  # Celery ends its pool itself
        )
        reader = LineReader(self._pass_on, cap=LINE_CAP_BYTES)
        self._child = ChildProcess.start(command, loop=loop, output=reader)
        self.starts += 1

    def has_ended(self) -> bool:
        """Whether a process has exited that was not collected yet."""
        return self._child is not None and self._child.has_exited()

    def terminate(self) -> None:
        """Ask the process to end; returns at once."""
        if self._child is not None:
            self._child.terminate()

    def collect(self, now: float) -> Ended | None:
        """Kill what is left of the process and its group, and pass on the rest of its output.

        Counts the death towards `quick_deaths`. None: there was no process.
        """
        child, self._child = self._child, None
        if child is None:
            return None
        self.quick_deaths = self._policy.quick_deaths(self.quick_deaths, lived_seconds=now - self.started_at)
        return child.end()

    def _pass_on(self, line: OutputLine) -> None:
        """Pass a line on, printable and without what exceeds LINE_CAP_BYTES, and keep it for a report."""
        text = printable(line.data.decode("utf-8", "replace"))
        if line.skipped:
            text += f" … ({line.skipped} bytes more)"
        self.tail.append(text)
        self._on_line(self.program.name, text)
