"""A fleet for tests: real Celery workers and beat as processes, on a real server, with quick settings."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from routing.events import Event
from routing.generator import Generator
from routing.jobs.job import Job, JobState
from tasks.composition.composition import Coalmine, compose
from tasks.settings.settings import Settings, load_settings
from tests.fleets.forked_celery import ForkedCelery
from tests.waiting import until_ended, wait_until

ROOT = Path(__file__).parents[2]

#: Settings that make a fleet of tests quick; every one can be set by users too.
QUICK = {
    "COALMINE_TIMES__HARVEST_INTERVAL_SECONDS": "1",
    "COALMINE_CANARY__POLICY": '{"share": 0.5, "revert_window_seconds": 0}',
    "COALMINE_TIMES__SWEEP_INTERVAL_SECONDS": "0.5",
    "COALMINE_TIMES__WATCH_INTERVAL_SECONDS": "0.5",
    "COALMINE_JOB__BACK_OFF_FIRST_SECONDS": "0.1",
    "COALMINE_JOB__MAX_ATTEMPTS": "1",
    "COALMINE_TIMES__WATCHDOG_INTERVAL_SECONDS": "0.5",
    "COALMINE_FORGE__LOCAL__POLL_INTERVAL_SECONDS": "0.5",
    "COALMINE_FORGE__LOCAL__CI_SANDBOX": "none",  # so that it is the same on every machine; see tests/real
    "COALMINE_TIMES__DISPATCH_INTERVAL_SECONDS": "0.5",
    "COALMINE_ISSUES__WATCH__FIX_FORWARDS": "0",
}


FleetProcess: TypeAlias = ForkedCelery | subprocess.Popen[bytes]


class WorkerFleet:
    """Processes on one server; what was started is ended with the fleet.

    `by_command` starts each as users do, rather than by a fork of one that has imported everything.
    """

    def __init__(self, folder: Path, redis_url: str, **settings: str) -> None:
        self.folder, self.by_command = folder, False
        quick = {} if "COALMINE_CONFIG" in settings else QUICK  # no variable overrides what a file says
        self.variables = quick | {"COALMINE_REDIS_URL": redis_url} | settings
        self.variables.setdefault("COALMINE_AGENT__WORK_DIR", str(folder / "work"))
        self.processes: dict[str, FleetProcess] = {}
        self._parts: list[Coalmine] = []

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the fleet's processes."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("COALMINE_")}
        return kept | self.variables

    def coalmine(self, generator: Generator | None = None) -> Coalmine:
        """The parts, wired as the processes wire theirs; closed with the fleet."""
        self._parts.append(compose(settings_from(self.variables), generator=generator))
        return self._parts[-1]

    def worker(
        self, name: str = "w1", *, queues: str = "champion,canary,control,backtest", pool: str = "threads",
        concurrency: int = 4, extra: Sequence[str] = (),
    ) -> FleetProcess:  # fmt: skip
        """Start `celery -A tasks worker` and wait until it answers."""
        process = self._start(name, "worker", "-n", f"{name}@test", "-Q", queues, "-P", pool, "-c",
                              str(concurrency), "--without-gossip", "--without-mingle", *extra)  # fmt: skip
        wait_until(lambda: " ready." in self.log(name), description=f"worker {name} is ready", timeout=40)
        return process

    def beat(self, name: str = "beat") -> FleetProcess:
        """Start `celery -A tasks beat`."""
        return self._start(name, "beat")

    def _start(self, name: str, *arguments: str) -> FleetProcess:
        log = self.folder / f"{name}.log"
        log.write_bytes(b"")
        celery = ["-A", "tasks", *arguments]
        process = self._command(celery, log) if self.by_command else self._forked(celery, log)
        self.processes[name] = process
        return process

    def _forked(self, arguments: list[str], log: Path) -> FleetProcess:
        return ForkedCelery(arguments, folder=ROOT, environment=self.environment, log=log)

    def _command(self, arguments: list[str], log: Path) -> FleetProcess:
        with log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "celery", *arguments],
                cwd=ROOT,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def log(self, name: str) -> str:
        """What a process has printed."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def kill(self, name: str) -> None:
        """SIGKILL a process and its pool, as a machine that is switched off."""
        process = self.processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        until_ended(process, timeout=10)

    def freeze(self, name: str) -> None:
        """Stop a process and its pool in their tracks, as a machine that hangs."""
        os.killpg(self.processes[name].pid, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """Let a frozen process go on."""
        os.killpg(self.processes[name].pid, signal.SIGCONT)

    def shut_down(self, name: str, *, timeout: float) -> None:
        """Ask a process to end, as a service manager does, and wait until it has."""
        process = self.processes[name]  # ended by force with the rest if it does not
        process.send_signal(signal.SIGTERM)
        until_ended(process, timeout=timeout)
        del self.processes[name]

    def stop(self) -> None:
        """End everything that was started: gently, then by force."""
        for process in self.processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGCONT)
                process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            try:
                until_ended(process, timeout=15)
            except AssertionError:
                os.killpg(process.pid, signal.SIGKILL)
                until_ended(process, timeout=10)
        self.processes.clear()
        while self._parts:
            self._parts.pop().close()


def settings_from(variables: Mapping[str, str]) -> Settings:
    """Settings as a process with these variables reads them."""
    before = dict(os.environ)
    for name in before:
        if name.startswith("COALMINE_"):
            del os.environ[name]
    os.environ.update(variables)
    try:
        return load_settings()
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def fleet(folder: Path, redis_url: str, **settings: str) -> Iterator[WorkerFleet]:
    """A fleet that is ended with the block; when the block fails, its logs are printed."""
    made = WorkerFleet(folder, redis_url, **settings)
    try:
        yield made
    except BaseException:
        for name in made.processes:
            print(f"--- {name}\n{made.log(name)[-6000:]}")  # noqa: T201 - shown with the failure
        raise
    finally:
        made.stop()


def until_state(parts: Coalmine, job: str, state: JobState, *, timeout: float = 30.0) -> Job:
    """Wait for a job's state and return the job."""
    wait_until(
        lambda: parts.jobs.find(job).state is state, description=f"job {job} is {state}", timeout=timeout
    )
    return parts.jobs.find(job)


def task_of(parts: Coalmine, job: str) -> str:
    """The id of the Celery task that works on a job, as Flower shows it: found by its argument."""
    found: list[str] = []

    def look() -> bool:
        active = parts.app.control.inspect(timeout=2.0).active() or {}
        found[:] = [task["id"] for tasks in active.values() for task in tasks if task["args"] == [job]]
        return bool(found)

    wait_until(look, description=f"a worker shows the task of job {job}")
    return found[0]


def events_of(parts: Coalmine, job: str, kind: str) -> list[Event]:
    """The events of one kind that tell of a job."""
    return [event for event in parts.events.all() if event.subject == job and event.kind == kind]
