"""The private server as the supervisor keeps it running: its deaths, and its starts from its files.

A start takes as long as the server reads its data, so it has a thread of its own: the supervisor goes on
reading what the programs say. A start that fails is a death too. It decides nothing, as `ManagedProcess`.
"""

import threading
from collections.abc import Callable, Sequence

from console.local.program import RestartPolicy
from routing.embedded.private_server import PrivateServer
from routing.errors import CoalmineError
from routing.process.poll_loop import PollLoop

#: The server's name among the programs.
SERVER_NAME = "redis"


class ManagedServer:
    """A server that was started by others: `has_ended`, then `collect`, then `start`, and again.

    The supervisor's thread alone calls the methods; other threads only read the numbers. Nobody else starts
    or stops the server until `settle`, and who started it stops it after that.
    """

    def __init__(self, server: PrivateServer, *, policy: RestartPolicy, say: Callable[[str], None]) -> None:
        self.name = SERVER_NAME
        self.tail: Sequence[str] = ()  # its last words, as of the last death
        self.quick_deaths = 0  # in a row, see RestartPolicy
        self.starts = 1  # so far, with the one that was not ours
        self.started_at = 0.0  # by the supervisor's clock
        self.start_at: float | None = None  # when to start again; None: runs, or is not to be started
        self._server = server
        self._policy = policy
        self._say = say  # from any thread
        self.pid: int | None = server.pid  # once it answers, until `collect`
        self._fault: Exception | None = None  # why the last start failed; set by its thread at the end
        self._thread: threading.Thread | None = None  # of the start that goes on, or that was not collected

    def start(self, loop: PollLoop, now: float) -> None:
        """Begin to start it from its files; returns at once."""
        del loop  # it writes its log itself
        self.start_at = None
        self.started_at = now
        self.starts += 1
        self._thread = threading.Thread(target=self._start, name="server-start", daemon=True)
        self._thread.start()

    def has_ended(self) -> bool:
        """Whether it died, or could not be started, and that was not collected yet."""
        if self._thread is not None and self._thread.is_alive():
            return False
        return self._fault is not None or (self.pid is not None and not self._server.alive)

    def collect(self, now: float) -> str:
        """Reap it; returns how it ended, in words. Counts the death towards `quick_deaths`.

        A start that failed is a quick death, however long it took.
        """
        self.settle()
        fault, self._fault, self.pid = self._fault, None, None
        if fault is not None:
            self.quick_deaths += 1
            self.tail = str(fault).splitlines()
            return "it could not be started"
        lived_seconds = now - self.started_at
        self.quick_deaths = self._policy.quick_deaths(self.quick_deaths, lived_seconds=lived_seconds)
        self.tail = self._server.last_words()
        return str(self._server.collect())

    def settle(self) -> None:
        """Wait until a start that goes on has ended; the options of the server bound it."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()

    def _start(self) -> None:
        """The thread of a start."""
        try:
            self._server.start_again()
        except (CoalmineError, OSError) as fault:  # OSError: its folder is gone, or its disk is full
            self._fault = fault
            return
        self.pid = self._server.pid
        self._say(f"{self.name} was started again from its files (process {self.pid})")
