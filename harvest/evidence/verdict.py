"""The verdict on a trial: a pure function of the evidence, with its reasons in words.

Each question is answered when its evidence reaches 1/level. That the canary is worse is asked at level alpha;
that it spends more on a guardrail at alpha divided by the number of guardrails (Bonferroni), so that all
guardrails together err at most alpha; that it is not worse by delta at level beta. Evidence is valid at every
moment (see `evidence`), so deciding after every outcome costs no error rate.
"""

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from harvest.evidence.policy import TrialPolicy

_LARGEST_LN = 700.0


class Verdict(StrEnum):
    """What is to be done with the canary now. The values are stored, and known to `trial_advance`."""

    HOLD = "hold"
    GRADUATE = "graduate"
    ROLL_BACK = "roll_back"
    EXPIRE = "expire"


class Decision(BaseModel):
    """A verdict with everything that it was decided from."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    v: Literal[1] = 1  # form of this record
    verdict: Verdict
    reasons: tuple[str, ...]  # whole sentences
    evidence: dict[str, float] = Field(default_factory=dict)  # by question, from 1 upwards
    thresholds: dict[str, float] = Field(default_factory=dict)  # by question: evidence that answers it
    inputs: dict[str, float] = Field(default_factory=dict)  # canary_jobs, days, USD, and their limits


class Readings(BaseModel):
    """What the verdict is decided from: logarithms of evidence, and how long the trial has run."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    ln_worse: float  # evidence that the canary is worse
    ln_not_worse: float  # evidence that it is not worse by delta or more
    ln_guardrails: dict[str, float] = Field(default_factory=dict)  # that it spends more, by guardrail
    canary_jobs: int  # canary jobs that have a score; of pairs, those that were left out too
    elapsed_days: float  # since the trial was opened
    spent_usd: float = 0.0  # by its jobs, of both versions, as far as it is known
    turns: int = 0  # of these jobs
    unpriced_turns: int = 0  # of these turns: those whose dollars are not known, or not all
    alarms: tuple[
        str, ...
    ] = ()  # checks of its health that have fired, or a person's hold, in whole sentences
    doubts: tuple[str, ...] = ()  # those that hold a graduation alone


def decide(policy: TrialPolicy, readings: Readings) -> Decision:
    """Roll back before anything else, then graduate, then expire; else hold.

    When the evidence for both verdicts is there, the canary goes: a worse canary costs more than a lost
    chance. While a check of the trial's health has fired, or a person holds it, neither is carried out: the
    evidence is not to be acted on, whichever way it points; late scores alone hold a graduation only. The
    trial still ends at its limits.
    """
    ln_evidence = {
        "worse": readings.ln_worse,
        "not_worse": readings.ln_not_worse,
        **{f"guardrail:{name}": ln_value for name, ln_value in readings.ln_guardrails.items()},
    }
    thresholds = _thresholds(policy)
    reached = {name for name, value in ln_evidence.items() if value >= math.log(thresholds[name])}
    verdict, reasons = _judge(policy, readings, reached)
    return Decision(
        verdict=verdict,
        reasons=reasons,
        evidence={name: math.exp(min(value, _LARGEST_LN)) for name, value in ln_evidence.items()},
        thresholds=thresholds,
        inputs={
            "canary_jobs": readings.canary_jobs,
            "max_canary_jobs": policy.max_canary_jobs,
            "elapsed_days": readings.elapsed_days,
            "max_days": policy.max_days,
        }
        | (_of_budget(policy, readings) if policy.budget_usd else {}),
    )


def _of_budget(policy: TrialPolicy, readings: Readings) -> dict[str, float]:
    """What was spent is a floor while there are unpriced turns: unknown is not 0."""
    return {
        "spent_usd": readings.spent_usd,
        "turns": readings.turns,
        "unpriced_turns": readings.unpriced_turns,
        "budget_usd": policy.budget_usd,
    }


def _thresholds(policy: TrialPolicy) -> Mapping[str, float]:
    """Evidence that answers each question: 1/level. Guardrails share alpha between them."""
    names = [guardrail.name for guardrail in policy.guardrails]
    return {
        "worse": 1.0 / policy.alpha,
        "not_worse": 1.0 / policy.beta,
        **{f"guardrail:{name}": len(names) / policy.alpha for name in names},
    }


def _judge(policy: TrialPolicy, readings: Readings, reached: set[str]) -> tuple[Verdict, tuple[str, ...]]:
    """The verdict and why, given the questions whose evidence has reached its threshold."""
    rollback = _reasons_to_roll_back(policy, reached)
    holds = bool(readings.alarms) or bool(readings.doubts and not rollback)
    if holds and (rollback or "not_worse" in reached):
        expiry = _reasons_to_expire(policy, readings)
        held = ("No verdict is carried out until a person resumes the trial or stops it.",)
        why = (*readings.alarms, *readings.doubts, *(expiry or held))
        return (Verdict.EXPIRE if expiry else Verdict.HOLD), why
    if rollback:
        if "not_worse" in reached:
            rollback += ("The evidence would also allow graduation; when both are true the canary goes.",)
        return Verdict.ROLL_BACK, rollback
    if "not_worse" in reached:
        return Verdict.GRADUATE, (
            (
                f"The canary is not worse than the champion by {policy.delta:g} or more in mean score; "
                f"the chance of saying so of one that is, is at most {policy.beta:g}."
            ),
        )
    expiry = _reasons_to_expire(policy, readings)
    if expiry:
        return Verdict.EXPIRE, expiry
    return Verdict.HOLD, (
        *readings.alarms,
        *readings.doubts,
        f"After {readings.canary_jobs} canary jobs the evidence does not yet answer either question.",
    )


def _reasons_to_roll_back(policy: TrialPolicy, reached: set[str]) -> tuple[str, ...]:
    reasons = []
    if "worse" in reached:
        beyond = f" by more than {policy.margin:g}" if policy.margin else ""
        reasons.append(
            f"The canary's mean score is lower than the champion's{beyond}; "
            f"the chance of saying so of one that is not, is at most {policy.alpha:g}."
        )
    level = policy.alpha / max(len(policy.guardrails), 1)
    reasons.extend(
        f"The canary spends more than the champion on the guardrail {guardrail.name}; "
        f"the chance of saying so of one that does not, is at most {level:g}."
        for guardrail in policy.guardrails
        if f"guardrail:{guardrail.name}" in reached
    )
    return tuple(reasons)


def _reasons_to_expire(policy: TrialPolicy, readings: Readings) -> tuple[str, ...]:
    """The limits that are reached. The champion stays, as nothing was shown."""
    reasons = []
    ask = "neither question is answered, the champion stays, and a person is asked."
    if readings.canary_jobs >= policy.max_canary_jobs:
        reasons.append(
            f"{readings.canary_jobs} canary jobs have ended (limit {policy.max_canary_jobs}): {ask}"
        )
    if readings.elapsed_days >= policy.max_days:
        days = f"{readings.elapsed_days:.1f} days"
        reasons.append(f"The trial has been open for {days} (limit {policy.max_days:g}): {ask}")
    if 0.0 < policy.budget_usd <= readings.spent_usd:
        least = "at least " if readings.unpriced_turns else ""
        reasons.append(
            f"Its jobs have cost {least}{readings.spent_usd:.2f} USD (budget {policy.budget_usd:.2f}): {ask}"
        )
    return tuple(reasons)
