"""`python -m tests.chaos`: a run, and its report. Exit code 1: a breach."""

import argparse
import faulthandler
import json
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from dataclasses import fields as dataclass_fields
from pathlib import Path
from typing import Any

from routing.git.git import Git
from tests.chaos.fleet import FleetSize
from tests.chaos.mutations import MUTATIONS
from tests.chaos.plan import Fault
from tests.chaos.run import RunPlan, RunReport, run
from tests.source import ROOT

#: Breaches that are printed.
MOST_PRINTED = 20

#: Faults by which a missing guard shows soon; a run for a mutation has these alone.
FAULTS_FOR = {
    "fence": [Fault.WORKER_FROZEN],
    "lease": [Fault.MESSAGES_DOUBLED],
    "outbox": [Fault.MESSAGES_DROPPED],
    "compare-and-set": [Fault.RIVAL_TICKS],
    "single-flight": [Fault.WORKER_FROZEN, Fault.WORKER_KILLED],
    "pair": [Fault.RIVAL_TICKS],
}


def main(argv: list[str] | None = None) -> int:
    """Run as asked."""
    asked = _parser().parse_args(argv)
    faulthandler.register(signal.SIGUSR1)  # where do its threads wait?
    print(
        f"seed {asked.seed}: {asked.jobs} jobs, {asked.workers} workers, {asked.seconds:g} s of faults",
        flush=True,
    )
    with _other(asked.other) as other:
        report = run(_plan(asked, other))
    _print(report)
    if asked.report:
        Path(asked.report).write_text(json.dumps(as_json(report), indent=1) + "\n", encoding="utf-8")
    if asked.mutation:
        expected = MUTATIONS[asked.mutation].found_by
        is_seen = bool(expected & report.found)
        print(f"missing guard {asked.mutation}: {'seen' if is_seen else 'NOT SEEN'} by {sorted(expected)}")
        return 0 if is_seen else 1
    return 1 if report.breaches or report.errors else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="A real fleet under faults.")
    parser.add_argument("--seed", type=int, default=1, help="of the faults and the work (default 1)")
    parser.add_argument("--jobs", type=int, default=2000, help="jobs to be enqueued (default 2000)")
    parser.add_argument("--issues", type=int, help="issues of the forge (default: one for 100 jobs)")
    parser.add_argument("--workers", type=int, default=5, help="worker processes (default 5)")
    parser.add_argument("--seconds", type=float, default=120.0, help="for which faults happen (default 120)")
    parser.add_argument("--settle", type=float, default=180.0, help="for the rest to be done (default 180 s)")
    parser.add_argument("--lease", type=float, default=5.0, help="of jobs, in seconds (default 5)")
    parser.add_argument("--long", type=float, default=0.06, help="share of jobs of up to 6 s (default 0.06)")
    parser.add_argument("--together", action="store_true", help="all faults at once, and a rest, repeatedly")
    parser.add_argument("--faults", help=f"comma-separated, of: {', '.join(Fault)} (default: all)")
    parser.add_argument(
        "--mutation", choices=sorted(MUTATIONS), help="take out this guard, and expect to see it"
    )
    parser.add_argument("--other", help="a commit of Coalmine: one of the workers runs that version")
    parser.add_argument("--report", help="a file for the report, as JSON")
    parser.add_argument("--quiet", action="store_true", help="print no faults as they happen")
    return parser


def _plan(asked: argparse.Namespace, other: Path | None) -> RunPlan:
    faults = [Fault(name.strip()) for name in asked.faults.split(",")] if asked.faults else list(Fault)
    if asked.mutation and not asked.faults:
        faults = FAULTS_FOR[asked.mutation]
    return RunPlan(
        seed=asked.seed,
        jobs=asked.jobs,
        issues=max(1, asked.jobs // 100) if asked.issues is None else asked.issues,
        seconds=asked.seconds,
        settle_seconds=asked.settle,
        faults=faults,
        mutation=asked.mutation or "",
        size=FleetSize(workers=asked.workers, lease_seconds=asked.lease, long_share=asked.long, other=other),
        is_together=asked.together,
        say=(lambda _text: None) if asked.quiet else _say,
    )


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


@contextmanager
def _other(commit: str | None) -> Iterator[Path | None]:
    """The source of another commit, in a work tree that goes with the block."""
    if not commit:
        yield None
        return
    git = Git(ROOT)
    with tempfile.TemporaryDirectory(prefix="chaos-other-") as folder:
        place = Path(folder) / "source"
        git("worktree", "add", "--quiet", "--detach", str(place), commit)
        try:
            yield place
        finally:
            git("worktree", "remove", "--force", str(place))


def as_json(report: RunReport) -> dict[str, Any]:
    """The report as it is written."""
    plan = report.plan
    fields: dict[str, Any] = {
        name: dict(value) if isinstance(value := getattr(report, name), Counter) else value
        for name in (field.name for field in dataclass_fields(report))
    }
    for name in ("undisturbed", "all_recoveries"):
        fields[name] = asdict(fields[name])
    fields["breaches"] = [asdict(breach) for breach in report.breaches]
    fields["plan"] = {
        "seed": plan.seed, "jobs": plan.jobs, "issues": plan.issues, "seconds": plan.seconds,
        "workers": plan.size.workers, "lease_seconds": plan.size.lease_seconds, "mutation": plan.mutation,
        "other_version": plan.size.other is not None, "faults": [fault.value for fault in plan.faults],
    }  # fmt: skip
    return fields


def _print(report: RunReport) -> None:
    print(f"\n{report.enqueued} jobs were acknowledged in a run of {report.seconds:.0f} s")
    print(f"jobs: {_counts(report.jobs)}")
    print(f"trials: {_counts(report.trials)}")
    print(f"faults: {_counts(report.faults)}")
    print(
        f"{report.claims} claims, {report.turns} turns of agents, {report.repeated_calls} enqueues made again"
    )
    print(f"history: {report.operations} operations; {_counts(report.history)}")
    for name, found in (("recovery", report.undisturbed), ("  with the server away", report.all_recoveries)):
        times = _seconds((found.p50, found.p99, found.longest))
        print(f"{name}: {found.jobs} jobs, {times}; after lease and server: {_seconds(found.beyond)}")
    for line in report.slowest:
        print(f"  {line}")
    for error in report.errors:
        print(f"this program: {error}")
    checks = Counter(breach.check for breach in report.breaches)
    print(f"breaches: {_counts(checks) if checks else 'none'}")
    for breach in report.breaches[:MOST_PRINTED]:
        print(f"  {breach.check}: {breach.subject}: {breach.words}")


def _seconds(spread: Sequence[float]) -> str:
    return "p50 {:.1f} s, p99 {:.1f} s, longest {:.1f} s".format(*spread)


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(counts.items())) or "none"


if __name__ == "__main__":
    sys.exit(main())
