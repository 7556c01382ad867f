"""The product as a chaos fleet runs it: `celery -A tests.chaos.application …`.

Three things differ. Jobs of two templates are worked by a runner that does nothing for a moment, others by
the product's own. Steps that must exclude each other are recorded, see `history`. And what no test can do to
a machine is done to the process: a clock that is wrong, a disk that is full, a guard that is missing.

The environment says which: CHAOS_FOLDER, CHAOS_CLOCK (seconds), CHAOS_MUTATION, CHAOS_LONG_SHARE,
CHAOS_KEPT (seconds for which what has ended is kept).
"""

import errno
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from routing.jobs.ending import Ending
from routing.jobs.job import JobResult
from routing.jobs.lifecycle import Claim
from tasks import celery as fleet
from tasks.agents import runner
from tasks.agents.turn.stop_signal import StopReason, StopSignal
from tasks.composition.composition import compose
from tasks.composition.worker import Worker
from tasks.work.outcome import Ran
from tests.chaos import mutations
from tests.chaos.history import Recorder, record_steps
from tests.chaos.work import (
    DISK_FULL,
    LONG_SECONDS,
    NO_OP,
    NO_OP_PAIRS,
    NO_OP_SECONDS,
    SKILLS,
    kept_for,
)

folder = Path(os.environ["CHAOS_FOLDER"])
app = fleet.app

_workers: dict[int, Worker] = {}


class NoOpRunner:
    """Ends an attempt after a moment, well or badly, as the prompt of its version says."""

    def __init__(self, agents: Callable[[], Any]) -> None:
        self._agents = agents  # the product's own, for all other templates

    def run(self, claim: Claim, stop: StopSignal) -> Ran:
        """Run one attempt; the same job has the same luck in each."""
        if claim.version.template not in {NO_OP, NO_OP_PAIRS}:
            ran: Ran = self._agents().run(claim, stop)
            return ran
        luck = random.Random(claim.job.id)
        is_good = luck.random() < SKILLS[claim.version.snapshot.prompt.split("-")[0]]
        is_long = luck.random() < float(os.environ.get("CHAOS_LONG_SHARE", "0"))
        time.sleep(luck.random() * (LONG_SECONDS if is_long else NO_OP_SECONDS))
        if stop.reason in {StopReason.CANCEL, StopReason.DRAIN}:
            return Ran(ended_by=Ending(stop.reason.value))
        # Where the lease was lost it reports all the same, like a process that had ended just before: the
        # store must refuse that.
        return Ran(ended_by=Ending.RESULT, clean=is_good, result=JobResult(exit_code=0 if is_good else 1))

    def keep(self, claim: Claim) -> str:
        """Where the work of an attempt is."""
        if claim.version.template in {NO_OP, NO_OP_PAIRS}:
            return ""
        return str(self._agents().keep(claim))


def _worker() -> Worker:
    """The parts of this process, as `tasks.celery.worker` makes them, with a runner of our own."""
    with fleet._making:  # noqa: SLF001 - takes the place of the function that has it
        if os.getpid() not in _workers:
            coalmine = compose(fleet.settings, app=app)
            made = Worker(coalmine=coalmine, runner=NoOpRunner(lambda: made.agents))
            _workers[os.getpid()] = fleet._workers[os.getpid()] = made  # noqa: SLF001
        return _workers[os.getpid()]


def _full_disk(open_worktree: Callable[..., Any]) -> Callable[..., Any]:
    """Making a work tree fails as on a disk that is full, while the file is there."""

    def opened(*given: Any, **named: Any) -> Any:
        if (folder / DISK_FULL).exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return open_worktree(*given, **named)

    return opened


def _set_clock(seconds: float) -> None:
    """Have `time.time` be wrong in every module that has it."""
    real = time.time

    def wrong() -> float:
        return real() + seconds

    for module in [module for module in sys.modules.values() if isinstance(module, ModuleType)]:
        for name, value in list(vars(module).items()):
            if value is real:
                setattr(module, name, wrong)


if seconds := float(os.environ.get("CHAOS_KEPT", "0")):
    fleet.settings = kept_for(fleet.settings, seconds)
fleet.worker = _worker
runner.open_worktree = _full_disk(runner.open_worktree)  # type: ignore[attr-defined]
if mutation := os.environ.get("CHAOS_MUTATION"):
    mutations.apply(mutation)  # first: what it puts in place of a guard is recorded too
record_steps(Recorder(folder / "history"))
if seconds := float(os.environ.get("CHAOS_CLOCK", "0")):
    _set_clock(seconds)
