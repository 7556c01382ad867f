"""Which test a trial has: the one place that knows all of them."""

from collections.abc import Mapping

from harvest.draws.draw_evidence import DrawEvidence
from harvest.evidence.policy import TrialPolicy
from harvest.evidence.trial_test import AnyTest
from harvest.pairs.pair_evidence import PairEvidence
from routing.templates.trial import Mode

_TESTS: Mapping[Mode, type[AnyTest]] = {Mode.DRAW: DrawEvidence, Mode.SHADOW: PairEvidence}


def deciding_test(policy: TrialPolicy) -> type[AnyTest]:
    """The test that decides a trial with this policy."""
    return _TESTS[policy.mode]
