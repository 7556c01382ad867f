"""`python -m tests.soak`: a run, and its report. Exit code 1: something grows that should not."""

import argparse
import json
import sys
import time
from pathlib import Path

from benchmarks.plot import Plot
from tests.soak.run import SoakPlan, SoakReport, run
from tests.soak.samples import SHOWN_ALONE
from tests.soak.series import Measure, Trend

#: What a figure is shown as: divided by, with so many digits.
SHOWN = {Measure.MEMORY: (1e6, "MB")}

#: Series of one picture.
MOST_DRAWN = 4


def main(argv: list[str] | None = None) -> int:
    """Run as asked."""
    asked = _parser().parse_args(argv)
    plan = SoakPlan(
        seconds=asked.minutes * 60, jobs_a_second=asked.rate, workers=asked.workers, look_seconds=asked.look,
        seed=asked.seed, say=(lambda _text: None) if asked.quiet else _say,
    )  # fmt: skip
    report = run(plan)
    grown = judged(report)
    _print(report)
    if asked.report:
        Path(asked.report).write_text(json.dumps(as_json(report), indent=1) + "\n", encoding="utf-8")
    if asked.plots:
        for name, plot in plots(report).items():
            plot.write(Path(asked.plots) / f"{name}.svg")
    names = ", ".join(f"{each.name} ({each.measure})" for each in grown)
    print(f"\n{'grows: ' + names if grown else 'nothing grows'}")
    return 1 if grown or report.restarts else 0


def judged(report: SoakReport) -> list[Trend]:
    """The series that grow and should not."""
    return [each for each in report.trends if each.grows and each.name not in SHOWN_ALONE]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="A fleet at work for long.")
    parser.add_argument("--minutes", type=float, default=30.0, help="that it works (default 30)")
    parser.add_argument("--rate", type=float, default=5.0, help="jobs a second (default 5)")
    parser.add_argument("--workers", type=int, default=3, help="worker processes (default 3)")
    parser.add_argument("--look", type=float, default=5.0, help="seconds between two looks (default 5)")
    parser.add_argument("--seed", type=int, default=1, help="of the work (default 1)")
    parser.add_argument("--report", help="a file for the report with all series, as JSON")
    parser.add_argument("--plots", help="a folder for pictures")
    parser.add_argument("--quiet", action="store_true", help="print no looks")
    return parser


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


def _print(report: SoakReport) -> None:
    print(
        f"\n{report.plan.seconds / 60:g} minutes: {report.jobs} jobs enqueued, {report.finished} ended, "
        f"{report.pages} pages; processes that ended by themselves: {dict(report.restarts) or 'none'}"
    )
    for each in sorted(report.trends, key=lambda each: (each.measure, each.name)):
        size, unit = SHOWN.get(each.measure, (1.0, each.measure.value))
        verdict = "shown" if each.name in SHOWN_ALONE else "GROWS" if each.grows else "flat"
        print(
            f"{verdict:6} {each.name:34} {each.first / size:9.2f} -> {each.last / size:9.2f} {unit:12}"
            f"{each.an_hour / size:+9.2f} an hour, between {each.least / size:.2f} and {each.most / size:.2f}"
        )


def as_json(report: SoakReport) -> dict[str, object]:
    """The report as it is written."""
    return {
        "seconds": report.plan.seconds, "jobs_a_second": report.plan.jobs_a_second,
        "workers": report.plan.workers, "jobs": report.jobs, "finished": report.finished,
        "pages": report.pages, "restarts": dict(report.restarts),
        "trends": [
            {"name": each.name, "measure": each.measure.value, "first": each.first, "last": each.last,
             "an_hour": each.an_hour, "grows": each.grows}
            for each in report.trends
        ],
        "series": {f"{name}: {measure}": points for (name, measure), points in report.series.items()},
    }  # fmt: skip


def plots(report: SoakReport) -> dict[str, Plot]:
    """Memory of the processes, and of what the server holds."""
    memory = {
        name: [(at / 60, value / 1e6) for at, value in points]
        for (name, measure), points in report.series.items()
        if measure is Measure.MEMORY
    }
    processes = {name: line for name, line in memory.items() if name in {"w1", "w2", "beat", "web"}}
    data = {name: line for name, line in memory.items() if name in {"server", "data in the server"}}
    return {
        "soak-processes": Plot(title="Memory of processes", x="minutes", y="MB", series=processes),
        "soak-server": Plot(title="Memory of the server, and its data", x="minutes", y="MB", series=data),
    }


if __name__ == "__main__":
    sys.exit(main())
