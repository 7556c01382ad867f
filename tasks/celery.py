"""The application of `celery -A tasks worker|beat|flower`: settings are read here, where a process begins.

Each tick runs under a lock of its name and logs what fails, so that it never fails as a task. The parts of a
process are made at its first task: a pool's child forks without connections, and makes its own. Their
modules are imported before that, by workers alone: beat and Flower need few of them.
"""

from __future__ import annotations

import os
import re
import resource
import socket
import threading
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from celery import Task, bootsteps, signals
from pydantic import BaseModel

from routing.errors import SettingsError
from tasks.broker import (
    CI,
    DISPATCH,
    HARVEST,
    JUDGE,
    LAND,
    NOTIFY,
    POLL,
    SWEEP,
    TRACE,
    WATCH,
    WATCHDOG,
    WORK,
    make_app,
    refused_pool,
    served_queues,
)
from tasks.composition.composition import compose, redis_url
from tasks.composition.forge_parts import ForgeParts
from tasks.composition.telemetry_parts import tracer_of
from tasks.composition.ticks import harvest_tick
from tasks.logs import configure_logs
from tasks.secrecy import hide_secrets
from tasks.settings.settings import Settings, load_settings
from tasks.work.clock_watch import clock_chore
from tasks.work.drain import drain_after
from tasks.work.fleet_lock import other_fleet
from tasks.work.host_keeper import HostKeeper
from tasks.work.log_and_continue import LogAndContinue
from tasks.work.remote_lock import other_remote_fleet
from tasks.work.tick import store_chore, useful_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tasks.composition.worker import Worker


def _settings() -> Settings:
    """The settings of this process; what is wrong with them ends it in one line."""
    try:
        return load_settings()
    except SettingsError as error:
        raise SystemExit(_complaint(error)) from None


def _complaint(error: SettingsError) -> str:
    whole = re.sub(r":\s*\n\s*", ": ", str(error))
    return "coalmine: " + re.sub(r"\s*\n\s*", "; ", whole)


hide_secrets()  # first, as every process of Celery's and all that they fork begin here
settings = _settings()
app = make_app(settings)

#: Seconds after which the sweep goes on elsewhere when its process dies in it: what it repairs must not wait.
SWEEP_SECONDS = 3.0

#: Open files that a worker allows itself where it may. Not more: agents inherit it, and programs that close
#: every descriptor that there could be are slow when it is huge.
OPEN_FILES = 65_536

_making = threading.Lock()


#: The parts of processes, by process id: a forked child must not share its parent's connections.
_workers: dict[int, Worker] = {}


def worker() -> Worker:
    """The parts of this process, made at the first task."""
    from tasks.composition.worker import Worker

    with _making:
        if os.getpid() not in _workers:
            _workers[os.getpid()] = Worker(coalmine=compose(settings, app=app))
        return _workers[os.getpid()]


class TickTask(Task[..., Any]):
    """A task that beat sends: one that waited until the next one does its work is passed over.

    It is left out of Celery's events: several a second would hide the jobs in Flower. What fails is logged.
    """

    send_events = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run. Does not raise what a tick may meet."""
        with LogAndContinue("tick.failed", tick=str(self.name).removeprefix("tasks.")):
            return super().__call__(*args, **kwargs)
        return None

    def alone(self, name: str, tick: Callable[[], Any], **given: float) -> Any:
        """Run a tick where no other process is at it, and it is not too late; returns its answer, or None."""
        until = useful_until(self.request.headers)
        return worker().coalmine.ticks.run_alone(name, tick, until=until, **given)


@app.task(name=WORK, bind=True)
def work(self: Any, job_id: str) -> str:
    """Work one job."""
    return worker().work.work(job_id, worker=self.request.hostname or "unknown")


@app.task(name=SWEEP, base=TickTask)
def sweep() -> None:
    """Queue jobs of lost workers again, publish what was not, and forget what need not be kept."""
    with LogAndContinue("tick.failed", tick="sweep"):
        sweep.alone("sweep", worker().sweep, lease_seconds=SWEEP_SECONDS)


@app.task(name=HARVEST, base=TickTask)
def harvest() -> None:
    """Settle scores, have pairs judged, advance trials, act on verdicts, open trials that waited."""
    here = worker()
    parts = here.coalmine

    with LogAndContinue("tick.failed", tick="harvest"):
        harvest.alone("harvest", lambda: harvest_tick(parts, here.tick_requests))


@app.task(name=WATCH, base=TickTask)
def watch() -> None:
    """Look at pushed work; what became known is harvested at once, and a place that is free is filled."""
    with LogAndContinue("tick.failed", tick="watch"):
        parts = worker()
        if watch.alone("watch", parts.forges.watcher.tick):
            parts.tick_requests.send(HARVEST)
            parts.tick_requests.ask(DISPATCH)


@app.task(name=LAND, base=TickTask)
def land() -> None:
    """Look at what people do with pushed work: merges, reviews, reverts."""
    with LogAndContinue("tick.failed", tick="land"):
        parts = worker()
        if land.alone("land", parts.forges.watcher.land):
            parts.tick_requests.send(HARVEST)


@app.task(name=WATCHDOG, base=TickTask)
def watchdog() -> None:
    """End turns that are lost or silent, and agents whose job has ended."""
    with LogAndContinue("tick.failed", tick="watchdog"):
        watchdog.alone("watchdog", worker().coalmine.watchdog.tick)


@app.task(name=NOTIFY, base=TickTask)
def notify() -> None:
    """Send notifications; while one sink is slow, the next tick sends to the others."""
    for notifier in worker().notifiers:
        with LogAndContinue("tick.failed", tick=f"notify-{notifier.name}"):
            notify.alone(f"notify-{notifier.name}", notifier.tick)


@app.task(name=TRACE, base=TickTask)
def trace() -> None:
    """Send spans of what has happened."""
    with LogAndContinue("tick.failed", tick="trace"):
        trace.alone("trace", tracer_of(worker().coalmine).tick)


@app.task(name=POLL, base=TickTask)
def poll(forge: str) -> None:
    """Compare the backlog with what a forge lists, then dispatch."""
    with LogAndContinue("tick.failed", tick="poll"):
        parts = worker()
        poll.alone(f"poll-{forge}", lambda: parts.poll(forge))
        parts.tick_requests.ask(DISPATCH)


@app.task(name=DISPATCH, base=TickTask)
def dispatch() -> None:
    """Read the issues that webhooks named, and turn those that are ready into jobs."""
    with LogAndContinue("tick.failed", tick="dispatch"):
        parts = worker()
        dispatch.alone("dispatch", parts.dispatch)


@app.task(name=CI)
def ci(commit: str) -> None:
    """Run the CI of the local forges that have a commit, then look at the job that pushed it."""
    with LogAndContinue("tick.failed", tick="ci"):
        worker().run_ci(commit)


@app.task(name=JUDGE)
def judge(pair: str) -> None:
    """Judge the work of a pair, then have it settled."""
    with LogAndContinue("tick.failed", tick="judge"):
        worker().pair_judging.judge(pair, worker=judge.request.hostname or "unknown")


@signals.setup_logging.connect
def _set_up_logs(**_given: Any) -> None:
    configure_logs(settings)


@signals.worker_init.connect
@signals.beat_init.connect
def _need_a_server(**_given: Any) -> None:
    """A process without a store ends in one line; it must not look as if it were at work."""
    try:
        redis_url(settings)
    except SettingsError as error:
        raise SystemExit(_complaint(error)) from None


@signals.worker_init.connect
def _refuse_a_second_fleet(**_given: Any) -> None:
    """Of a repository that a `coalmine up` of this machine works for, with another server."""
    if said := other_fleet(settings) or other_remote_fleet(settings):
        raise SystemExit(f"coalmine: {said}")


@signals.worker_init.connect
def _import_parts(**_given: Any) -> None:
    """Import what a worker uses before its pool forks: its children then share that. No server is asked."""
    from tasks.composition import worker as _  # noqa: F401

    coalmine = compose(settings, app=app)
    forges = ForgeParts(coalmine=coalmine, run_ci=lambda _commit: None, given={})
    for parts in (coalmine, forges):
        for name in dir(type(parts)):
            if isinstance(getattr(type(parts), name), cached_property):
                getattr(parts, name)
    build_records(BaseModel)


def build_records(base: type[BaseModel]) -> None:
    """Build all records below this class: they wait for their first use, which would come in each child."""
    for record in base.__subclasses__():
        record.model_rebuild(raise_errors=False)  # classes of libraries may lack what they name
        build_records(record)


@signals.worker_init.connect
def _refuse_green_threads(sender: Any = None, **_given: Any) -> None:
    if said := refused_pool(getattr(sender, "pool_cls", "")):
        raise SystemExit(f"coalmine: {said}")


@signals.worker_init.connect
def _open_many_files(**_given: Any) -> None:
    """Each agent takes nine descriptors of its worker, and most systems grant more than they preset."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    granted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < granted:
        with suppress(ValueError, OSError):  # some systems name a limit that they do not grant
            resource.setrlimit(resource.RLIMIT_NOFILE, (granted, hard))


@signals.worker_ready.connect
def _look_after_host(sender: Any = None, **_given: Any) -> None:
    """What concerns this machine is done by every worker on it, whatever queues it serves."""
    name = str(getattr(sender, "hostname", "") or "worker")
    clock = clock_chore(worker().coalmine.clocks, name, served_queues(app))
    HostKeeper([clock, store_chore(worker().coalmine.ticks), *worker().chores]).start()
    HostKeeper(worker().slow_chores).start()


@signals.beat_init.connect
def _give_beat_the_time(sender: Any = None, **_given: Any) -> None:
    """Ticks say when they were sent by the server's clock. Beat waits for no store: the ticks are sent."""
    parts = compose(settings, app=app, patience_seconds=0.0)
    sender.scheduler.server_time, sender.scheduler.is_idle = parts.now, parts.ticks.is_idle
    clock = clock_chore(parts.clocks, f"beat@{socket.gethostname()}")
    HostKeeper([clock, store_chore(parts.ticks)]).start()


@signals.task_revoked.connect
def _cancel(request: Any = None, terminated: bool = False, **_given: Any) -> None:  # noqa: FBT001, FBT002 - theirs
    """Cancel the job of a task that was terminated: it must end, and not run elsewhere."""
    if not terminated or request is None or request.task != WORK:
        return
    with LogAndContinue("tick.failed", tick="cancel"):
        parts = worker().coalmine
        parts.jobs.cancel(request.args[0], by="a revoked task", at=parts.now())


@signals.worker_shutting_down.connect
def _drain(**_given: Any) -> None:
    """A warm shutdown: turns may go on for a while, then their jobs go back to the queue."""
    drain_after(settings.job.drain_grace_seconds)


class DrainStep(bootsteps.StartStopStep):
    """The same for a shutdown that came over the broker, from a page or from Flower: Celery has no signal."""

    def close(self, _worker: object) -> None:
        """The worker begins to stop, before it waits for its turns."""
        _drain()


app.steps["worker"].add(DrainStep)


@signals.worker_shutdown.connect
@signals.worker_process_shutdown.connect
def _leave_no_socket(**_given: Any) -> None:
    """A process that ends removes the socket of its agents' mail, and gives those of forges back."""
    parts = _workers.get(os.getpid())
    if parts is not None:
        parts.turns.mail_server.shut()
        parts.forges.close()
