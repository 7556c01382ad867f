"""The share of the next draw: fixed, or following the evidence."""

import math

from harvest.policy import TrialPolicy

#: Shares of the second and third step of the ramp; the first is the policy's own share.
SECOND_SHARE = 0.30
THIRD_SHARE = 0.50
#: Progress towards graduation at which the second and the third step begin.
SECOND_STEP = 0.1
THIRD_STEP = 0.3
#: Progress towards rollback above which the share falls back to the first step.
RETREAT = 0.3


def progress(ln_evidence: float, level: float) -> float:
    """How far the evidence is on its way, on the scale of logarithms: 0 is nothing, 1 is a verdict."""
    return ln_evidence / math.log(1.0 / level)


def next_share(policy: TrialPolicy, *, towards_graduation: float, towards_rollback: float) -> float:
    """The share to compare the next draw to; both arguments are `progress`."""
    if not policy.ramp or towards_rollback > RETREAT or towards_graduation < SECOND_STEP:
        return policy.share
    step = SECOND_SHARE if towards_graduation < THIRD_STEP else THIRD_SHARE
    return max(policy.share, step)
