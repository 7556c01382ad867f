"""The fleet that faults are done to: a server with its file, workers of all pools, beat, the web."""

import os
import random
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from routing.embedded.private_server import PrivateServer, ServerOptions
from tasks.composition.composition import Coalmine, compose
from tests.chaos.work import kept_for
from tests.fleets.forked_celery import ForkedCelery
from tests.fleets.worker_fleet import settings_from
from tests.repositories import new_repository
from tests.source import ROOT
from tests.waiting import until_ended

#: Pools of workers, in turn, with the number of jobs that each works at once.
POOLS = (("threads", 6), ("prefork", 2), ("threads", 4), ("solo", 1), ("prefork", 3))

#: Seconds between the end of a process and its next start.
RESTART_SECONDS = 0.5

#: Minutes by which the clocks of two workers are apart, in seconds: one is slow, one is fast.
CLOCKS = {"w2": -150.0, "w3": 150.0}


@dataclass(frozen=True, kw_only=True, slots=True)
class FleetSize:
    """How large the fleet is, and how quick."""

    workers: int = 4
    lease_seconds: float = 5.0
    long_share: float = (
        0.06  # of the jobs without a process, which take some seconds: faults find them at work
    )
    other: Path | None = None  # another version of Coalmine: a tree of its source, for one of the workers


@dataclass(frozen=True, kw_only=True, slots=True)
class Downtime:
    """When something was not there, in seconds of the monotonic clock and of the wall's."""

    what: str
    began: float  # since the epoch
    ended: float


class ChaosFleet:
    """Processes on one server in one folder. Threads may call it; each process has one owner at a time."""

    def __init__(
        self, folder: Path, size: FleetSize, *, mutation: str = "", kept_seconds: float = 0.0
    ) -> None:
        self.folder, self.size = folder, size
        for name in ("history", "issues", "locks", "logs"):
            (folder / name).mkdir(parents=True)
        self.server = PrivateServer(folder / "redis", options=ServerOptions(transport="tcp"))
        self.server.start()
        self.url = self.server.url  # the same after each restart
        self.repository = new_repository(folder, bare=True)
        self.variables = self._variables(mutation) | {"CHAOS_KEPT": str(kept_seconds)}
        settings = settings_from(self.variables)
        if kept_seconds:
            settings = kept_for(settings, kept_seconds)
        self.parts: Coalmine = compose(settings, generator=random.Random(1))
        self.processes: dict[str, ForkedCelery | subprocess.Popen[bytes]] = {}
        self.downtimes: list[Downtime] = []
        self.losses: list[tuple[str, float]] = []  # workers that were killed or frozen, and when
        self._admin = redis.Redis.from_url(
            self.url, decode_responses=True, protocol=2, retry=Retry(NoBackoff(), 0), socket_timeout=5.0
        )
        self._frozen: set[str] = set()
        self._changing = threading.RLock()
        self.server_lock = threading.Lock()  # held while the server is not there

    def _variables(self, mutation: str) -> dict[str, str]:
        issues, forge = self.folder / "issues", self.folder / "forge"
        ci = f"if [ -e {shlex.quote(str(self.folder / 'forge-slow'))} ]; then sleep 2; fi; test -e README.md"
        values = {
            "REDIS_URL": self.url,
            "AGENT__WORK_DIR": str(self.folder / "work"),
            "TIMES__LEASE_SECONDS": str(self.size.lease_seconds),
            "TIMES__SWEEP_INTERVAL_SECONDS": "1",
            "TIMES__HARVEST_INTERVAL_SECONDS": "2",
            "TIMES__WATCH_INTERVAL_SECONDS": "1",
            "TIMES__WATCHDOG_INTERVAL_SECONDS": "2",
            "TIMES__DISPATCH_INTERVAL_SECONDS": "1",
            "JOB__BACK_OFF_FIRST_SECONDS": "0.1",
            "JOB__BACK_OFF_CAP_SECONDS": "2",
            "JOB__MAX_ATTEMPTS": "3",
            "JOB__LOST_WORK_SECONDS": "10",
            "JUDGE__COMMAND": "true",
            "FORGE__LOCAL__REPOSITORY": str(self.repository.path),
            "FORGE__LOCAL__ISSUES": str(issues),
            "FORGE__LOCAL__STATE": str(forge),
            "FORGE__LOCAL__CI": ci,
            "FORGE__LOCAL__CI_SANDBOX": "none",
            "FORGE__LOCAL__POLL_INTERVAL_SECONDS": "1",
            "LOG_LEVEL": "info",
        }
        return {f"COALMINE_{name}": value for name, value in values.items()} | {
            "CHAOS_FOLDER": str(self.folder),
            "CHAOS_MUTATION": mutation,
            "CHAOS_LONG_SHARE": str(self.size.long_share),
        }

    @property
    def workers(self) -> list[str]:
        """The names of all workers, whether they run or not."""
        return [f"w{number}" for number in range(1, self.size.workers + 1)]

    def start(self) -> None:
        """Start all processes; they are ready when the first jobs are worked."""
        for name in [*self.workers, "beat", "web"]:
            self._start(name)

    def _start(self, name: str) -> None:
        log = self.folder / "logs" / f"{name}.log"
        log.touch()
        environment = {
            variable: value for variable, value in os.environ.items() if not variable.startswith("COALMINE_")
        } | self.variables
        if name == "web":
            argv = [sys.executable, "-m", "coalmine", "web", "--port", "0"]
            self.processes[name] = _command(argv, ROOT, environment, log)
        elif name == "beat":
            self.processes[name] = ForkedCelery(
                ["-A", "tests.chaos.application", "beat"], folder=ROOT, environment=environment, log=log
            )
        else:
            self._start_worker(name, environment, log)

    def _start_worker(self, name: str, environment: Mapping[str, str], log: Path) -> None:
        place = self.workers.index(name)
        pool, concurrency = POOLS[place % len(POOLS)]
        # Ticks must go on while the others are lost, and a worker that only runs agents must do as well.
        queues = "champion,canary,backtest" + ("" if pool == "solo" else ",control")
        options = ["worker", "-n", f"{name}@chaos", "-Q", queues, "-P", pool, "-c", str(concurrency),
                   "--without-gossip", "--without-mingle"]  # fmt: skip
        if self.size.other is not None and place == self.size.workers - 1:
            argv = [sys.executable, "-m", "celery", "-A", "tasks", *options]
            older = {**environment, "PYTHONPATH": str(self.size.other)}
            self.processes[name] = _command(argv, self.size.other, older, log)
            return
        environment = {**environment, "CHAOS_CLOCK": str(CLOCKS.get(name, 0.0))}
        self.processes[name] = ForkedCelery(
            ["-A", "tests.chaos.application", *options], folder=ROOT, environment=environment, log=log
        )

    def choose(self, names: Sequence[str], luck: float) -> str | None:
        """One of the processes that run, by luck."""
        with self._changing:
            live = [
                name for name in names
                if name in self.processes and self.processes[name].poll() is None and name not in self._frozen
            ]  # fmt: skip
        return live[int(luck * len(live))] if live else None

    def kill(self, name: str) -> None:
        """SIGKILL a process and its pool, as a machine that is switched off, and start it again."""
        with self._changing:
            self._note_loss(name)
            _end(self.processes.pop(name))  # so that nobody else starts it meanwhile
        time.sleep(RESTART_SECONDS)
        with self._changing:
            self._start(name)

    def kill_pool_child(self, name: str, luck: float) -> bool:
        """SIGKILL one process of a worker's pool; False where it has none."""
        with suppress(psutil.Error):
            children = psutil.Process(self.processes[name].pid).children()
            if len(children) > 1:
                children[int(luck * len(children))].kill()
                return True
        return False

    def freeze(self, name: str, seconds: float) -> None:
        """Stop a worker and its pool in their tracks for a time."""
        with self._changing:
            self._frozen.add(name)
            self._note_loss(name)
            os.killpg(self.processes[name].pid, signal.SIGSTOP)
        time.sleep(seconds)
        self.thaw(name)

    def thaw(self, name: str) -> None:
        """Let a frozen worker go on."""
        with self._changing:
            with suppress(ProcessLookupError):
                os.killpg(self.processes[name].pid, signal.SIGCONT)
            self._frozen.discard(name)

    def revive(self) -> None:
        """Start what has ended by itself; returns when all have been looked at."""
        with self._changing:
            for name, process in list(self.processes.items()):
                if process.poll() is not None:
                    self._start(name)

    def _note_loss(self, name: str) -> None:
        if name in self.workers:
            self.losses.append((f"{name}@chaos", time.time()))

    @contextmanager
    def admin(self) -> Iterator[redis.Redis]:
        """Connections of our own, without retries; any thread may use them."""
        yield self._admin

    def stop(self) -> None:
        """End everything that was started, the server last."""
        with self._changing:
            for name in list(self._frozen):
                self.thaw(name)
            for process in self.processes.values():
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM)
            for process in self.processes.values():
                try:
                    until_ended(process, timeout=20)
                except AssertionError:
                    _end(process)
            self.processes.clear()
        self.parts.close()
        self._admin.close()
        self.server.stop()


def _command(
    argv: Sequence[str], folder: Path, environment: Mapping[str, str], log: Path
) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            argv, cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip


def _end(process: ForkedCelery | subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    until_ended(process, timeout=10)
