"""One program in the supervisor's care: its process, its output and its deaths."""

import contextlib
import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable

from console.local.program import Program, RestartPolicy
from routing.printable import printable
from routing.process.line_reader import LineReader, OutputLine
from routing.process.parent_death import tied_to_us

#: Longest part of a line that is passed on, in bytes.
LINE_CAP_BYTES = 8192

#: Lines of output that are kept for the report of a failure.
TAIL_LINES = 20

_READ_BYTES = 1 << 16
_PIPE_READS = 16  # a pipe holds 64 KiB, and at most 1 MiB


class ManagedProcess:
    """Owned by the supervisor's thread: nobody else calls its methods, others only read its numbers."""

    def __init__(
        self, program: Program, *, policy: RestartPolicy, on_line: Callable[[str, str], None]
    ) -> None:
        self.program = program
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self.quick_deaths = 0
        self.starts = 0
        self.started_at = 0.0  # by the supervisor's clock
        self.start_at: float | None = None  # when to start again; None: runs, or is not to be started
        self.output: int | None = None  # our end of the pipe
        self._policy = policy
        self._on_line = on_line
        self._process: subprocess.Popen[bytes] | None = None
        self._reader = LineReader(LINE_CAP_BYTES)

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        process = self._process
        return process.pid if process is not None else None

    def start(self, now: float) -> None:
        """Start the process in a session of its own, so that a terminal's Ctrl-C reaches only us."""
        self.start_at = None
        self.started_at = now
        ours, theirs = os.pipe()
        try:
            self._process = subprocess.Popen(
                tied_to_us(self.program.argv),
                stdin=subprocess.DEVNULL,
                stdout=theirs,
                stderr=subprocess.STDOUT,
                cwd=self.program.cwd,
                env=self.program.env,
                start_new_session=True,
            )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        os.set_blocking(ours, False)
        self.output = ours
        self.starts += 1

    def read(self) -> bool:
        """Pass on what the process has written by now; False at the end of its output."""
        return self._take() != b""

    def has_ended(self) -> bool:
        """Whether the process has ended. Where the system allows, it is not collected by asking."""
        if self._process is None:
            return True
        if not hasattr(os, "waitid"):  # macOS before Python 3.13
            return self._process.poll() is not None
        with contextlib.suppress(ChildProcessError):
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        return True

    def terminate(self) -> None:
        """Ask the process to end. Its own children are its own business: Celery ends its pool itself."""
        # Not Popen.terminate, which may collect the process and give its id away before its group is ended.
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End the process and everything in its group at once."""
        if self._process is not None:
            # PermissionError: macOS, where nothing but a zombie is left of the group.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def collect(self, now: float) -> str:
        """After the end: end what is left of its group, read the last words, and say how it ended."""
        self.kill()  # before the wait, while the process id is still its own
        process, self._process = self._process, None
        code = process.wait() if process is not None else 0
        self.close()
        self.quick_deaths = self._policy.quick_deaths(self.quick_deaths, lived_seconds=now - self.started_at)
        if code >= 0:
            return f"exit code {code}"
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
        return f"killed by signal {-code}"

    def close(self) -> None:
        """Pass on what is left of the output, and close it."""
        if self.output is None:
            return
        # A full pipe is all that we take: somebody who left the group may still write to it.
        for _ in range(_PIPE_READS):
            if not self._take():
                break
        for line in self._reader.flush():
            self._pass_on(line)
        os.close(self.output)
        self.output = None

    def _take(self) -> bytes | None:
        """Read once; None when there is nothing yet, nothing at the end."""
        if self.output is None:
            return b""
        try:
            data = os.read(self.output, _READ_BYTES)
        except BlockingIOError:
            return None
        for line in self._reader.feed(data):
            self._pass_on(line)
        return data

    def _pass_on(self, line: OutputLine) -> None:
        text = printable(line.data.decode("utf-8", "replace"))
        if line.skipped:
            text += f" … ({line.skipped} bytes more)"
        self.tail.append(text)
        self._on_line(self.program.name, text)
