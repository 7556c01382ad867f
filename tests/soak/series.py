"""Whether a series of measurements grows: the slope of the line that fits it best. Pure.

The line is Theil's and Sen's: the median of the slopes of all pairs. A fifth of the points may be anything
without moving it far, and a sample often meets a process in the middle of something.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

#: Moments in seconds, with what was measured.
Points = Sequence[tuple[float, float]]

#: Points of a series that its slope is made from; of more, one in so many is taken.
MOST_POINTS = 240

HOUR_SECONDS = 3600.0


class Measure(StrEnum):
    """What is measured."""

    MEMORY = "memory"  # bytes
    DESCRIPTORS = "descriptors"
    THREADS = "threads"
    CONNECTIONS = "connections"


@dataclass(frozen=True, kw_only=True, slots=True)
class Allowed:
    """By how much a series may grow from its first look after the warm-up to its last."""

    part: float  # of what it was
    amount: float  # in its own unit, added to that


#: Memory is never still: a table that doubles, a page that was shared and is written. The rest counts pieces.
ALLOWED: Mapping[Measure, Allowed] = {
    Measure.MEMORY: Allowed(part=0.04, amount=1_000_000.0),
    Measure.DESCRIPTORS: Allowed(part=0.0, amount=2.0),
    Measure.THREADS: Allowed(part=0.0, amount=1.5),
    Measure.CONNECTIONS: Allowed(part=0.0, amount=3.0),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Trend:
    """What became of one series after its warm-up."""

    name: str
    measure: Measure
    first: float  # the line's value at the beginning
    last: float  # and at the end
    an_hour: float  # by which it grows
    least: float
    most: float
    looks: int

    @property
    def grows(self) -> bool:
        """Whether it grew by more than is allowed."""
        allowed = ALLOWED[self.measure]
        return self.last - self.first > self.first * allowed.part + allowed.amount


def trend(name: str, measure: Measure, points: Points, *, warm_up: float) -> Trend:
    """The line through the points from `warm_up` seconds on; ValueError where fewer than three are left."""
    kept = [point for point in points if point[0] >= warm_up]
    if len(kept) < 3:  # a line through two points fits them whatever they are
        message = f"{name} was looked at {len(kept)} times after the warm-up; let it run for longer"
        raise ValueError(message)
    thinned = kept[:: -(-len(kept) // MOST_POINTS)]
    slope = statistics.median(
        (y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in combinations(thinned, 2) if x2 > x1
    )
    middle = statistics.median(y - slope * x for x, y in thinned)
    values = [value for _, value in kept]
    return Trend(
        name=name, measure=measure, first=middle + slope * kept[0][0], last=middle + slope * kept[-1][0],
        an_hour=slope * HOUR_SECONDS, least=min(values), most=max(values), looks=len(kept),
    )  # fmt: skip
