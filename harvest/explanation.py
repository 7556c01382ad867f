"""The table that explains a verdict: each job in the order of dispatch, its factors, and the evidence so far.

It computes the evidence a second time, straight from the definition and at a cost of O(jobs), so that a
person can check `evidence` by hand. The two agree up to the rounding of sums, which a test holds.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from harvest.ledger import Dispatched, Entry, Settlement
from harvest.policy import TrialPolicy
from harvest.segment import ZEROS, plus
from harvest.trial_evidence import TrialEvidence
from harvest.wager import Null, Triple, ln_mixture, wager


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What one job does to the evidence on one question."""

    factors: Triple  # of the job, per alternative; the worst case while it is open, 1 when left out
    factor: float  # by which it multiplies the mixed wealth
    ln_evidence: float  # largest mixed wealth after any prefix up to this job


@dataclass(frozen=True, kw_only=True, slots=True)
class ExplainedJob:
    """One job of a trial."""

    dispatched: Dispatched
    settlement: Settlement | None  # the one that counts; None while the job is open
    readings: Mapping[str, Reading] = field(default_factory=dict)  # by question, as in Decision.evidence

    @property
    def status(self) -> str:
        """`open`, or the kind of the settlement that counts."""
        return self.settlement.kind if self.settlement else "open"

    @property
    def score(self) -> float | None:
        """The score that counts."""
        return self.settlement.score if self.settlement else None


def explain(policy: TrialPolicy, ledger: Iterable[Entry]) -> list[ExplainedJob]:
    """Recompute a trial from its ledger, in one pass in dispatch order.

    The evidence on the last line is what `trial_evidence.advance` gives.
    """
    entries = list(ledger)
    counting = _counting(policy, entries)
    questions = _questions(policy)
    wealth = dict.fromkeys(questions, ZEROS)
    best = dict.fromkeys(questions, 0.0)
    lines = []
    for job in (entry for entry in entries if isinstance(entry, Dispatched)):
        settlement = counting.get(job.index)
        readings = {}
        for name, null in questions.items():
            ln_factors = _ln_factors(policy, name, null, job, settlement)
            before, wealth[name] = wealth[name], plus(wealth[name], ln_factors)
            best[name] = max(best[name], ln_mixture(wealth[name]))
            readings[name] = Reading(
                factors=(math.exp(ln_factors[0]), math.exp(ln_factors[1]), math.exp(ln_factors[2])),
                factor=math.exp(ln_mixture(wealth[name]) - ln_mixture(before)),
                ln_evidence=best[name],
            )
        lines.append(ExplainedJob(dispatched=job, settlement=settlement, readings=readings))
    return lines


def _questions(policy: TrialPolicy) -> dict[str, Null]:
    """The null of each question, by the name that decisions use for it."""
    begun = TrialEvidence.begin(policy)
    guardrails = {f"guardrail:{name}": evidence.null for name, evidence in begun.guardrails.items()}
    return {"worse": begun.worse.null, "not_worse": begun.not_worse.null, **guardrails}


def _counting(policy: TrialPolicy, entries: Iterable[Entry]) -> dict[int, Settlement]:
    """By job, the settlement that counts: the first final one, else the last provisional one.

    Strict policies ignore provisional ones.
    """
    counting: dict[int, Settlement] = {}
    for entry in entries:
        if isinstance(entry, Dispatched) or (entry.kind == "provisional" and policy.strict):
            continue
        if entry.index not in counting or not counting[entry.index].final:
            counting[entry.index] = entry
    return counting


def _ln_factors(
    policy: TrialPolicy, question: str, null: Null, job: Dispatched, settlement: Settlement | None
) -> Triple:
    """What a job multiplies the wealths by, in logarithms: its lowest factors while it is open."""
    guardrail = question.removeprefix("guardrail:") if question.startswith("guardrail:") else ""
    baseline = job.guardrail_baselines.get(guardrail, policy.prior_mean) if guardrail else job.baseline
    staked = wager(null, job.arm, job.share, baseline)
    if settlement is None:
        return staked.lowest
    score = _spent(policy, guardrail, settlement) if guardrail else settlement.score
    if settlement.score is None or (score is None and settlement.final):
        return ZEROS
    return staked.lowest if score is None else staked.ln_factors(score)


def _spent(policy: TrialPolicy, name: str, settlement: Settlement) -> float | None:
    """What the job spent on a guardrail, mapped to [0,1]; None when it is not known."""
    if name not in settlement.guardrails:
        return None
    found = next(guardrail for guardrail in policy.guardrails if guardrail.name == name)
    return found.score(settlement.guardrails[name])
