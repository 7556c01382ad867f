"""The canary's share over the jobs of a trial, as SVG: a line with steps. Its table has the same numbers."""

from collections.abc import Sequence

from markupsafe import Markup

from console.pages.pictures.drawing import label, plot, stroke
from harvest.evidence.explanation import ExplainedUnit

#: The size of the picture in its own units, and the room for axes.
WIDTH, HEIGHT = 720, 150
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 14, 40

#: Changes of the share that are drawn at most, the newest.
MOST_STEPS = 250


def share_steps(lines: Sequence[ExplainedUnit], now: float) -> list[tuple[int, float]]:
    """From which job on, by its number from 1, which share held; the last is that of the next draw."""
    shares = [line.dispatched.share for line in lines if hasattr(line.dispatched, "share")]
    found: list[tuple[int, float]] = []
    for place, share in enumerate([*shares, now] if shares else [], start=1):
        if not found or found[-1][1] != share:
            found.append((place, share))
    return found


def share_plot(lines: Sequence[ExplainedUnit], now: float) -> Markup:
    """The picture; `now` is the share of the next draw. "" for a trial of pairs, which draws no share."""
    steps = share_steps(lines, now)
    if not steps:
        return Markup("")
    count = len(lines) + 1
    top = max(share for _, share in steps)

    def across(place: int) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (place - 1) / max(count - 1, 1), 1)

    def up(share: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share / (top * 1.15), 1)

    drawn = steps[-MOST_STEPS:]
    ends = [*(place for place, _ in drawn[1:]), count]
    points = " ".join(
        f"{across(place)},{up(share)} {across(end)},{up(share)}"
        for (place, share), end in zip(drawn, ends, strict=True)
    )
    marks = sorted({0.0, top / 2, top})
    parts = [
        *(stroke("grid" if mark else "axis", LEFT, up(mark), WIDTH - RIGHT, up(mark)) for mark in marks),
        *(label(LEFT - 8, up(mark) + 4, f"{mark:.3g}", "end") for mark in marks),
        Markup('<polyline class="line series1" points="{}"/>').format(points),
        label(LEFT, HEIGHT - 20, "1", "middle"),
        label(WIDTH - RIGHT, HEIGHT - 20, f"{len(lines)}", "end"),
        label((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, "jobs, in the order of dispatch", "middle"),
    ]
    changes = len(steps) - 1
    said = f"The canary's share of new jobs: {now:.3g} now, {steps[0][1]:.3g} at first, {changes} changes"
    return plot(WIDTH, HEIGHT, said, parts, kind="share")
