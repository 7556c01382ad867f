"""What one Redis carries, and what grows with what: workers, history, backlog, agents that wait.

`python -m benchmarks.scale` also draws the plots of docs/scale.md; its options are the sizes. Costs are
seconds of processor of our process and of Redis together, so that a machine that does other things too gives
nearly the same figures; jobs a second are by the clock on the wall.
"""

import argparse
import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.history import NEW, Stored, history, retained
from benchmarks.plot import Plot
from benchmarks.results import Row, merge, row, write
from benchmarks.saturation import Saturation, saturation
from benchmarks.waiting import Mailboxes, Waiting, backlog, mailboxes

NAME = "scale"

#: What can be measured by itself.
PARTS = ("workers", "history", "retention", "issues", "agents")

#: Times by which the largest size may take longer than the smallest.
MOST_TIMES = 1.5

#: By which memory may differ between the middle and the end of rounds whose finished jobs are forgotten.
MOST_GROWTH = 1.10

_HERE = Path(__file__).parent
_PLOTS = _HERE.parent / "docs" / "plots"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """How much is measured."""

    workers: Sequence[int] = (1, 2, 4)
    jobs: int = 1000  # that the workers work
    history: Sequence[int] = (1_000, 10_000, 100_000)  # finished jobs that are stored
    rounds: int = 40  # with and without retention, a second each
    issues: Sequence[int] = (1_000, 10_000, 100_000)
    agents: Sequence[int] = (100, 1_000, 10_000)  # that await mail


QUICK = Sizes(
    workers=(1, 2), jobs=200, history=(500, 2_000), rounds=14, issues=(200, 1_000), agents=(120, 400)
)


def rows(*, quick: bool) -> list[Row]:
    """All of it, without plots."""
    return Scale.measured(QUICK if quick else Sizes()).rows()


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """What was found; a part that was not measured is empty."""

    workers: Sequence[Saturation] = ()
    history: Sequence[Stored] = ()
    kept: Sequence[tuple[float, int]] = ()  # seconds, and bytes, of rounds whose jobs are kept
    forgotten: Sequence[tuple[float, int]] = ()  # the same where they are forgotten after some seconds
    issues: Sequence[Waiting] = ()
    agents: Sequence[Mailboxes] = ()

    @classmethod
    def measured(cls, sizes: Sizes, parts: Collection[str] = PARTS) -> "Scale":
        """Measure some of the PARTS, one after the other."""
        rounds = sizes.rounds if "retention" in parts else 0
        return cls(
            workers=saturation(sizes.workers, jobs=sizes.jobs) if "workers" in parts else (),
            history=list(history(sizes.history)) if "history" in parts else (),
            kept=retained(rounds, keeps=True) if rounds else (),
            forgotten=retained(rounds, keeps=False) if rounds else (),
            issues=list(backlog(sizes.issues)) if "issues" in parts else (),
            agents=list(mailboxes(sizes.agents)) if "agents" in parts else (),
        )

    def rows(self) -> list[Row]:
        """The figures; those that must not grow have a target."""
        return [
            *(self._of_workers() if self.workers else ()),
            *(self._of_history() if self.history else ()),
            *(self._of_retention() if self.kept else ()),
            *(self._of_issues() if self.issues else ()),
            *(self._of_agents() if self.agents else ()),
        ]

    def _of_workers(self) -> Iterable[Row]:
        for each in self.workers:
            name = f"scale: {each.workers} workers of one process"
            yield row(f"{name}: jobs a second", each.jobs_a_second, unit="jobs/s")
            yield row(f"{name}: a job, of Redis", each.server * 1e6, unit="us of CPU")
            yield row(f"{name}: a job, of workers", each.worker * 1e6, unit="us of CPU")
        last = self.workers[-1]
        yield row("scale: jobs a second that one core of Redis carries", last.server_carries, unit="jobs/s")
        yield row(
            "scale: cores of workers that keep one core of Redis busy", last.cores_of_workers, unit="cores"
        )

    def _of_history(self) -> Iterable[Row]:
        few, many = self.history[0], self.history[-1]
        bytes_each = (many.size - few.size) / (many.jobs - few.jobs)
        yield row("scale: memory of a finished job, in the mean", bytes_each, unit="bytes", target=2048.0)
        for name, figures in (
            (f"harvest tick with {NEW} outcomes", [each.harvest.both for each in self.history]),
            ("sweep", [each.sweep.both for each in self.history]),
        ):
            yield from _grown(
                f"scale: {name}", [each.jobs for each in self.history], figures, "finished jobs"
            )

    def _of_retention(self) -> Iterable[Row]:
        flat, growing = _growth(self.forgotten), _growth(self.kept)
        name = "scale: memory at the end, against the middle"
        yield row(f"{name}: finished jobs are forgotten", flat, unit="times", target=MOST_GROWTH)
        yield row(f"{name}: they are kept", growing, unit="times")

    def _of_issues(self) -> Iterable[Row]:
        few, many = self.issues[0], self.issues[-1]
        counts = [each.issues for each in self.issues]
        bytes_each = (many.size - few.size) / (many.issues - few.issues)
        yield row("scale: memory of an issue of the backlog", bytes_each, unit="bytes")
        for name, figures in (
            ("an issue is taken in", [each.take_in for each in self.issues]),
            ("a tick dispatches an issue", [each.dispatch for each in self.issues]),
            ("coalmine issue list", [each.command for each in self.issues]),
        ):
            yield from _grown(f"scale: {name}", counts, figures, "issues")
        name = f"scale: a poll compares its listing with {many.issues:,} issues"
        yield row(name, many.compare * 1000, unit="ms of CPU")

    def _of_agents(self) -> Iterable[Row]:
        few, many = self.agents[0], self.agents[-1]
        counts = [each.agents for each in self.agents]
        bytes_each = (many.size - few.size) / (many.agents - few.agents)
        yield row("scale: memory of an agent that awaits mail", bytes_each, unit="bytes")
        for name, figures in (
            ("a mail wakes its agent", [each.send for each in self.agents]),
            ("a turn takes its agent's mail", [each.claim for each in self.agents]),
        ):
            yield from _grown(f"scale: {name}", counts, figures, "agents that wait")
        name = f"scale: the sweep's look at {many.agents:,} agents"
        yield row(f"{name}, none with mail", many.look * 1000, unit="ms of CPU")
        yield row(f"{name}, all with mail", many.look_at_all * 1000, unit="ms of CPU")

    def plots(self) -> dict[str, Plot]:
        """The pictures of docs/scale.md, by the names of their files."""
        drawn = {
            "scale-workers": Plot(
                title="Jobs a second by workers of one process", x="workers", y="jobs a second",
                series={"measured": [(each.workers, each.jobs_a_second) for each in self.workers]},
            ),
            "scale-history": Plot(
                title="CPU of a tick by finished jobs", x="finished jobs in Redis", y="ms of CPU",
                series={
                    f"harvest, {NEW} outcomes": _ms((each.jobs, each.harvest.both) for each in self.history),
                    "sweep": _ms((each.jobs, each.sweep.both) for each in self.history),
                },
            ),
            "scale-memory": Plot(
                title="Memory of Redis by finished jobs", x="finished jobs in Redis", y="MB",
                series={"all data": [(each.jobs, each.size / 1e6) for each in self.history]},
            ),
            "scale-retention": Plot(
                title="Memory of Redis while jobs finish", x="seconds", y="MB",
                series={
                    "kept": [(at, size / 1e6) for at, size in self.kept],
                    "forgotten after 10 s": [(at, size / 1e6) for at, size in self.forgotten],
                },
            ),
            "scale-backlog": Plot(
                title="CPU by issues of the backlog", x="issues", y="ms of CPU",
                series={
                    "dispatch of an issue": _ms((each.issues, each.dispatch) for each in self.issues),
                    "coalmine issue list": _ms((each.issues, each.command) for each in self.issues),
                    "a poll's comparison": _ms((each.issues, each.compare) for each in self.issues),
                },
            ),
            "scale-mail": Plot(
                title="CPU of a mail by agents that wait", x="agents that await mail", y="ms of CPU",
                series={
                    "sent, its agent woken": _ms((each.agents, each.send) for each in self.agents),
                    "taken by a turn": _ms((each.agents, each.claim) for each in self.agents),
                },
            ),
        }  # fmt: skip
        return {name: plot for name, plot in drawn.items() if all(plot.series.values())}


def _ms(found: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The seconds of points as milliseconds."""
    return [(x, seconds * 1e3) for x, seconds in found]


def _grown(name: str, sizes: Sequence[int], figures: Sequence[float], of: str) -> Iterable[Row]:
    """What it takes at the largest size, beside the smallest, and how many times as much that is."""
    largest = f"{name}, {sizes[-1]:,} {of}"
    yield row(largest, figures[-1] * 1000, unit="ms of CPU", baseline=figures[0] * 1000)
    yield row(f"{largest} against {sizes[0]:,}", figures[-1] / figures[0], unit="times", target=MOST_TIMES)


def _growth(sizes: Sequence[tuple[float, int]]) -> float:
    """The mean of the last quarter of some rounds against that of the third: the second half, by itself."""
    half = [size for _, size in sizes[len(sizes) // 2 :]]
    earlier, later = half[: len(half) // 2], half[len(half) // 2 :]
    return (sum(later) / len(later)) / (sum(earlier) / len(earlier))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, draw, and write the rows into results.json; 1 when something grows that must not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    default = Sizes()
    for name in ("workers", "history", "issues", "agents"):
        said = ",".join(map(str, getattr(default, name)))
        parser.add_argument(
            f"--{name}", type=_numbers, default=getattr(default, name), help=f"(default {said})"
        )
    parser.add_argument("--jobs", type=int, default=default.jobs, help="that workers work (default 1000)")
    parser.add_argument("--rounds", type=int, default=default.rounds, help="with retention (default 40)")
    parser.add_argument("--plots", type=Path, default=_PLOTS, help="a folder (default docs/plots)")
    parser.add_argument("--results", type=Path, default=_HERE / "results.json", help="(default results.json)")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"(default {','.join(PARTS)})")
    asked = vars(parser.parse_args(argv))
    plots, results, parts = asked.pop("plots"), asked.pop("results"), asked.pop("parts").split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    found = Scale.measured(Sizes(**asked), parts)
    for name, plot in found.plots().items():
        plot.write(plots / f"{name}.svg")
    measured = found.rows()
    for each in measured:
        print(f"{'ok' if each.ok else 'MISSED':7}{each.value:12,.4g} {each.unit:12}{each.name}")
    write(results, merge(results, measured))
    return 0 if all(each.ok for each in measured) else 1


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


if __name__ == "__main__":
    sys.exit(main())
