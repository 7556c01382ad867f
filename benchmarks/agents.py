"""Supervising agents: what one worker process spends on many that talk, and how soon an agent is started."""

import os
import shlex
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.fleet import MeasuredFleet, measured_fleet
from benchmarks.results import Row, row
from routing.jobs.job import JobRequest
from routing.sandbox.bubblewrap_here import find_bubblewrap
from routing.sandbox.profile import SandboxKind
from routing.templates.version import Snapshot

NAME = "agents"

#: Agents under one worker process, and lines that each says a second.
AGENTS = 200
#: The same in sandboxes.
CONFINED = 200
LINES_A_SECOND = 10

#: Jobs whose start is timed, one after the other.
STARTS = 60

#: The longest wait for anything, in seconds.
PATIENCE_SECONDS = 120.0

_ROOT = Path(__file__).parent.parent

#: A chatty agent: Python, as most are, so that it is also about as heavy.
CHATTY = (
    "import time\n"
    "for number in range(100000):\n"
    "    print('step', number, 'is done and the next one is begun', flush=True)\n"
    f"    time.sleep({1 / LINES_A_SECOND})\n"
)


def rows(*, quick: bool) -> list[Row]:
    """Memory and processor time an agent, and the time from `enqueue` to the agent's first instruction."""
    with measured_fleet() as site:
        agents = AGENTS // 4 if quick else AGENTS
        with _worker(site, threads=agents) as process:
            idle = _measured(process, seconds=3.0)
            starts = _start_rows(site, count=STARTS // 3 if quick else STARTS)
            _start_agents(site, agents)
            busy = _measured(process, seconds=5.0 if quick else 20.0)
    memory = (busy[0] - idle[0]) / agents / 2**20
    share = (busy[1] - idle[1]) / agents * 100
    of = f"one of {agents} chatty agents under one worker process"
    return [
        row(f"{of}: memory of the worker", memory, unit="MB", target=0.5),
        row(f"{of}: processor of the worker", share, unit="% of a core", target=0.2),
        *starts,
        *_confined_rows(quick=quick),
    ]


def _confined_rows(*, quick: bool) -> list[Row]:
    """The same of agents in sandboxes, and what their sandboxes take beside them."""
    if not find_bubblewrap().works:
        return []
    agents = CONFINED // 5 if quick else CONFINED
    with measured_fleet() as site, _worker(site, threads=agents) as process:
        idle = _measured(process, seconds=3.0)
        _start_agents(site, agents, sandbox=SandboxKind.BUBBLEWRAP)
        busy = _measured(process, seconds=5.0 if quick else 20.0)
        beside = [each for each in process.children(recursive=True) if each.name() == "bwrap"]
        sandboxes = sum(each.memory_full_info().pss for each in beside) / agents / 2**20
    of = f"one of {agents} chatty agents in sandboxes"
    memory = (busy[0] - idle[0]) / agents / 2**20
    share = (busy[1] - idle[1]) / agents * 100
    return [
        row(f"{of}: memory of the worker", memory, unit="MB", target=0.5),
        row(f"{of}: processor of the worker", share, unit="% of a core", target=0.4),
        row(f"{of}: memory of its sandbox", sandboxes, unit="MB", target=2.0),
    ]


def _start_rows(site: MeasuredFleet, *, count: int) -> list[Row]:
    """Milliseconds from `enqueue` to the agent, above what the same program needs when a shell starts it."""
    mark = site.folder / "mark"
    line = f"date +%s.%N >> {shlex.quote(str(mark))}"
    site.coalmine.templates.add("marker", Snapshot(command=line))
    own = statistics.median(_started(mark, lambda: _run_shell(line)) for _ in range(10))
    for _ in range(5):  # connections, caches
        _started(mark, lambda: _enqueue(site, "marker"))
    taken = sorted(_started(mark, lambda: _enqueue(site, "marker")) - own for _ in range(count))
    p50, p99 = statistics.median(taken), taken[min(count - 1, round(0.99 * count))]
    what = "enqueue to agent started, above the program's own start"
    return [
        row(f"{what}: median", p50 * 1000, unit="ms", target=20.0),
        row(f"{what}: 99 of 100", p99 * 1000, unit="ms", target=100.0),
    ]


def _run_shell(line: str) -> None:
    subprocess.run(["sh", "-c", line], check=True)


def _enqueue(site: MeasuredFleet, template: str) -> None:
    site.coalmine.mailbox.enqueue(JobRequest(template=template, task="go"))


def _started(mark: Path, start: Callable[[], None]) -> float:
    """Seconds from now until the program has written the time at which it ran."""
    before = mark.read_text().count("\n") if mark.exists() else 0
    begun = time.time()
    start()
    _wait(lambda: mark.exists() and mark.read_text().count("\n") > before, "the marker has run")
    return float(mark.read_text().splitlines()[-1]) - begun


def _start_agents(site: MeasuredFleet, agents: int, *, sandbox: SandboxKind = SandboxKind.NONE) -> None:
    command = " ".join(shlex.quote(part) for part in (sys.executable, "-I", "-S", "-c", CHATTY))
    site.coalmine.templates.add("chatty", Snapshot(command=f"exec {command}", sandbox=sandbox))
    site.coalmine.mailbox.enqueue_many([JobRequest(template="chatty", task="talk")] * agents)
    _wait(lambda: site.coalmine.job_store.depths()["running"] == agents, f"{agents} agents run")
    time.sleep(3.0)  # their starts are over


def _measured(process: psutil.Process, *, seconds: float) -> tuple[int, float]:
    """Bytes that are resident, and cores in use, over a while."""
    before = process.cpu_times()
    begun = time.monotonic()
    time.sleep(seconds)
    after, taken = process.cpu_times(), time.monotonic() - begun
    used = after.user + after.system - before.user - before.system
    return process.memory_info().rss, used / taken


@contextmanager
def _worker(site: MeasuredFleet, *, threads: int) -> Iterator[psutil.Process]:
    """One worker process with a pool of threads, ended with the block, its agents with it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COALMINE_")}
    environment = kept | {
        "COALMINE_REDIS_URL": site.url,
        "COALMINE_AGENT__WORK_DIR": str(site.folder / "work"),
        "COALMINE_JOB__DRAIN_GRACE_SECONDS": "0",
        "COALMINE_LOG_LEVEL": "warning",
    }
    arguments = ["worker", "-P", "threads", "-c", str(threads), "-Q", "champion,canary", "-n", "bench@%h"]
    quiet = ["--without-gossip", "--without-mingle"]
    with (site.folder / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "tasks", *arguments, *quiet],
            cwd=_ROOT, env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        _wait(lambda: site.coalmine.app.control.ping(timeout=0.5), "the worker answers")
        yield psutil.Process(worker.pid)
    finally:
        worker.send_signal(signal.SIGTERM)
        try:
            worker.wait(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait(timeout=10)


def _wait(condition: Callable[[], object], what: str) -> None:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > give_up:
            message = f"waited {PATIENCE_SECONDS:g} s in vain until {what}"
            raise TimeoutError(message)
        time.sleep(0.002)
