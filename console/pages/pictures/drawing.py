"""What pictures are drawn with: SVG whose classes are in the style sheet. Nothing has a style of its own."""

import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup

from console.pages.rendering import visible

#: Points of a line that are drawn at most; the extremes of each part are kept.
MOST_POINTS = 250


def plot(width: float, height: float, said: str, parts: Iterable[Markup], *, kind: str = "") -> Markup:
    """A picture of that size in its own units; `said` is what it shows, for those who do not see it."""
    return Markup(
        '<svg class="plot {}" viewBox="0 0 {} {}" role="group" aria-label="{}"><title>{}</title>{}</svg>'
    ).format(kind, width, height, said, said, Markup("").join(parts))


def titled(said: str) -> Markup:
    """What is shown on hover; characters that could not be seen become signs, as everywhere on a page."""
    return Markup("<title>{}</title>").format(visible(said))


def stroke(kind: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    """A line from one point to another."""
    return Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(kind, x1, y1, x2, y2)


def label(x: float, y: float, said: str, anchor: str) -> Markup:
    """Words that begin, end or have their `middle` at a point."""
    return Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>').format(x, y, anchor, said)


def box(
    kind: str, x: float, y: float, width: float, height: float, *, title: str = "", pattern: str = ""
) -> Markup:  # fmt: skip
    """A rectangle; its title is shown on hover, and `pattern` is the id of what fills it."""
    named = titled(title) if title else Markup("")
    filled = Markup(' fill="url(#{})"').format(pattern) if pattern else Markup("")
    return Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"{}>{}</rect>').format(
        kind, round(x, 1), round(y, 1), round(width, 1), round(height, 1), filled, named
    )


def even_steps(most: int, count: int = 4) -> list[int]:
    """0 and at most so many more whole numbers, evenly spaced, the last of them at `most` or above."""
    least = max(1, math.ceil(most / count))
    size = 10 ** int(math.log10(least))
    step = next(factor * size for factor in (1, 2, 5, 10) if factor * size >= least)
    return [step * place for place in range(math.ceil(max(most, 1) / step) + 1)]


def thinned(values: Sequence[float], most: int = MOST_POINTS) -> list[int]:
    """The places of at most `most` values: the first, the last, and the extremes of each part between."""
    if len(values) <= most:
        return list(range(len(values)))
    parts = max(1, (most - 2) // 2)
    kept = {0, len(values) - 1}
    for part in range(parts):
        begin, end = part * len(values) // parts, (part + 1) * len(values) // parts
        places = range(begin, end)
        kept |= {min(places, key=values.__getitem__), max(places, key=values.__getitem__)}
    return sorted(kept)
