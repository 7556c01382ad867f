"""What a way of several steps takes, before it is begun: the sums over its steps. Pure.

A step is begun only when those before it were passed. So each counts with the chance that it is reached: a
version that is worse seldom comes to the steps that cost issues and exposure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from harvest.draws.draw_plan import plan
from harvest.evidence.policy import TrialPolicy
from harvest.trials.mode_plan import ModePlan, Pace, plan_backtest, plan_draw, plan_shadow
from harvest.trials.ways import policy_of_step
from routing.templates.step import StepKind, Steps


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedStep:
    """One step of a way, for one difference of the canary."""

    reached: float  # chance that it is begun
    plan: ModePlan  # once it is


@dataclass(frozen=True, kw_only=True, slots=True)
class WayPlan:
    """What to expect of a whole way, for one difference of the canary."""

    steps: tuple[PlannedStep, ...]
    whole: ModePlan  # the sums, each step with its chance


def plan_way(policy: TrialPolicy, steps: Steps, *, baseline: float, difference: float, pace: Pace) -> WayPlan:
    """Simulate each step with its part of the chance of rolling back wrongly.

    A backtest is planned as if there were cases enough.
    """
    found: list[PlannedStep] = []
    reached = 1.0
    for at, step in enumerate(steps, start=1):
        own = policy_of_step(policy, steps, at)
        planned = _of_step(own, step, baseline=baseline, difference=difference, pace=pace)
        found.append(PlannedStep(reached=reached, plan=planned))
        reached *= planned.graduate
    return WayPlan(steps=tuple(found), whole=_whole(found, graduate=reached))


def _of_step(
    policy: TrialPolicy, step: StepKind, *, baseline: float, difference: float, pace: Pace
) -> ModePlan:
    if step is StepKind.DRAW:
        return plan_draw(plan(policy=policy, baseline=baseline, difference=difference), policy.share, pace)
    planned = plan_backtest if step is StepKind.BACKTEST else plan_shadow
    return planned(policy, baseline=baseline, difference=difference, pace=pace)


def _whole(steps: Sequence[PlannedStep], *, graduate: float) -> ModePlan:
    plans = [step.plan for step in steps]

    def expected(values: Sequence[float]) -> float:
        return sum(step.reached * value for step, value in zip(steps, values, strict=True))

    def known(values: Sequence[float | None]) -> float | None:
        """Unknown as soon as one step is."""
        whole = [value for value in values if value is not None]
        return expected(whole) if len(whole) == len(values) else None

    return ModePlan(
        mode="way", share=1.0, difference=plans[0].difference,
        issues=expected([each.issues for each in plans]), runs=expected([each.runs for each in plans]),
        exposed=expected([each.exposed for each in plans]),
        roll_back=expected([each.roll_back for each in plans]), graduate=graduate,
        undecided=expected([each.undecided for each in plans]), usd=known([each.usd for each in plans]),
        extra_usd=known([each.extra_usd for each in plans]), days=known([each.days for each in plans]),
    )  # fmt: skip
