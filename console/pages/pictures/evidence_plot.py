"""The evidence of a trial over its jobs, as SVG: two lines on a logarithmic scale with their thresholds.

Each dot is a job and a link to it. Questions differ by dash and by mark, not by colour alone; the table of
the ledger below has the same numbers as text. Nothing has a style of its own: classes are in the style sheet.
"""

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from console.pages.pictures.drawing import label, plot, stroke, thinned
from harvest.evidence.explanation import ExplainedUnit

#: The size of the picture in its own units, and the room for axes.
WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 16, 46

#: The largest logarithm whose exponential is shown as it is.
_LARGEST_LN = 700.0


def evidence_plot(
    lines: Sequence[ExplainedUnit], thresholds: Mapping[str, float], questions: Sequence[tuple[str, str]]
) -> Markup:
    """The picture; "" while no job is drawn. `questions` are names of readings and the words for them."""
    if not lines:
        return Markup("")
    asked = [(name, said) for name, said in questions if name in lines[0].readings]
    top = max(
        math.log(thresholds[name]) * 1.15 for name, _ in asked
    )  # evidence begins at 1, so a threshold above it is always in the picture
    top = max([top, *(line.readings[name].ln_evidence for line in lines for name, _ in asked)])
    frame = _Frame(count=len(lines), top=top)
    parts = [_axes(frame)]
    for place, (name, said) in enumerate(asked):
        parts += [_threshold(frame, thresholds[name], said, place), _line(frame, lines, name, said, place)]
    title = "Evidence over jobs in the order of dispatch; " + "; ".join(
        f"{said}: {_shown(lines[-1].readings[name].ln_evidence)} of {thresholds[name]:g}"
        for name, said in asked
    )
    return plot(WIDTH, HEIGHT, title, parts)


class _Frame:
    """Where a job and an evidence are in the picture."""

    def __init__(self, *, count: int, top: float) -> None:
        self.count = count
        self.top = top

    def x(self, index: int) -> float:
        """Of the job at a place from 0, on a logarithmic scale."""
        span = math.log(max(self.count, 2))
        return round(LEFT + (WIDTH - LEFT - RIGHT) * math.log(index + 1) / span, 1)

    def y(self, ln_evidence: float) -> float:
        """Of an evidence, given as its logarithm; below 1 is at the bottom."""
        part = min(max(ln_evidence, 0.0), self.top) / self.top
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * part, 1)


def _axes(frame: _Frame) -> Markup:
    """Both axes with their marks, at 1, 2, 5, 10 and so on jobs, and at evidence 1, 3, 10 and so on."""
    parts = [
        stroke("axis", LEFT, frame.y(0), WIDTH - RIGHT, frame.y(0)),
        stroke("axis", LEFT, TOP, LEFT, frame.y(0)),
    ]
    for value in _steps(frame.count, (1, 2, 5)):
        x = frame.x(value - 1)
        parts += [
            stroke("tick", x, frame.y(0), x, frame.y(0) + 5),
            label(x, HEIGHT - BOTTOM + 20, f"{value}", "middle"),
        ]
    for value in _steps(math.exp(min(frame.top, _LARGEST_LN)), (1, 3)):
        if value == 1:  # the axis itself
            parts.append(label(LEFT - 8, frame.y(0) + 4, "1", "end"))
            continue
        y = frame.y(math.log(value))
        parts += [stroke("grid", LEFT, y, WIDTH - RIGHT, y), label(LEFT - 8, y + 4, f"{value:g}", "end")]
    parts.append(label((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, "jobs, in the order of dispatch", "middle"))
    return Markup("").join(parts)


def _steps(most: float, factors: Sequence[int]) -> list[int]:
    """1, 2, 5, 10, 20 … up to `most`, every second decade where there are many."""
    decades = range(int(math.log10(max(most, 1.0))) + 1)
    skipped = max(1, len(decades) // 5)
    used = factors if skipped == 1 else (1,)
    found = [factor * 10**decade for decade in decades if decade % skipped == 0 for factor in used]
    return [value for value in found if value <= most]


def _threshold(frame: _Frame, threshold: float, said: str, place: int) -> Markup:
    y = frame.y(math.log(threshold))
    words = f"{said}: decides at {threshold:g}"
    above = place == 0  # two thresholds at the same height have their words on both sides of the line
    return Markup("").join(
        [
            stroke(f"threshold series{place}", LEFT, y, WIDTH - RIGHT, y),
            label(LEFT + 6, y - 5 if above else y + 19, words, "start"),
        ]
    )


def _line(frame: _Frame, lines: Sequence[ExplainedUnit], name: str, said: str, place: int) -> Markup:
    values = [line.readings[name].ln_evidence for line in lines]
    kept = thinned(values)
    points = " ".join(f"{frame.x(index)},{frame.y(values[index])}" for index in kept)
    dots = [
        _dot(
            lines[index],
            (frame.x(index), frame.y(values[index])),
            f"{said}: {_shown(values[index])}",
            place,
        )
        for index in kept
    ]
    drawn = Markup('<polyline class="line series{}" points="{}"/>').format(place, points)
    return drawn + Markup("").join(dots)


def _dot(line: ExplainedUnit, at: tuple[float, float], reading: str, place: int) -> Markup:
    """A job: a circle for the first question, a square for the second; filled when it has its score."""
    x, y = at
    score = line.status if line.score is None else f"score {line.score:.2f}"
    words = f"{line.dispatched.words}, {score}; {reading}"
    kind = f"dot series{place} {'open' if line.settlement is None else 'done'}"
    mark = (
        Markup('<circle class="{}" cx="{}" cy="{}" r="3.5">').format(kind, x, y)
        if place == 0
        else Markup('<rect class="{}" x="{}" y="{}" width="6" height="6">').format(kind, x - 3, y - 3)
    )
    end = Markup("</circle>") if place == 0 else Markup("</rect>")
    return Markup('<a href="/jobs/{}" aria-label="{}">{}<title>{}</title>{}</a>').format(
        line.dispatched.subject, words, mark, words, end
    )


def _shown(ln_evidence: float) -> str:
    return f"{math.exp(min(ln_evidence, _LARGEST_LN)):.3g}"
