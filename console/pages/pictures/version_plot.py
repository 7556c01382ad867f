"""A number of each version of a template as SVG, small enough for a glance: dots with their intervals.

The oldest stands on the left. A dot is a link to its version; the table beside it has the numbers as text.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from console.output.trials.price_words import price_cell
from console.pages.pictures.drawing import label, plot, stroke, titled
from harvest.settling.outcome_price import OutcomePrice

#: The size of the picture in its own units, and the room for words.
WIDTH, HEIGHT = 360, 130
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 26

#: Versions that are drawn at most, the newest; an upper end beyond so many times the largest value is cut.
MOST_VERSIONS, _FAR = 20, 3.0


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionReading:
    """A number of a version, with the interval in which it really is."""

    version: str  # `implementer@v3`
    value: float
    lower: float | None  # None: unknown
    upper: float | None
    said: str  # all of it in words

    @property
    def short(self) -> str:
        """`v3`."""
        return self.version.partition("@")[2]


def version_plot(readings: Sequence[VersionReading], of: str, *, top: float = 0.0) -> Markup:
    """The picture; `of` says what is drawn, `top` is the least value at the top. "" without a reading."""
    shown = readings[-MOST_VERSIONS:]
    if not shown:
        return Markup("")
    largest = max(each.value for each in shown)
    ends = [each.upper for each in shown if each.upper is not None and each.upper <= _FAR * largest]
    high = max([top, largest * 1.1, *ends]) or 1.0
    across = (WIDTH - LEFT - RIGHT) / len(shown)

    def up(value: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(value, high) / high, 1)

    parts = [stroke("axis", LEFT, up(0), WIDTH - RIGHT, up(0)), label(LEFT - 6, up(0) + 4, "0", "end")]
    parts += [stroke("grid", LEFT, up(high), WIDTH - RIGHT, up(high))]
    parts += [label(LEFT - 6, up(high) + 4, f"{high:.2g}", "end")]
    for place, each in enumerate(shown):
        x = round(LEFT + across * (place + 0.5), 1)
        low, end = up(each.lower or 0.0), up(high if each.upper is None else each.upper)
        whisker = stroke("whisker", x, low, x, end)
        if each.lower is None and each.upper is None:
            whisker = Markup("")
        parts.append(
            Markup(
                '<a href="/versions/{}" aria-label="{}">{}{}'
                '<circle class="dot series1 done" cx="{}" cy="{}" r="4"/></a>'
            ).format(each.version, each.said, titled(each.said), whisker, x, up(each.value))
        )
        if place in {0, len(shown) - 1} or len(shown) <= _FEW:
            parts.append(label(x, HEIGHT - 8, each.short, "middle"))
    return plot(WIDTH, HEIGHT, f"{of}: " + "; ".join(each.said for each in shown), parts, kind="versions")


#: Versions that all have their names on the axis.
_FEW = 8


def score_readings(priced: Sequence[tuple[str, OutcomePrice]]) -> list[VersionReading]:
    """The mean scores of versions; those without a settled job are left out."""
    return [
        VersionReading(
            version=name, value=found.score.value, lower=found.score.lower, upper=found.score.upper,
            said=f"{name}: {found.score.value:.2f} of {found.score.jobs} jobs",
        )
        for name, found in priced
        if found.score is not None
    ]  # fmt: skip


def price_readings(priced: Sequence[tuple[str, OutcomePrice]]) -> list[VersionReading]:
    """What a merged change of versions costs in dollars; those without one are left out."""
    found = [(name, each.prices["usd"]) for name, each in priced]
    return [
        VersionReading(
            version=name, value=price.each, lower=price.lower, upper=price.upper,
            said=f"{name}: {price_cell(price, 'usd')} USD",
        )
        for name, price in found
        if price.each is not None
    ]  # fmt: skip
