"""Run the benchmarks: `python -m benchmarks.run [--quick] [--only NAME]`; exit 1 when a figure misses."""

import argparse
import importlib
import pkgutil
import sys
import time
from pathlib import Path
from typing import Protocol, cast

from rich.console import Console
from rich.table import Table

import benchmarks
from benchmarks.results import Row, merge, write

_HERE = Path(__file__).parent


class Benchmark(Protocol):
    """A module of this package that measures something."""

    NAME: str  # what `--only` calls it

    def rows(self, *, quick: bool) -> list[Row]:
        """Measure; `quick` takes seconds in place of minutes."""
        ...


def registered() -> dict[str, Benchmark]:
    """Every module of this package that has a NAME and rows()."""
    found = {}
    for module in pkgutil.iter_modules(benchmarks.__path__):
        if module.name != "run":
            candidate = importlib.import_module(f"benchmarks.{module.name}")
            if hasattr(candidate, "NAME") and hasattr(candidate, "rows"):
                found[candidate.NAME] = cast("Benchmark", candidate)
    return found


def main(argv: list[str] | None = None) -> int:
    """Measure, print, write; 0 when every figure is what it must be."""
    known = registered()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer runs a cell; writes results-quick.json")
    parser.add_argument("--only", choices=sorted(known), help="run one benchmark, keep the others' results")
    options = parser.parse_args(argv)
    chosen = {options.only: known[options.only]} if options.only else known
    console = Console()
    measured: list[Row] = []
    for name, benchmark in chosen.items():
        started = time.monotonic()
        rows = benchmark.rows(quick=options.quick)
        console.print(_table(f"{name} ({time.monotonic() - started:.0f} s)", rows))
        measured.extend(rows)
    path = _HERE / ("results-quick.json" if options.quick else "results.json")
    write(path, merge(path, measured) if options.only else measured)
    missed = [each.name for each in measured if not each.ok]
    console.print(f"{len(measured)} figures in {path.name}, {len(missed)} missed", *missed, sep="\n  ")
    return 1 if missed else 0


def _table(title: str, rows: list[Row]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("figure", ratio=1)
    for column in ("value", "unit", "must be", "baseline", "ratio", ""):
        table.add_column(column, justify="right" if column != "unit" else "left")
    for each in rows:
        table.add_row(
            each.name,
            f"{each.value:.4g}",
            each.unit,
            "" if each.target is None else f"{each.target:.4g}",
            "" if each.baseline is None else f"{each.baseline:.4g}",
            "" if each.ratio is None else f"{each.ratio:.2f}",
            "ok" if each.ok else "MISSED",
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
