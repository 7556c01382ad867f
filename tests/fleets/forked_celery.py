"""`celery …` as a process that costs no imports: forked from one that has imported Celery and the product.

Starting an interpreter and importing all that takes more than a second of the processor, and a run of the
suite starts some hundred workers and beats. The rest is as in a process of its own: the environment, the
working directory, the session, the log, the signals. Settings are read, and the application is made, after
the fork. Only what the kernel shows of a process's first environment and arguments is the parent's: tests of
that start theirs by the command.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

from tests.source import forge_rooms, imported, tracker_rooms

#: Their imports are made within the functions that need them.
_IMPORT_WHEN_USED = (
    "tasks/composition/composition.py", "tasks/composition/stores.py", "tasks/composition/forge_parts.py",
    "tasks/composition/sites.py", "tasks/composition/backtest_parts.py",
    "tasks/settings/settings.py", "routing/issues/body_text.py", "routing/issues/metadata.py",
    *(f"{folder}/kind.py" for folder in forge_rooms()),
)  # fmt: skip

#: Imported once, before the fork: what neither reads settings nor makes what processes share at its import.
PRELOADED = [
    "tests.fleets.forked_celery", "celery.bin.celery", "celery.apps.beat", "celery.apps.worker",
    "celery.concurrency.prefork", "celery.concurrency.solo", "celery.concurrency.thread",
    "celery.worker.consumer", "kombu.transport.redis", "tasks.composition.composition", "tasks.agents.runner",
    "tasks.agents.mail_socket.server", "tasks.logs", "tasks.notify.post",
    "tasks.composition.forge_parts", "tasks.composition.notify_parts", "tasks.work.clock_watch",
    *(f"{folder.replace('/', '.')}.kind" for folder in (*forge_rooms(), *tracker_rooms())),
    *sorted({name for file in _IMPORT_WHEN_USED for name in imported(Path(file))}),
]  # fmt: skip

#: See prctl(2).
_PR_SET_PDEATHSIG = 1

#: Has an event that a worker and its pool share, made at import: before the fork all fleets would share it.
_OF_ONE_WORKER = "tasks.work.drain"


class ForkedCelery:
    """One such process, with what the suite needs of `subprocess.Popen`."""

    def __init__(
        self, arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], log: Path
    ) -> None:
        self.args = ["celery", *arguments]
        self._process: ForkServerProcess = preloaded().Process(
            target=_run, args=(self.args, folder, dict(environment), log)
        )
        self._process.start()
        self.pid = int(self._process.pid or 0)

    @property
    def returncode(self) -> int | None:
        """Its exit code, or the negative number of the signal that ended it; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The same, as `Popen` spells it."""
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.returncode is None:
            os.kill(self.pid, number)


@cache
def preloaded() -> ForkServerContext:
    """Starts processes that are forked from the one that has imported the product; there is one such only."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def _run(argv: list[str], folder: Path, environment: dict[str, str], log: Path) -> None:
    """Become `celery …`."""
    assert _OF_ONE_WORKER not in sys.modules
    _end_with_the_suite()
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    output = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.argv = argv
    from celery.__main__ import main  # noqa: PLC0415 - it looks at the environment when it is imported

    main()


def _end_with_the_suite() -> None:
    """Have the kernel end this process with the one that it was forked from, which ends with the suite.

    A suite that is killed ends nothing itself, and its fleets would work on for ever. Linux alone can do it.
    The one that is forked from ends when nobody holds the other end of its pipe any more: so we must not.
    """
    forked_from = os.getppid()
    known: Any = forkserver
    held, known._forkserver._forkserver_alive_fd = known._forkserver._forkserver_alive_fd, None  # noqa: SLF001
    if held is not None:
        os.close(held)
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != forked_from:  # it ended before the call
        os._exit(0)
