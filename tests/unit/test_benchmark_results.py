"""The file of benchmark results."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.pairs import least_right
from benchmarks.results import merge, row, write


def test_a_figure_is_judged_in_its_direction() -> None:
    """At most the target when lower is better, at least the target when higher is; NaN is never right."""
    assert row("a", 1.0, unit="s", target=1.0).ok
    assert not row("a", 1.1, unit="s", target=1.0).ok
    assert row("a", 1.1, unit="jobs/s", target=1.0, better="higher").ok
    assert not row("a", 0.9, unit="jobs/s", target=1.0, better="higher").ok
    assert not row("a", math.nan, unit="s").ok


def test_a_figure_of_numpy_is_written(tmp_path: Path) -> None:
    """A count or a mean as numpy has it ends no benchmark when all is measured."""
    write(tmp_path / "results.json", [row("a", np.int64(0), unit="looks", target=0.0)])  # type: ignore[arg-type]
    (found,) = json.loads((tmp_path / "results.json").read_text())
    assert (found["value"], found["ok"]) == (0.0, True)


def test_a_figure_is_compared_to_its_baseline() -> None:
    """The ratio is value over baseline, and nothing without a baseline."""
    assert row("a", 3.0, unit="s", baseline=2.0).ratio == 1.5
    assert row("a", 3.0, unit="s").ratio is None


def test_one_part_replaces_only_its_own_rows(tmp_path: Path) -> None:
    """What is measured again replaces the row of that name; the rest of the file stays."""
    path = tmp_path / "results.json"
    assert merge(path, [row("a", 1.0, unit="s")]) == [row("a", 1.0, unit="s")]
    write(path, [row("a", 1.0, unit="s"), row("b", 2.0, unit="s")])
    merged = merge(path, [row("b", 5.0, unit="s"), row("c", 6.0, unit="s")])
    assert [(each.name, each.value) for each in merged] == [("a", 1.0), ("b", 5.0), ("c", 6.0)]
    write(path, merged)
    assert set(json.loads(path.read_text())[0]) == {
        "name",
        "value",
        "unit",
        "baseline",
        "ratio",
        "target",
        "ok",
    }


def test_right_verdicts_are_held_to_the_reference_rule() -> None:
    """What misses it is stored as missed; where either verdict is acceptable nothing is asked."""
    assert least_right(0.995) == pytest.approx(0.990, abs=5e-4)
    assert least_right(1.0) == pytest.approx(0.998, abs=5e-4)
    kept = json.loads(Path("benchmarks/results.json").read_text())
    asked = {one["baseline"]: one for one in kept if one["name"].startswith("pairs: right verdict")}
    assert set(asked) == {0.995, 1.0, None}
    for reference, one in asked.items():
        assert one["target"] == (None if reference is None else least_right(reference))
        assert one["ok"] == (reference is None or one["value"] >= one["target"])
