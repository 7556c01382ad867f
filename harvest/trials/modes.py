"""Which test a trial has, by its policy: the one place that knows all of them."""

from collections.abc import Mapping
from typing import Literal

from harvest.draws.draw_evidence import DrawEvidence
from harvest.evidence.trial_test import AnyTest

_TESTS: Mapping[str, type[AnyTest]] = {"draw": DrawEvidence}


def deciding_test(mode: Literal["draw"]) -> type[AnyTest]:
    """The test that decides a trial of this mode."""
    return _TESTS[mode]
