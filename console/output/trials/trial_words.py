"""The words for trials: the same in `status`, `trial`, `demo`, `up` and the pages.

A job that was *dispatched* to an arm is *settled* when it has its score for good, and *excluded* when it
counts for neither arm, as the fault was not the agent's. It was *rerouted* when its canary was rejected
before it began. Until it is one of these it is *open*.
"""

from collections.abc import Sequence

from harvest.evidence.policy import TrialPolicy
from routing.templates.step import StepPlace
from routing.templates.trial import TrialState

#: States of trials in words.
STATES = {
    TrialState.OPEN: "open",
    TrialState.GRADUATED: "graduated",
    TrialState.ROLLED_BACK: "rolled back",
    TrialState.STOPPED: "stopped",
    TrialState.EXPIRED: "expired",
}


def state_words(state: TrialState) -> str:
    """A trial's state as people say it."""
    return STATES[state]


def questions(policy: TrialPolicy) -> Sequence[tuple[str, str]]:
    """What a trial asks: the name in its evidence, and the words, worse first."""
    return (("worse", worse_words(policy)), ("not_worse", f"not worse by {policy.delta:g}"))


def worse_words(policy: TrialPolicy) -> str:
    """The first question, with the margin if there is one."""
    return f"worse by more than {policy.margin:g}" if policy.margin else "worse"


def error_words(policy: TrialPolicy, place: StepPlace) -> str:
    """How often a step, and the whole way, errs at most; "" where there is one step.

    `policy` is that of the step, whose alpha is its part of the way's.
    """
    if place.total == 1:
        return ""
    return (
        f"rolled back wrongly with a chance of {policy.alpha:.3g} at most in this step and of "
        f"{policy.alpha * place.total:.3g} on the whole way; graduated wrongly with {policy.beta:.3g} there"
    )
