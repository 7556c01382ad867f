"""The plots of benchmarks: pictures that a browser takes, with what was measured in them."""

from pathlib import Path
from xml.etree import ElementTree as ET

from benchmarks.plot import Plot

SVG = "{http://www.w3.org/2000/svg}"


def test_a_plot_has_its_lines_points_and_names(tmp_path: Path) -> None:
    """Each series is a line through its points, higher values further up; names may have any characters."""
    plot = Plot(
        title="Cost & <time>", x="jobs", y="ms",
        series={"ours": [(0, 0), (50, 5), (100, 10)], "theirs": [(0, 4), (100, 4)]},
    )  # fmt: skip
    plot.write(tmp_path / "deep" / "plot.svg")
    drawn = ET.parse(tmp_path / "deep" / "plot.svg").getroot()  # noqa: S314 - made a line above
    assert drawn.findtext(f"{SVG}title") == "Cost & <time>"
    lines = [line.attrib["points"].split() for line in drawn.iter(f"{SVG}polyline")]
    assert [len(line) for line in lines] == [3, 2]
    heights = [float(point.split(",")[1]) for point in lines[0]]
    assert heights == sorted(heights, reverse=True)
    assert len({point.split(",")[1] for point in lines[1]}) == 1
    words = [text.text for text in drawn.iter(f"{SVG}text")]
    assert {"Cost & <time>", "jobs", "ms", "ours", "theirs", "100", "10"} <= set(words)


def test_a_plot_of_nothing_but_zeros_is_one() -> None:
    """Its axes end at 1."""
    assert "polyline" in Plot(title="t", x="x", y="y", series={"a": [(0, 0), (0, 0)]}).svg()
