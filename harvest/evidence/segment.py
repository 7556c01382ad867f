"""Settled jobs between two open ones, compressed to what can still matter.

That is what the segment multiplies the wealth by, and the prefixes of it after which the wealth may have been
largest (its peaks). The wealth before it is unknown while an earlier job is open, but never negative. So a
prefix can be forgotten when another prefix has at least its product under each of the three alternatives:
whatever the wealth before, the other one gives at least as large a mixture.
"""

from dataclasses import dataclass

from harvest.evidence.wager import Triple

ZEROS: Triple = (0.0, 0.0, 0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """A run of settled jobs in dispatch order. Logarithms, so that thousands of jobs cannot overflow."""

    total: Triple  # ln of the product of all factors, per alternative
    peaks: tuple[Triple, ...]  # the same of the Pareto-maximal prefixes, the empty one included


#: The segment without jobs: its only prefix is the empty one.
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
