"""Settled jobs, compressed."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvest.evidence.segment import EMPTY, Segment, join, of_one, plus
from harvest.evidence.wager import Null, Triple

STEP = st.floats(-2.0, 2.0)
NULL = Null.at_most(-0.1, delta=0.1, weights=(0.2, 0.3, 0.5))
TRIPLES = st.tuples(STEP, STEP, STEP)


def highest(before: Triple, segment: Segment) -> float:
    """The largest mixture after a prefix of the segment that follows `before`."""
    return max(NULL.ln_mixture(plus(before, peak)) for peak in segment.peaks)


@given(factors=st.lists(TRIPLES, min_size=3, max_size=30), before=TRIPLES, data=st.data())
def test_a_segment_keeps_every_prefix_that_can_matter(
    factors: list[Triple], before: Triple, data: st.DataObject
) -> None:
    """Whatever wealth comes before it, its peaks hold the largest mixture of all its prefixes."""
    parts = [of_one(factor) for factor in factors]
    while len(parts) > 1:  # joined in any order, as jobs settle
        place = data.draw(st.integers(0, len(parts) - 2))
        parts[place : place + 2] = [join(parts[place], parts[place + 1])]
    prefixes = list(itertools.accumulate(factors, plus, initial=(0.0, 0.0, 0.0)))
    assert parts[0].total == pytest.approx(prefixes[-1])
    assert highest(before, parts[0]) == pytest.approx(
        max(NULL.ln_mixture(plus(before, each)) for each in prefixes)
    )


def test_only_prefixes_that_no_other_matches_are_kept() -> None:
    """A prefix that another one matches under all three alternatives is forgotten; of equals one is kept."""
    segment = join(of_one((1.0, 1.0, 1.0)), of_one((-1.0, 2.0, -3.0)))
    assert segment.peaks == ((1.0, 1.0, 1.0), (0.0, 3.0, -2.0))
    assert join(segment, of_one((0.0, 0.0, 0.0))).peaks == segment.peaks
    assert of_one((-1.0, -1.0, -1.0)).peaks == EMPTY.peaks
