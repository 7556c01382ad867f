"""What each arm has spent of what a trial's guardrails watch, with the evidence on each. Pure.

Amounts are those that the evidence counts: of settled and provisional jobs, or of pairs with both amounts.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from console.output.trials.trial_status import TrialStatus
from harvest.evidence.explanation import ExplainedUnit
from harvest.evidence.policy import Guardrail
from harvest.pairs.pair_ledger import PairSettlement
from routing.templates.trial import Arm


@dataclass(frozen=True, kw_only=True, slots=True)
class Spent:
    """What the jobs of one arm have spent, of those whose amount is known."""

    total: float = 0.0  # USD, tokens, seconds or turns
    jobs: int = 0

    @property
    def mean(self) -> float | None:
        """A job; None while no amount is known."""
        return self.total / self.jobs if self.jobs else None


@dataclass(frozen=True, kw_only=True, slots=True)
class GuardrailSpending:
    """One guardrail of a trial."""

    guardrail: Guardrail
    evidence: float  # that the canary spends more
    threshold: float  # at which it is rolled back
    spent: Mapping[Arm, Spent]

    @property
    def is_known(self) -> bool:
        """Whether both arms have an amount."""
        return all(self.spent[arm].jobs for arm in Arm)

    @property
    def has_fired(self) -> bool:
        """Whether the evidence has reached its threshold."""
        return self.evidence >= self.threshold

    def document(self) -> dict[str, Any]:
        """For scripts; `mean` is null while no amount of an arm is known."""
        return {
            "name": self.guardrail.name,
            "cap": self.guardrail.cap,
            "margin": self.guardrail.margin,
            "evidence": self.evidence,
            "threshold": self.threshold,
            "arms": {
                arm.value: {"total": spent.total, "jobs": spent.jobs, "mean": spent.mean}
                for arm, spent in self.spent.items()
            },
        }


def guardrail_spending(status: TrialStatus, lines: Sequence[ExplainedUnit]) -> list[GuardrailSpending]:
    """Of every guardrail of the trial's policy, in its order; `lines` are all its jobs, or pairs."""
    decision = status.decision
    return [
        GuardrailSpending(
            guardrail=guardrail,
            evidence=decision.evidence[question],
            threshold=decision.thresholds[question],
            spent=spent_of(guardrail.name, lines),
        )
        for guardrail in status.evidence.policy.guardrails
        for question in [f"guardrail:{guardrail.name}"]
        if question in decision.evidence
    ]


def spent_of(name: str, lines: Sequence[ExplainedUnit]) -> dict[Arm, Spent]:
    """What each arm has spent of one thing, by the name of its guardrail."""
    totals, jobs = dict.fromkeys(Arm, 0.0), dict.fromkeys(Arm, 0)
    for line in lines:
        for arm, amount in _amounts(name, line):
            totals[arm] += amount
            jobs[arm] += 1
    return {arm: Spent(total=totals[arm], jobs=jobs[arm]) for arm in (Arm.CHAMPION, Arm.CANARY)}


def _amounts(name: str, line: ExplainedUnit) -> Iterator[tuple[Arm, float]]:
    """What one job, or both halves of a pair, have spent; nothing where the evidence leaves it out."""
    found = line.settlement
    if found is None or line.score is None:
        return
    if isinstance(found, PairSettlement):
        both = (found.champion_spent.get(name), found.canary_spent.get(name))
        for arm, amount in zip((Arm.CHAMPION, Arm.CANARY), both, strict=True):
            if amount is not None and None not in both:
                yield arm, amount
    elif name in found.guardrails:
        yield line.dispatched.arm, found.guardrails[name]
