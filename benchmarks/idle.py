"""What a fleet without work costs: CPU of its processes while nothing happens, in percent of a core.

One worker of jobs, one of ticks, beat and the server, as `coalmine up` and the Procfile start them, without a
forge. CPU and not time, as the machine does other things as well.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from benchmarks.fleet import MeasuredFleet, measured_fleet
from benchmarks.results import Row, row

NAME = "idle"

#: Percent of a core that all of them may take together.
MOST_PERCENT = 1.0

#: Seconds until all have started and have done what they do once, and for which they are watched then.
STARTING_SECONDS, WATCHED_SECONDS = 15.0, 60.0

_WORKER = ("-P", "threads", "-c", "4", "-l", "WARNING", "--without-gossip", "--without-mingle")

#: Arguments of Celery for each process.
PROCESSES = {
    "worker of jobs": ("worker", "-n", "jobs@bench", "-Q", "champion,canary", *_WORKER),
    "worker of ticks": ("worker", "-n", "control@bench", "-Q", "control", *_WORKER),
    "beat": ("beat", "-l", "WARNING"),
}

_ROOT = Path(__file__).parent.parent


def rows(*, quick: bool) -> list[Row]:
    """Each process, and the sum."""
    seconds = WATCHED_SECONDS / 4 if quick else WATCHED_SECONDS
    with measured_fleet() as site, ExitStack() as stack:
        watched = {
            name: psutil.Process(stack.enter_context(_process(site, name, arguments)).pid)
            for name, arguments in PROCESSES.items()
        }
        server: Mapping[str, int] = site.coalmine.redis.info("server")
        watched["server"] = psutil.Process(server["process_id"])
        time.sleep(STARTING_SECONDS)
        before = {name: _cpu(process) for name, process in watched.items()}
        time.sleep(seconds)
        taken = {name: (_cpu(each) - before[name]) / seconds * 100 for name, each in watched.items()}
    found = [row(f"idle fleet: {name}", value, unit="% of a core") for name, value in taken.items()]
    return [
        *found,
        row("idle fleet: all together", sum(taken.values()), unit="% of a core", target=MOST_PERCENT),
    ]


def _cpu(process: psutil.Process) -> float:
    """Seconds of CPU that a process has taken."""
    times = process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def _process(site: MeasuredFleet, name: str, arguments: tuple[str, ...]) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the fleet; it ends with the block."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("COALMINE_")}
    with (site.folder / f"{name}.log").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "tasks", *arguments],
            cwd=_ROOT,
            env=kept | {"COALMINE_REDIS_URL": site.url, "COALMINE_LOG_LEVEL": "warning"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)
