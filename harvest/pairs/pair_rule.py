"""How a trial of pairs bets: the alternatives of both questions, their weights, and the first beliefs.

A rule belongs to the version of the trial's policy. A trial goes on, and is replayed, with what it was opened
with: a rule that stands here is never changed. Any rule keeps the error rates; they differ in how many pairs
they need, and in how often they are right between the edges (docs/evidence.md, "Measured").
"""

from collections.abc import Mapping
from dataclasses import dataclass

from harvest.evidence.policy import TrialPolicy
from harvest.evidence.wager import WEIGHTS, Null, Triple


@dataclass(frozen=True, kw_only=True, slots=True)
class Belief:
    """What is taken for the discordance before any pair is settled."""

    discordance: float  # in (0,1]
    pairs: float  # how many settled pairs it weighs


@dataclass(frozen=True, kw_only=True, slots=True)
class Bets:
    """What is bet on one question."""

    times: Triple  # the alternatives: multiples of delta beyond the edge of the null
    weights: Triple = WEIGHTS  # what part of the wealth each of them begins with


@dataclass(frozen=True, kw_only=True, slots=True)
class PairRule:
    """How pairs bet on both questions and on guardrails."""

    worse: Bets  # against "not worse", and that no more is spent
    better: Bets  # against "worse by delta"
    belief: Belief  # of the scores
    guardrail_belief: Belief  # of amounts: they differ less, so that `belief` would cost a fifth more pairs

    @classmethod
    def of(cls, policy: TrialPolicy) -> "PairRule":
        """The rule of a policy's version."""
        return _RULES[policy.v]

    def not_worse(self, *, margin: float, delta: float) -> Null:
        """H_R: E[d] >= -margin. Rejecting it means that the canary is worse."""
        return Null.not_worse(margin=margin, delta=delta, times=self.worse.times, weights=self.worse.weights)

    def at_most(self, gap: float, *, delta: float) -> Null:
        """E[d] <= gap; H_G where the gap is -delta. Rejecting it means that the canary is better."""
        return Null.at_most(gap, delta=delta, times=self.better.times, weights=self.better.weights)


_FIRST = PairRule(
    worse=Bets(times=(0.75, 1.5, 3.0)),
    better=Bets(times=(1.0, 2.0, 3.0)),
    belief=Belief(discordance=0.3, pairs=4.0),
    guardrail_belief=Belief(discordance=0.3, pairs=4.0),
)

#: By the version of a trial's policy.
_RULES: Mapping[int, PairRule] = {
    1: _FIRST,
    2: _FIRST,
    3: PairRule(
        worse=Bets(times=(0.7, 2.0, 3.5), weights=(0.55, 0.3, 0.15)),
        better=Bets(times=(0.9, 1.8, 3.0), weights=(0.49, 0.5, 0.01)),
        belief=Belief(discordance=0.5, pairs=12.0),
        guardrail_belief=Belief(discordance=0.3, pairs=4.0),
    ),
}
