"""The difference of the two means over the jobs of a trial, as SVG: a line, and the interval around it.

The jobs are on a logarithmic scale, as in the plot of the evidence above it. Each dot leads to its job. The
table beside it has the same numbers.
"""

import math
from collections.abc import Sequence

from markupsafe import Markup

from console.output.trials.difference_words import signed
from console.pages.pictures.drawing import label, plot, stroke, titled
from harvest.evidence.difference import DifferenceStep
from harvest.evidence.explanation import ExplainedUnit

#: The size of the picture in its own units, and the room for axes.
WIDTH, HEIGHT = 720, 220
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 14, 46


def difference_plot(
    course: Sequence[DifferenceStep], lines: Sequence[ExplainedUnit], margin: float
) -> Markup:
    """The picture; `margin` is how much worse a canary may be that graduates. "" before the first job."""
    if not course:
        return Markup("")
    count = max(course[-1].unit, 2)

    def across(unit: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * math.log(unit) / math.log(count), 1)

    def up(value: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value + 1) / 2, 1)

    bottom = HEIGHT - BOTTOM
    parts = [stroke("axis", LEFT, bottom, WIDTH - RIGHT, bottom), stroke("axis", LEFT, TOP, LEFT, bottom)]
    for value in (-1.0, -0.5, 0.0, 0.5, 1.0):
        parts += [stroke("grid", LEFT, up(value), WIDTH - RIGHT, up(value))]
        parts += [label(LEFT - 8, up(value) + 4, signed(value), "end")]
    for decade in range(int(math.log10(count)) + 1):
        parts += [label(across(10**decade), bottom + 20, f"{10**decade}", "middle")]
    parts += [stroke("threshold series1", LEFT, up(-margin), WIDTH - RIGHT, up(-margin))]
    parts += [label((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, "jobs, in the order of dispatch", "middle")]
    ends = [*(each.unit for each in course[1:]), course[-1].unit]
    above = [
        (across(x), up(each.upper)) for each, end in zip(course, ends, strict=True) for x in (each.unit, end)
    ]
    below = [
        (across(x), up(each.lower)) for each, end in zip(course, ends, strict=True) for x in (each.unit, end)
    ]
    parts.append(_shape("polygon", "band", [*above, *reversed(below)]))
    valued = [(each, each.value) for each in course if each.value is not None]
    parts.append(
        _shape("polyline", "line series0", [(across(each.unit), up(value)) for each, value in valued])
    )
    parts += [_dot(each, lines, (across(each.unit), up(value))) for each, value in valued]
    said = f"The canary's mean score less the champion's after {count} jobs: {step_words(course[-1])}"
    return plot(WIDTH, HEIGHT, said, parts, kind="course")


def step_words(step: DifferenceStep) -> str:
    """`+0.12 [-0.10, +0.34]`."""
    value = "-" if step.value is None else signed(step.value)
    return f"{value} [{signed(step.lower)}, {signed(step.upper)}]"


def _shape(name: str, kind: str, points: Sequence[tuple[float, float]]) -> Markup:
    drawn = " ".join(f"{x},{y}" for x, y in points)
    return Markup('<{} class="{}" points="{}"/>').format(name, kind, drawn)


def _dot(step: DifferenceStep, lines: Sequence[ExplainedUnit], at: tuple[float, float]) -> Markup:
    words = f"after {step.unit}: {step_words(step)}"
    return Markup(
        '<a href="/jobs/{}" aria-label="{}">{}<circle class="dot series0 done" cx="{}" cy="{}" r="3"/></a>'
    ).format(lines[step.unit - 1].dispatched.subject, words, titled(words), *at)
