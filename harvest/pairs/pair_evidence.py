"""The test of a trial by pairs: its unit is a pair, its outcome the canary's score less the champion's.

The bookkeeping is `TrialTest`'s. Here is what a pair stakes, the discordances that the next bets are computed
from, and what is counted.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from pydantic import ConfigDict

from harvest.evidence.arm_counts import ArmCounts
from harvest.evidence.evidence import Evidence
from harvest.evidence.health import Balance, HealthCheck, TrialHealth
from harvest.evidence.policy import TrialPolicy
from harvest.evidence.trial_test import Outcome, TrialTest
from harvest.evidence.wager import Null
from harvest.pairs.pair_counts import Discordance, PairCounts
from harvest.pairs.pair_ledger import PairDispatched, PairSettlement
from harvest.pairs.pair_rule import PairRule
from harvest.pairs.pair_wager import OpenPair
from routing.templates.trial import LATE_PART, Arm, PairBet

#: The chance of either half, where a coin chooses, or where nothing but chance should.
_COIN = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class PairEvidence(TrialTest[OpenPair, PairDispatched, PairSettlement]):
    """The state of the test of a trial by pairs."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    dispatch_line: ClassVar[type[Any]] = PairDispatched
    settlement_line: ClassVar[type[Any]] = PairSettlement
    unit_name: ClassVar[str] = "pair"

    worse: Evidence[OpenPair]  # as in TrialTest, like the next two; pydantic reads their kind of unit here
    not_worse: Evidence[OpenPair]
    guardrails: Mapping[str, Evidence[OpenPair]] = field(default_factory=dict)
    counts: PairCounts = field(default_factory=PairCounts)
    discordance: Discordance = field(default_factory=Discordance)
    guardrail_discordances: Mapping[str, Discordance] = field(default_factory=dict)  # by guardrail

    @classmethod
    def not_worse_null(cls, policy: TrialPolicy, *, margin: float) -> Null:
        """H_R with the alternatives of pairs."""
        return PairRule.of(policy).not_worse(margin=margin, delta=policy.delta)

    @classmethod
    def worse_null(cls, policy: TrialPolicy, *, gap: float) -> Null:
        """H_G with the alternatives of pairs."""
        return PairRule.of(policy).at_most(gap, delta=policy.delta)

    @classmethod
    def units(cls, policy: TrialPolicy, line: PairDispatched) -> tuple[OpenPair, Mapping[str, OpenPair]]:
        """One pair in all of them. A guardrail that the bet lacks starts from the belief."""
        frozen, belief = line.guardrail_discordances, PairRule.of(policy).guardrail_belief
        return OpenPair(index=line.index, discordance=line.discordance), {
            guardrail.name: OpenPair(
                index=line.index, discordance=frozen.get(guardrail.name, belief.discordance)
            )
            for guardrail in policy.guardrails
        }

    @classmethod
    def outcome(cls, policy: TrialPolicy, line: PairSettlement) -> Outcome:
        """The difference of the scores; and what the canary saved, where it is known on both sides."""
        if line.champion is None or line.canary is None:
            return Outcome(score=None)
        found: dict[str, float] = {}
        for guardrail in policy.guardrails:
            champion, canary = (
                spent.get(guardrail.name) for spent in (line.champion_spent, line.canary_spent)
            )
            if champion is not None and canary is not None:
                found[guardrail.name] = guardrail.score(canary) - guardrail.score(champion)
        return Outcome(score=line.canary - line.champion, guardrails=found)

    @classmethod
    def mean_difference(cls, scored: Sequence[tuple[OpenPair, float]]) -> tuple[float | None, int]:
        """The mean over the pairs; None before the first."""
        number = len(scored)
        return (sum(score for _, score in scored) / number if number else None), number

    @property
    def champion(self) -> ArmCounts:
        """Each pair has one job of the champion."""
        return self.counts.arm(self.counts.champion_total)

    @property
    def canary(self) -> ArmCounts:
        """Each pair has one job of the canary."""
        return self.counts.arm(self.counts.canary_total)

    @property
    def canary_jobs(self) -> int:
        """One a pair that has ended: those that were left out were paid for, too."""
        return self.counts.settled + self.counts.excluded

    @property
    def _is_whole(self) -> bool:
        return self.counts.dispatched == self.dispatched and self.counts.open == len(self.worse.open)

    @property
    def next_share(self) -> float:
        """The part of the issues that is given to both: the policy's, whatever the evidence says."""
        return self.policy.pair_share

    @property
    def bet(self) -> PairBet:
        """The bet to freeze for a pair that is dispatched now."""
        rule, known = PairRule.of(self.policy), self.guardrail_discordances
        return PairBet(
            discordance=self.discordance.value(rule.belief),
            guardrail_discordances={
                name: known.get(name, Discordance()).value(rule.guardrail_belief) for name in self.guardrails
            },
        )

    @property
    def next_bet(self) -> dict[str, str]:
        """The discordances of the settled pairs."""
        bet = self.bet
        return {
            "discordance": repr(bet.discordance),
            "guardrail_discordances": json.dumps(bet.guardrail_discordances),
        }

    @property
    def lacks_health(self) -> bool:
        """Each dispatch has a coin that its health watches, so that only a state of before has none."""
        return self.dispatched > 0 and not self.health.balances

    def _counting_dispatch(self, line: PairDispatched) -> Self:
        health = self._chosen(line).add(HealthCheck.DRAWS, line.first, _COIN)
        return replace(self, counts=self.counts.add_dispatched(), health=health)

    def _chosen(self, line: PairDispatched) -> TrialHealth:
        """What the choice of this issue for a pair says, and that of those since the last pair for none."""
        if line.unpaired is None:
            return self.health
        health, share = self.health, self.policy.pair_share
        known = health.balances.get(HealthCheck.PAIRED, Balance()).champion
        for _ in range(line.unpaired - known):
            health = health.add(HealthCheck.PAIRED, Arm.CHAMPION, share)
        return health.add(HealthCheck.PAIRED, Arm.CANARY, share)

    def _watched(self, line: PairSettlement) -> TrialHealth:
        """What the end of a pair says about the trial's health: what hit one of its halves alone.

        If all is well that is either half, with the same chance. An exclusion leaves out both, but one of
        them may be why: left out where it would have lost, a version would pass for a better one.
        """
        health = self._aged(line)
        if line.excluded_by is not None:
            health = health.add(HealthCheck.EXCLUSIONS, line.excluded_by, _COIN)
        if len(line.waited) == 1:
            health = health.add(HealthCheck.LIMITS, line.waited[0], _COIN)
        return health.closed(line.index)

    def _aged(self, line: PairSettlement) -> TrialHealth:
        """An open pair comes here when it is known that one half alone is late; so does each that ends."""
        late = LATE_PART * self.policy.settle_deadline_seconds
        ages = {Arm.CHAMPION: line.champion_age_seconds, Arm.CANARY: line.canary_age_seconds}
        aged = [arm for arm, age in ages.items() if age is not None and age >= late]
        return self.health.add_late(line.index, aged[0], _COIN) if len(aged) == 1 else self.health

    def _counting_settlement(self, line: PairSettlement, outcome: Outcome) -> Self:
        if outcome.score is None or line.champion is None or line.canary is None:
            return replace(self, counts=self.counts.add_excluded(), health=self._watched(line))
        spent = dict(self.guardrail_discordances)
        for name, difference in outcome.guardrails.items():
            spent[name] = spent.get(name, Discordance()).add(difference)
        return replace(
            self,
            counts=self.counts.add_settled(line.champion, line.canary),
            health=self._watched(line),
            discordance=self.discordance.add(outcome.score),
            guardrail_discordances=spent,
        )
