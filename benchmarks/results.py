"""The result of a benchmark: one figure against what it must be, and the file that keeps them."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One measured figure."""

    name: str  # what was measured, in words; unique in the file
    value: float
    unit: str  # of value, baseline and target
    baseline: float | None  # what it is compared to: another rule, or a reference figure
    ratio: float | None  # value / baseline
    target: float | None  # what it must not miss; None for a figure that is only shown
    ok: bool


def row(
    name: str,
    value: float,
    *,
    unit: str,
    target: float | None = None,
    better: Literal["lower", "higher"] = "lower",
    baseline: float | None = None,
) -> Row:
    """Judge a figure: at most the target when lower is better, at least the target when higher is.

    Numbers of numpy are written as Python's, as JSON knows no others.
    """
    value = float(value)
    ok = math.isfinite(value)
    if target is not None:
        ok = ok and (value <= target if better == "lower" else value >= target)
    ratio = value / baseline if baseline else None
    return Row(name=name, value=value, unit=unit, baseline=baseline, ratio=ratio, target=target, ok=bool(ok))


def write(path: Path, rows: Iterable[Row]) -> None:
    """Write the rows as a JSON list, replacing the file."""
    path.write_text(json.dumps([asdict(each) for each in rows], indent=2, ensure_ascii=False) + "\n")


def merge(path: Path, rows: Sequence[Row]) -> list[Row]:
    """The rows of the file with those of the same name replaced: what is left when only one part ran."""
    if not path.exists():
        return list(rows)
    fresh = {each.name: each for each in rows}
    kept = [fresh.pop(old["name"], Row(**old)) for old in json.loads(path.read_text())]
    return kept + list(fresh.values())
