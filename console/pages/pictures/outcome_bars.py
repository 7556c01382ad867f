"""How jobs ended, hour by hour, as stacked bars of SVG. States differ by pattern, not by colour alone.

The table beside the picture has the same numbers as text. Patterns and colours are in the style sheet; a
pattern is made once, in the picture, and the legend below it uses the same.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from markupsafe import Markup

from console.pages.pictures.drawing import box, even_steps, label, plot, stroke
from routing.jobs.job import JobState
from routing.store.jobs.outcome_store import HourOutcomes

#: The size of the picture in its own units, and the room for axes.
WIDTH, HEIGHT = 720, 220
LEFT, RIGHT, TOP, BOTTOM = 48, 8, 12, 34

#: States from the bottom of a bar up, each with the lines of its pattern in a square of 6 units.
PATTERNS = {
    JobState.SUCCEEDED: "",
    JobState.ESCALATED: "M0 6 L6 0",
    JobState.FAILED: "M0 6 L6 0 M0 0 L6 6",
    JobState.BLOCKED: "M0 3 H6",
    JobState.CANCELLED: "M3 0 V6",
}

#: Hours between two labels of the axis.
_HOURS_APART = 4


def outcome_bars(hours: Sequence[HourOutcomes]) -> Markup:
    """The picture; "" when no job ended in any of the hours."""
    most = max((hour.total for hour in hours), default=0)
    if not most:
        return Markup("")
    marks = even_steps(most)
    parts = [_patterns(), *(_mark(mark, marks[-1]) for mark in marks)]
    across = (WIDTH - LEFT - RIGHT) / len(hours)
    for place, hour in enumerate(hours):
        x = LEFT + place * across
        parts += _bar(hour, x, across, marks[-1])
        if datetime.fromtimestamp(hour.begins_at, UTC).hour % _HOURS_APART == 0:
            parts.append(stroke("tick", x, _y(0, 1), x, _y(0, 1) + 5))
            parts.append(label(x, HEIGHT - 10, f"{hour_words(hour)}", "middle"))
    said = f"Jobs that ended in the last {len(hours)} hours: {', '.join(_sums(hours))}"
    return plot(WIDTH, HEIGHT, said, parts, kind="bars")


def hour_words(hour: HourOutcomes) -> str:
    """When it began, in UTC."""
    return f"{datetime.fromtimestamp(hour.begins_at, UTC):%H:%M}"


def swatch(state: JobState) -> Markup:
    """What a state looks like in the bars, for the legend."""
    return Markup(
        '<svg class="swatch bars" width="18" height="14" viewBox="0 0 18 14" aria-hidden="true">{}</svg>'
    ).format(_filled(state, 1, 1, 16, 12))


def _sums(hours: Sequence[HourOutcomes]) -> list[str]:
    sums = {state: sum(hour.ended[state] for hour in hours) for state in PATTERNS}
    return [f"{count} {state}" for state, count in sums.items() if count]


def _patterns() -> Markup:
    drawn = (
        Markup(
            '<pattern id="of-{}" width="6" height="6" patternUnits="userSpaceOnUse">'
            '<rect class="under {}" width="6" height="6"/><path class="over {}" d="{}"/></pattern>'
        ).format(state, state, state, path)
        for state, path in PATTERNS.items()
    )
    return Markup("<defs>{}</defs>").format(Markup("").join(drawn))


def _mark(mark: int, top: int) -> Markup:
    y = _y(mark, top)
    line = stroke("grid" if mark else "axis", LEFT, y, WIDTH - RIGHT, y)
    return line + label(LEFT - 8, y + 4, f"{mark}", "end")


def _bar(hour: HourOutcomes, x: float, across: float, top: int) -> list[Markup]:
    parts, below = [], 0
    for state in PATTERNS:
        count = hour.ended[state]
        if count:
            above = below + count
            y = _y(above, top)
            parts.append(
                _filled(
                    state,
                    x + across * 0.12,
                    y,
                    across * 0.76,
                    _y(below, top) - y,
                    title=f"{hour_words(hour)} UTC: {count} {state} of {hour.total}",
                )
            )
            below = above
    return parts


def _filled(state: JobState, x: float, y: float, width: float, height: float, *, title: str = "") -> Markup:
    return box(f"part {state}", x, y, width, height, title=title, pattern=f"of-{state}")


def _y(count: float, top: float) -> float:
    return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * count / top, 1)
