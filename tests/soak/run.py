"""One run: a fleet, a steady load, a look every few seconds, and what became of each series."""

import re
import shutil
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import requests

from routing.errors import CoalmineError
from tests.chaos.fleet import ChaosFleet, FleetSize
from tests.chaos.load import DRAWS, Load, LoadSize
from tests.chaos.work import NO_OP, no_op
from tests.soak.samples import Name, looked_at
from tests.soak.series import Trend, trend
from tests.waiting import wait_until

#: Seconds for which finished jobs, completed issues and their sessions are kept: a day of the fleet has many.
KEPT_SECONDS = 60

#: Seconds until an outcome that never comes counts, and between two trials.
SETTLE_SECONDS, TRIAL_SECONDS = 20.0, 60.0

#: What people and monitoring ask the web process for, again and again.
PAGES = ("/", "/jobs", "/issues", "/trials", "/events", "/metrics", "/api/v1/status", "/healthz")


@dataclass(frozen=True, kw_only=True, slots=True)
class SoakPlan:
    """What a run is asked for."""

    seconds: float = 1800.0
    jobs_a_second: float = 5.0
    issues_a_minute: float = 4.0
    workers: int = 3
    look_seconds: float = 5.0  # between two looks
    warm_up: float = (
        1 / 3
    )  # part of the run that is not judged: caches fill, and the first jobs are forgotten
    seed: int = 1
    say: Callable[[str], object] = lambda _text: None


@dataclass(frozen=True, kw_only=True, slots=True)
class SoakReport:
    """What a run did, and what became of each series."""

    plan: SoakPlan
    jobs: int  # that were enqueued
    finished: int
    pages: int  # that were asked for
    restarts: Counter[str]  # of processes that ended by themselves
    series: dict[Name, list[tuple[float, float]]]
    trends: Sequence[Trend]


class SoakLoad(Load):
    """A load as that of `tests.chaos`, with a trial every minute rather than one after the other."""

    _next_trial = 0.0

    def _see_to_trials(self) -> None:
        """One trial a minute, of the template whose jobs take no process."""
        now = time.monotonic()
        if now < self._next_trial:
            return
        with suppress(CoalmineError):
            if self._parts.trials.of_template(NO_OP) is None:
                self._next_trial = now + TRIAL_SECONDS
                self._tried += 1
                policy = DRAWS.model_copy(update={"settle_deadline_seconds": SETTLE_SECONDS})
                proposed = self._parts.templates.propose(NO_OP, no_op(f"usual-{self._tried}"))
                self._parts.proposals.open(proposed.version, policy, by="soak")


def run(plan: SoakPlan) -> SoakReport:
    """Start a fleet, have it work, look at it, and judge. Its folder goes with it."""
    folder = Path(tempfile.mkdtemp(prefix="s-"))
    try:
        return _run(plan, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(plan: SoakPlan, folder: Path) -> SoakReport:
    fleet = ChaosFleet(folder, FleetSize(workers=plan.workers, long_share=0.02), kept_seconds=KEPT_SECONDS)
    series: defaultdict[Name, list[tuple[float, float]]] = defaultdict(list)
    restarts: Counter[str] = Counter()
    asked = 0
    try:
        jobs = round(plan.seconds * plan.jobs_a_second)
        issues = max(1, round(plan.seconds * plan.issues_a_minute / 60))
        size = LoadSize(jobs=jobs, issues=issues, a_second=plan.jobs_a_second)
        load = SoakLoad(fleet, size, plan.seed)
        load.prepare()
        fleet.start()
        address = _web(fleet)
        load.start()
        begun = time.monotonic()
        while (at := time.monotonic() - begun) < plan.seconds:
            for name, value in looked_at(fleet).items():
                series[name].append((at, value))
            restarts.update(name for name, process in fleet.processes.items() if process.poll() is not None)
            fleet.revive()
            while time.monotonic() - begun < at + plan.look_seconds:
                asked += _ask(address, PAGES[asked % len(PAGES)])
                time.sleep(plan.look_seconds / 4)
            plan.say(_line(at, series))
        load.join(0.0)
        finished = _finished(fleet)
    finally:
        fleet.stop()
    warm_up = plan.seconds * plan.warm_up
    trends = [trend(name, measure, points, warm_up=warm_up) for (name, measure), points in series.items()]
    return SoakReport(
        plan=plan, jobs=len(load.enqueued), finished=finished, pages=asked, restarts=restarts,
        series=dict(series), trends=trends,
    )  # fmt: skip


def _web(fleet: ChaosFleet) -> str:
    """The address at which the web process answers, as it says it."""
    log = fleet.folder / "logs" / "web.log"

    def said() -> str:
        found = re.search(r"http://[\d.]+:\d+", log.read_text(errors="replace")) if log.exists() else None
        return found[0] if found else ""

    return wait_until(said, description="the web process says its address", timeout=60.0)


def _ask(address: str, page: str) -> int:
    """Ask for a page; 1 when it was answered."""
    try:
        answer = requests.get(address + page, headers={"Accept": "text/html"}, timeout=20.0)
    except requests.RequestException:
        return 0
    return int(answer.ok)


def _finished(fleet: ChaosFleet) -> int:
    """Jobs that ended, by their count in the hours of the run."""
    with suppress(CoalmineError):
        return sum(hour.total for hour in fleet.parts.outcomes.lately())
    return 0


def _line(at: float, series: dict[Name, list[tuple[float, float]]]) -> str:
    """The last look, in short."""
    last = {f"{name} {measure}": points[-1][1] for (name, measure), points in series.items()}
    memory = ", ".join(
        f"{name.removesuffix(' memory')} {value / 1e6:.1f}"
        for name, value in last.items()
        if "memory" in name
    )
    return f"{at:6.0f} s  MB: {memory}"
