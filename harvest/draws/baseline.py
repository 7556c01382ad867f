"""The champion's mean score so far, which the bets on the next job are computed from.

It only uses jobs that were settled before the next one is dispatched, so that a bet depends on nothing that
happens after it. A wrong baseline makes a test slower, never wrong: see `wager`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from pydantic import ConfigDict, FiniteFloat, NonNegativeInt

from harvest.evidence.policy import TrialPolicy


@dataclass(frozen=True, kw_only=True, slots=True)
class Sums:
    """Number and sum of scores, of settled jobs of the champion."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    jobs: NonNegativeInt = 0
    total: FiniteFloat = 0.0  # of their scores

    def add(self, score: float) -> "Sums":
        """Count one more job."""
        return Sums(jobs=self.jobs + 1, total=self.total + score)

    def mean(self, *, towards: float, weight: float) -> float:
        """Their mean, shrunk to `towards` as if `weight` more jobs had scored that."""
        return (self.total + towards * weight) / (self.jobs + weight)


@dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """The champion's sums: all jobs, by stratum, and by guardrail."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    overall: Sums = field(default_factory=Sums)
    strata: Mapping[str, Sums] = field(default_factory=dict)  # by name; never ""
    guardrails: Mapping[str, Sums] = field(default_factory=dict)  # of the mapped scores, by guardrail name

    def add(self, *, score: float, stratum: str, guardrails: Mapping[str, float]) -> Self:
        """Count a settled job of the champion; `guardrails` are its amounts, mapped to [0,1]."""
        strata = dict(self.strata)
        if stratum:
            strata[stratum] = strata.get(stratum, Sums()).add(score)
        spent = dict(self.guardrails)
        for name, mapped in guardrails.items():
            spent[name] = spent.get(name, Sums()).add(mapped)
        return replace(self, overall=self.overall.add(score), strata=strata, guardrails=spent)

    def of(self, policy: TrialPolicy, stratum: str = "") -> float:
        """The mean to freeze in a bet; a stratum's is shrunk to the overall mean.

        Rounded to 0.01, so that wagers repeat and can be cached.
        """
        mean = self.overall.mean(towards=policy.prior_mean, weight=policy.prior_weight)
        if stratum in self.strata:
            mean = self.strata[stratum].mean(towards=mean, weight=policy.stratum_weight)
        return round(mean, 2)

    def of_guardrail(self, policy: TrialPolicy, name: str) -> float:
        """The same for the mapped amounts of a guardrail."""
        sums = self.guardrails.get(name, Sums())
        return round(sums.mean(towards=policy.prior_mean, weight=policy.prior_weight), 2)
