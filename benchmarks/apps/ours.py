"""Coalmine's worker with a runner that does nothing in place of agents."""

import os
import threading
from functools import cache
from typing import Any

from celery import signals

from routing.jobs.ending import Ending
from routing.jobs.job import JobResult
from routing.jobs.lifecycle import Claim
from tasks.agents.turn.stop_signal import StopSignal
from tasks.broker import WORK, make_app
from tasks.composition.composition import compose
from tasks.composition.worker import Worker
from tasks.logs import configure_logs
from tasks.settings.settings import load_settings
from tasks.work.outcome import Ran

settings = load_settings()
app = make_app(settings)

_making = threading.Lock()


class NoOp:
    """An agent that has ended cleanly before it began."""

    def run(self, claim: Claim, stop: StopSignal) -> Ran:
        """Do nothing."""
        del claim, stop
        return Ran(ended_by=Ending.RESULT, clean=True, result=JobResult(exit_code=0))

    def keep(self, claim: Claim) -> str:
        """It did nothing."""
        del claim
        return ""


@cache
def _worker_of(pid: int) -> Worker:  # noqa: ARG001 - a forked child must not share its parent's connections
    return Worker(coalmine=compose(settings, app=app), runner=NoOp())


@app.task(name=WORK, bind=True)
def work(self: Any, job_id: str) -> str:
    """Work one job."""
    with _making:
        worker = _worker_of(os.getpid())
    return worker.work.work(job_id, worker=self.request.hostname)


@signals.setup_logging.connect
def _set_up_logs(**_given: Any) -> None:
    configure_logs(settings)
