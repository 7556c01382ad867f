"""What a fleet without work costs: CPU of its processes while nothing happens, in percent of a core.

One worker of jobs, one of ticks, beat and the server, as `coalmine up` and the Procfile start them, without a
forge. CPU and not time, as the machine does other things as well. On a busy machine the same work takes
several times as much, so the same processes of plain Celery are watched beside them, with nothing to do.
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
    """Each process, and the sum, beside those of plain Celery."""
    seconds = WATCHED_SECONDS / 4 if quick else WATCHED_SECONDS
    with measured_fleet() as site, measured_fleet() as plain_site, ExitStack() as stack:
        ours = _started(stack, site, "tasks")
        plain = _started(stack, plain_site, "benchmarks.apps.plain")
        time.sleep(STARTING_SECONDS)
        before = [_cpu(each) for each in (*ours.values(), *plain.values())]
        time.sleep(seconds)
        after = [_cpu(each) for each in (*ours.values(), *plain.values())]
    taken = [(end - start) / seconds * 100 for start, end in zip(before, after, strict=True)]
    pairs = list(zip(ours, taken[: len(ours)], taken[len(ours) :], strict=True))
    found = [
        row(f"idle fleet: {name}", value, unit="% of a core", baseline=other) for name, value, other in pairs
    ]
    together, other = (sum(column) for column in list(zip(*pairs, strict=True))[1:])
    return [
        *found,
        row("idle fleet: all together", together, unit="% of a core", target=MOST_PERCENT, baseline=other),
    ]


def _started(stack: ExitStack, site: MeasuredFleet, app: str) -> dict[str, psutil.Process]:
    """The processes of an application, and its server; they end with the stack."""
    started = {
        name: psutil.Process(stack.enter_context(_process(site, app, name, arguments)).pid)
        for name, arguments in PROCESSES.items()
    }
    server: Mapping[str, int] = site.coalmine.redis.info("server")
    return started | {"server": psutil.Process(server["process_id"])}


def _cpu(process: psutil.Process) -> float:
    """Seconds of CPU that a process has taken."""
    times = process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def _process(
    site: MeasuredFleet, app: str, name: str, arguments: tuple[str, ...]
) -> Iterator[subprocess.Popen[bytes]]:
    """A process of an application; it ends with the block."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("COALMINE_")}
    with (site.folder / f"{name}.log").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", app, *arguments],
            cwd=site.folder,  # beat of Celery's own keeps a file there
            env=kept
            | {"PYTHONPATH": str(_ROOT), "COALMINE_REDIS_URL": site.url, "COALMINE_LOG_LEVEL": "warning"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)
