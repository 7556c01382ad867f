"""Looks after the machine that a worker runs on, from one thread of the worker's main process.

For what concerns a host and not a queue: every worker does it, whatever queues it serves, and several workers
on one host may do it at once. A chore that takes minutes gets a keeper of its own.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tasks.work.log_and_continue import LogAndContinue


@dataclass(frozen=True, kw_only=True, slots=True)
class Chore:
    """Something that is done on this host at an interval; doing it too often must be harmless."""

    name: str
    every_seconds: float
    do: Callable[[], object]


class HostKeeper:
    """Does every chore at the start and then at its interval, one after the other, in a thread of its own.

    `start` once; `stop` ends it after the chore at hand. The thread does not keep the process alive.
    """

    def __init__(
        self, chores: Sequence[Chore], *, look_seconds: float = 1.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._due = dict.fromkeys(chores, monotonic())
        self._look_seconds = look_seconds  # between two looks at what is due
        self._monotonic = monotonic
        self.faults = 0  # chores that raised
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="host-keeper", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Do no further chore; the one at hand goes on to its end."""
        self._ended.set()

    def _keep(self) -> None:
        while not self._ended.is_set():
            self.do_what_is_due()
            self._ended.wait(self._look_seconds)

    def do_what_is_due(self) -> None:
        """Do each chore that is due; one that fails is tried again at its next time.

        One that is further away than its interval is due as well: the clock goes back for a process that is
        moved to a machine that was started later.
        """
        for chore, due in list(self._due.items()):
            if 0 < due - self._monotonic() <= chore.every_seconds:
                continue
            with LogAndContinue("chore.failed", chore=chore.name, faults=str(self.faults + 1)) as done:
                chore.do()
            self.faults += done.failed
            self._due[chore] = self._monotonic() + chore.every_seconds
