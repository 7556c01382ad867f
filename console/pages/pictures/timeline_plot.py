"""What happened to a job, as SVG: a row for each kind of moment, over time since it was accepted.

A turn is a bar as long as it took; a circle speaks for the work, a square does not. The table below has the
same as text.
"""

from collections.abc import Callable, Sequence

from markupsafe import Markup

from console.details.job_timeline import Moment, MomentKind
from console.output.rendering import duration
from console.pages.pictures.drawing import box, label, plot, stroke, titled

#: The width of the picture in its own units, the height of a row, and the room for words and the axis.
WIDTH, ROW = 720, 34
LEFT, RIGHT, TOP, BOTTOM = 100, 18, 8, 30

#: The least width of a bar, so that it can be seen; and moments that are drawn at most, the newest.
_LEAST, MOST_MOMENTS = 5.0, 250

#: Labels on the axis of time.
_LABELS = 2


def timeline_plot(moments: Sequence[Moment]) -> Markup:
    """The picture; rows without a moment are left out. "" for fewer than two moments."""
    drawn = moments[-MOST_MOMENTS:]
    if len(drawn) < 2:  # noqa: PLR2004 - one has no length
        return Markup("")
    begin = min(moment.at for moment in drawn)
    span = max(max(moment.until or moment.at for moment in drawn) - begin, 1.0)
    kinds = [kind for kind in MomentKind if any(moment.kind is kind for moment in drawn)]
    height = TOP + ROW * len(kinds) + BOTTOM

    def across(at: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (at - begin) / span, 1)

    parts = []
    for row, kind in enumerate(kinds):
        y = TOP + ROW * row + ROW / 2
        parts += [stroke("grid", LEFT, y, WIDTH - RIGHT, y), label(LEFT - 12, y + 4, kind.value, "end")]
        parts += [_mark(moment, across, y) for moment in drawn if moment.kind is kind]
    parts.append(stroke("axis", LEFT, height - BOTTOM, WIDTH - RIGHT, height - BOTTOM))
    for number in range(_LABELS + 1):
        seconds = span * number / _LABELS
        x = across(begin + seconds)
        words = "accepted" if not number else duration(seconds)
        anchor = "end" if number == _LABELS else "middle" if number else "start"
        parts += [
            stroke("tick", x, height - BOTTOM, x, height - BOTTOM + 5),
            label(x, height - 8, words, anchor),
        ]
    said = f"What happened in {duration(span, units=1)}: {len(moments)} moments, as in the table below"
    return plot(WIDTH, height, said, parts, kind="timeline")


def _mark(moment: Moment, across: Callable[[float], float], y: float) -> Markup:
    x = across(moment.at)
    if moment.until is not None:
        wide = max(across(moment.until) - x, _LEAST)
        took = duration(moment.until - moment.at, units=1)
        return box("turn", x, y - 8, wide, 16, title=f"{moment.said}, {took}")
    words = f"{moment.said} {moment.note}".strip()
    if moment.good:
        mark = Markup('<circle class="good" cx="{}" cy="{}" r="5">{}</circle>')
        return mark.format(x, y, titled(words))
    return box("bad", x - 5, y - 5, 10, 10, title=words)
