"""Settled jobs between two open ones, compressed to what can still matter.

What the segment multiplies the wealth by, and the prefixes of it after which the wealth may have been
largest. The wealth in front of it is unknown while a job before it is open, but never negative: a prefix
whose three products are all matched by another prefix can be forgotten.
"""

from dataclasses import dataclass

from harvest.wager import Triple

ZEROS: Triple = (0.0, 0.0, 0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """A run of settled jobs in dispatch order. Logarithms, so that thousands of jobs cannot overflow."""

    total: Triple  # ln of the product of all factors, per alternative
    peaks: tuple[Triple, ...]  # the same of the Pareto-maximal prefixes, the empty one included


#: No job at all.
EMPTY = Segment(total=ZEROS, peaks=(ZEROS,))


def of_one(ln_factors: Triple) -> Segment:
    """The segment of a single settled job."""
    return join(EMPTY, Segment(total=ln_factors, peaks=(ln_factors,)))


def join(left: Segment, right: Segment) -> Segment:
    """The segment of `left` followed by `right`."""
    later = tuple(plus(left.total, peak) for peak in right.peaks)
    earlier = tuple(peak for peak in left.peaks if not _matched(peak, later))
    return Segment(
        total=plus(left.total, right.total),
        peaks=earlier + tuple(peak for peak in later if not _matched(peak, earlier)),
    )


def plus(one: Triple, other: Triple) -> Triple:
    """Sum of logarithms: the product of the factors."""
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]


def _matched(peak: Triple, others: tuple[Triple, ...]) -> bool:
    """Whether one of the others is at least as large under every alternative."""
    first, second, third = peak
    return any(a >= first and b >= second and c >= third for a, b, c in others)
