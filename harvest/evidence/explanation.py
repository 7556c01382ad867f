"""The table that explains a verdict: each unit in the order of dispatch, its factors, the evidence so far.

It computes the evidence a second time, straight from the definition and at a cost of O(units), so that a
person can check `evidence` by hand. The two agree up to the rounding of sums, which a test holds.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from harvest.evidence.evidence import OpenUnit
from harvest.evidence.ledger_line import AGED_KIND, SettlementLine
from harvest.evidence.policy import TrialPolicy
from harvest.evidence.segment import ZEROS, plus
from harvest.evidence.trial_test import AnyTest, Outcome, parted
from harvest.evidence.wager import Null, Triple

_GUARDRAIL = "guardrail:"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What one unit does to the evidence on one question."""

    factors: Triple  # of the unit, per alternative; the worst case while it is open, 1 when left out
    factor: float  # by which it multiplies the mixed wealth
    ln_evidence: float  # largest mixed wealth after any prefix up to this unit
    ln_wealth: Triple  # after this unit, per alternative: where the next one goes on


@dataclass(frozen=True, kw_only=True, slots=True)
class ExplainedUnit:
    """One job, or pair, of a trial. Its lines have the form of the trial's test."""

    dispatched: Any
    settlement: Any  # the one that counts; None while the unit is open
    score: float | None  # what it counts with; None while it is open and when it is left out
    readings: Mapping[str, Reading] = field(default_factory=dict)  # by question, as in Decision.evidence

    @property
    def status(self) -> str:
        """`open`, or the kind of the settlement that counts."""
        return str(self.settlement.kind) if self.settlement else "open"


def explain(
    test: type[AnyTest], policy: TrialPolicy, ledger: Iterable[object], *,
    known: Sequence[ExplainedUnit] = (),
) -> list[ExplainedUnit]:  # fmt: skip
    """Recompute a trial from its ledger, in one pass in dispatch order.

    The evidence on the last line is what `trial_test.advance` gives. `known` is what this gave for a shorter
    ledger of the same trial: units before the first about which something new is known are taken from there,
    and the result is the same.
    """
    dispatches, settlements = parted(test, ledger)
    settled = counting(policy, settlements)
    questions = _questions(test, policy)
    lines = list(takewhile(lambda unit: unit.settlement == settled.get(unit.dispatched.index), known))
    last = lines[-1].readings if lines else {}
    wealth = {name: last[name].ln_wealth if last else ZEROS for name in questions}
    best = {name: last[name].ln_evidence if last else 0.0 for name in questions}
    for line in dispatches[len(lines) :]:
        settlement = settled.get(line.index)
        outcome = None if settlement is None else test.outcome(policy, settlement)
        unit, guarded = test.units(policy, line)
        readings = {}
        for name, null in questions.items():
            guardrail = name.removeprefix(_GUARDRAIL) if name.startswith(_GUARDRAIL) else ""
            staked = guarded[guardrail] if guardrail else unit
            ln_factors = _ln_factors(staked, null, guardrail, settlement, outcome)
            before, wealth[name] = wealth[name], plus(wealth[name], ln_factors)
            best[name] = max(best[name], null.ln_mixture(wealth[name]))
            readings[name] = Reading(
                factors=(math.exp(ln_factors[0]), math.exp(ln_factors[1]), math.exp(ln_factors[2])),
                factor=math.exp(null.ln_mixture(wealth[name]) - null.ln_mixture(before)),
                ln_evidence=best[name],
                ln_wealth=wealth[name],
            )
        score = outcome.score if outcome else None
        lines.append(ExplainedUnit(dispatched=line, settlement=settlement, score=score, readings=readings))
    return lines


def _questions(test: type[AnyTest], policy: TrialPolicy) -> dict[str, Null]:
    """The null of each question, by the name that decisions use for it."""
    begun = test.begin(policy)
    guardrails = {f"{_GUARDRAIL}{name}": evidence.null for name, evidence in begun.guardrails.items()}
    return {"worse": begun.worse.null, "not_worse": begun.not_worse.null, **guardrails}


def counting(policy: TrialPolicy, settlements: Iterable[SettlementLine]) -> dict[int, SettlementLine]:
    """By unit, the settlement that counts: the first final one, else the last provisional one.

    Strict policies ignore provisional ones; that a unit is late settles nothing.
    """
    found: dict[int, SettlementLine] = {}
    for line in settlements:
        if line.kind == AGED_KIND or (not line.final and policy.strict):
            continue
        if line.index not in found or not found[line.index].final:
            found[line.index] = line
    return found


def _ln_factors(
    unit: OpenUnit, null: Null, guardrail: str, settlement: SettlementLine | None, outcome: Outcome | None
) -> Triple:
    """What a unit multiplies the wealths by, in logarithms: its lowest factors while it is open."""
    staked = unit.wager(null)
    if settlement is None or outcome is None:
        return staked.lowest
    score = outcome.guardrails.get(guardrail) if guardrail else outcome.score
    if outcome.score is None or (score is None and settlement.final):
        return ZEROS
    return staked.lowest if score is None else staked.ln_factors(score)
