"""Which test a trial has, and on what terms it is opened: the one place that knows all of them."""

from collections.abc import Mapping

from harvest.draws.draw_evidence import DrawEvidence
from harvest.evidence.policy import TrialPolicy
from harvest.evidence.trial_test import AnyTest
from harvest.pairs.pair_evidence import PairEvidence
from routing.templates.trial import Mode, Terms

_TESTS: Mapping[Mode, type[AnyTest]] = {Mode.DRAW: DrawEvidence, Mode.SHADOW: PairEvidence}


def deciding_test(policy: TrialPolicy) -> type[AnyTest]:
    """The test that decides a trial with this policy."""
    return _TESTS[policy.mode]


def terms_of(policy: TrialPolicy) -> Terms:
    """What routing must know of a policy, with the first belief of the champion's mean."""
    first = deciding_test(policy).begin(policy)
    return Terms(
        policy=policy.to_json(),
        share=first.next_share,
        bet=first.next_bet,
        mode=policy.mode,
        strata=policy.strata,
        settle_deadline_seconds=policy.settle_deadline_seconds,
    )
