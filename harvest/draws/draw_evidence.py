"""The test of a trial by draw: its unit is a job of one arm, its outcome the job's score.

The bookkeeping is `TrialTest`'s. Here is what a drawn job stakes, the champion's baseline that the next bets
are computed from, and what is counted and watched for each arm.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from pydantic import ConfigDict

from harvest.draws.baseline import Baseline, Sums
from harvest.draws.draw_ledger import Dispatched, Settlement
from harvest.draws.draw_wager import OpenJob, draw_not_worse
from harvest.evidence.arm_counts import ArmCounts
from harvest.evidence.evidence import Evidence
from harvest.evidence.health import HealthCheck, TrialHealth
from harvest.evidence.policy import TrialPolicy, next_share, progress
from harvest.evidence.trial_test import Outcome, TrialTest
from harvest.evidence.wager import Null
from routing.templates.trial import LATE_PART, Arm, Bet


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawEvidence(TrialTest[OpenJob, Dispatched, Settlement]):
    """The state of the test of a trial by draw.

    `next_share`, `baseline` and `guardrail_baselines` are for the next bet.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    dispatch_line: ClassVar[type[Any]] = Dispatched
    settlement_line: ClassVar[type[Any]] = Settlement

    worse: Evidence[OpenJob]  # as in TrialTest, like the next two; pydantic reads their kind of unit here
    not_worse: Evidence[OpenJob]
    guardrails: Mapping[str, Evidence[OpenJob]] = field(default_factory=dict)
    baseline: Baseline = field(default_factory=Baseline)
    champion: ArmCounts = field(default_factory=ArmCounts)
    canary: ArmCounts = field(default_factory=ArmCounts)
    strata: Mapping[int, str] = field(default_factory=dict)  # of the champion's open jobs, by index

    @classmethod
    def not_worse_null(cls, policy: TrialPolicy, *, margin: float) -> Null:
        """H_R with the alternatives of the draw."""
        return draw_not_worse(policy, margin=margin)

    @classmethod
    def worse_null(cls, policy: TrialPolicy, *, gap: float) -> Null:
        """H_G with the alternatives of the draw."""
        return Null.at_most(gap, delta=policy.delta)

    @classmethod
    def units(cls, policy: TrialPolicy, line: Dispatched) -> tuple[OpenJob, Mapping[str, OpenJob]]:
        """One job in all of them. A guardrail that the bet lacks starts from the prior."""
        unit = OpenJob.of(line.index, line.bet)
        return unit, {
            guardrail.name: replace(
                unit, baseline=line.guardrail_baselines.get(guardrail.name, policy.prior_mean)
            )
            for guardrail in policy.guardrails
        }

    @classmethod
    def outcome(cls, policy: TrialPolicy, line: Settlement) -> Outcome:
        """The score, and the amounts that the policy's guardrails watch, as far as they are known."""
        return Outcome(
            score=line.score,
            guardrails={
                guardrail.name: guardrail.score(line.guardrails[guardrail.name])
                for guardrail in policy.guardrails
                if guardrail.name in line.guardrails
            },
        )

    @classmethod
    def mean_difference(cls, scored: Sequence[tuple[OpenJob, float]]) -> tuple[float | None, int]:
        """Of the means of both arms; None while one of them has no score. It rests on the smaller arm."""
        sums = dict.fromkeys(Arm, Sums())
        for job, score in scored:
            sums[job.arm] = sums[job.arm].add(score)
        champion, canary = sums[Arm.CHAMPION], sums[Arm.CANARY]
        if not champion.jobs or not canary.jobs:
            return None, 0
        value = canary.total / canary.jobs - champion.total / champion.jobs
        return value, min(canary.jobs, champion.jobs)

    @property
    def canary_jobs(self) -> int:
        """Canary jobs with a score, the open ones with a provisional score among them."""
        return self.canary.settled + sum(
            job.arm is Arm.CANARY and job.score is not None for job in self.worse.open
        )

    @property
    def lacks_health(self) -> bool:
        """Each dispatch is an event of its health, so that only a state of before has none."""
        return self.dispatched > 0 and not self.health.balances

    @property
    def _is_whole(self) -> bool:
        arms = (self.canary, self.champion)
        return (
            sum(arm.dispatched for arm in arms) == self.dispatched
            and sum(arm.open for arm in arms) == len(self.worse.open)
        )  # fmt: skip

    @property
    def next_share(self) -> float:
        """The share to compare the next draw to."""
        return next_share(
            self.policy,
            towards_graduation=progress(self.not_worse.ln_value, self.policy.beta),
            towards_rollback=progress(self.worse.ln_value, self.policy.alpha),
        )

    @property
    def next_bet(self) -> dict[str, str]:
        """The champion's means, overall and by stratum, and those of its guardrails."""
        found = {
            "baseline": repr(self.baseline.of(self.policy, "")),
            "guardrail_baselines": json.dumps(self.guardrail_baselines),
        }
        strata = {
            f"baseline:{name}": repr(self.baseline.of(self.policy, name)) for name in self.baseline.strata
        }
        return found | strata

    def bet(self, arm: Arm, *, share: float, stratum: str = "") -> Bet:
        """The bet to freeze for a job that is dispatched now."""
        stratum = stratum if self.policy.strata != "none" else ""
        return Bet(
            arm=arm,
            share=share,
            baseline=self.baseline.of(self.policy, stratum),
            stratum=stratum,
            guardrail_baselines=self.guardrail_baselines,
        )

    @property
    def guardrail_baselines(self) -> dict[str, float]:
        """The champion's mean per guardrail, mapped to [0,1], to freeze in the next bet."""
        return {name: self.baseline.of_guardrail(self.policy, name) for name in self.guardrails}

    def _counting_dispatch(self, line: Dispatched) -> Self:
        strata = dict(self.strata)
        if line.arm is Arm.CHAMPION and line.stratum:
            strata[line.index] = line.stratum
        return replace(
            self._counted(line.arm, ArmCounts.add_dispatched),
            strata=strata,
            health=self.health.add(HealthCheck.DRAWS, line.arm, line.share),
        )

    def _counting_settlement(self, line: Settlement, outcome: Outcome) -> Self:
        """Only the champion's scores move the baseline."""
        index, score = line.index, outcome.score
        arm = self.worse.unit(index).arm
        strata = {other: stratum for other, stratum in self.strata.items() if other != index}
        if score is None:
            count = ArmCounts.add_rerouted if line.kind == "rerouted" else ArmCounts.add_excluded
            return replace(self._counted(arm, count), strata=strata, health=self._watched(line))
        baseline = self.baseline
        if arm is Arm.CHAMPION:
            baseline = baseline.add(
                score=score, stratum=self.strata.get(index, ""), guardrails=outcome.guardrails
            )
        counted = self._counted(arm, lambda counts: counts.add_settled(score))
        return replace(counted, baseline=baseline, strata=strata, health=self._watched(line))

    def _counted(self, arm: Arm, count: Callable[[ArmCounts], ArmCounts]) -> Self:
        if arm is Arm.CANARY:
            return replace(self, canary=count(self.canary))
        return replace(self, champion=count(self.champion))

    def _watched(self, line: Settlement) -> TrialHealth:
        """What the end of an open job says about the trial's health. A rerouted job has left the trial."""
        if line.kind == "rerouted":
            return self.health.closed(line.index)
        job, health = self.worse.unit(line.index), self._aged(line)
        events = {HealthCheck.EXCLUSIONS: line.kind == "excluded", HealthCheck.LIMITS: line.waited}
        for check in (check for check, happened in events.items() if happened):
            health = health.add(check, job.arm, job.share)
        return health.closed(line.index)

    def _aged(self, line: Settlement) -> TrialHealth:
        job, age = self.worse.unit(line.index), line.age_seconds
        if age is None or age < LATE_PART * self.policy.settle_deadline_seconds:
            return self.health
        return self.health.add_late(line.index, job.arm, job.share)
