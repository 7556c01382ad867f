"""A plot of a few series as SVG, written by hand: no library draws it, and the file is small."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

#: Where numbers are, and what is around them for names and numbers of the axes, in pixels.
WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 70, 170, 34, 46

#: Colours that differ without red and green, and the dashes by which lines differ in grey.
COLOURS = ("#0072b2", "#d55e00", "#6b6b6b", "#aa4499")
DASHES = ("none", "6 3", "2 3", "8 3 2 3")

#: Lines across.
LINES = 4

_FONT = 'font-family="sans-serif" font-size="12" fill="#333"'

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plot:
    """What is shown: lines through points, each with its name; both axes begin at 0."""

    title: str
    x: str  # what the axis counts, with its unit
    y: str
    series: Mapping[str, Points]

    def write(self, path: Path) -> None:
        """Write the picture; its text is for those who cannot see it, too."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.svg(), encoding="utf-8")

    def svg(self) -> str:
        """The picture."""
        points = [point for line in self.series.values() for point in line]
        most_x = _rounded(max(x for x, _ in points))
        most_y = _rounded(max(y for _, y in points))
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" {_FONT}>',
            f"<title>{escape(self.title)}</title>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
            _text(self.title, LEFT, 20, bold=True),
            *_grid(most_x, most_y),
            _text(self.x, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, anchor="middle"),
            _text(self.y, 14, (TOP + HEIGHT - BOTTOM) / 2, anchor="middle", turned=True),
        ]
        for number, (name, line) in enumerate(self.series.items()):
            parts += _line(name, line, number, most_x=most_x, most_y=most_y)
        return "\n".join([*parts, "</svg>\n"])


def _line(name: str, line: Points, number: int, *, most_x: float, most_y: float) -> list[str]:
    colour, dashes = COLOURS[number % len(COLOURS)], DASHES[number % len(DASHES)]
    places = [(_across(x, most_x), _down(y, most_y)) for x, y in line]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    stroke = f'stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes}"'
    at = TOP + 14 + 20 * number
    key = WIDTH - RIGHT + 12
    return [
        f'<polyline points="{path}" fill="none" {stroke}/>',
        *(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in places),
        f'<line x1="{key}" x2="{key + 22}" y1="{at - 4}" y2="{at - 4}" {stroke}/>',
        _text(name, key + 28, at),
    ]


def _grid(most_x: float, most_y: float) -> list[str]:
    """Lines across with their numbers, and numbers below."""
    parts = []
    for step in range(LINES + 1):
        part = step / LINES
        x, y = _across(part * most_x, most_x), _down(part * most_y, most_y)
        parts += [
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>',
            _text(f"{part * most_y:,.4g}", LEFT - 6, y + 4, anchor="end"),
            _text(f"{part * most_x:,.10g}", x, HEIGHT - BOTTOM + 18, anchor="middle"),
        ]
    return parts


def _text(
    words: str, x: float, y: float, *, anchor: str = "start", bold: bool = False, turned: bool = False
) -> str:
    more = ' font-weight="bold"' if bold else ""
    more += f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(words)}</text>'


def _across(x: float, most: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * x / most


def _down(y: float, most: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * y / most


def _rounded(most: float) -> float:
    """The end of an axis: 1, 2, 4 or 5 times a power of ten, at or above the largest number; 1 for 0."""
    if most <= 0:
        return 1.0
    power = 1.0
    while power * 10 <= most:
        power *= 10
    while power > most:
        power /= 10
    return next(times * power for times in (1, 2, 4, 5, 10) if times * power >= most * (1 - 1e-9))
