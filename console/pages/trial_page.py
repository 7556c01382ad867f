"""What the pages show of a trial: one sentence, how far each question is, the arms, and the ledger. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from console.output.rendering import duration, number, when
from console.output.rendering import evidence as evidence_words
from console.output.trials.difference_words import (
    difference_cell,
    difference_words,
    group_cell,
    groups_meaning,
    signed,
)
from console.output.trials.guardrail_spending import guardrail_spending
from console.output.trials.pair_picture import pairs_document
from console.output.trials.price_words import prices_shown
from console.output.trials.trial_explanation import NO_GROUPS, Groups, explanation_document
from console.output.trials.trial_status import TrialStatus, spent_words
from console.output.trials.trial_words import error_words, questions, state_words
from console.pages.guardrail_tiles import guardrail_tiles
from console.pages.pictures.difference_plot import difference_plot, step_words
from console.pages.pictures.evidence_plot import evidence_plot
from console.pages.pictures.share_plot import share_plot, share_steps
from console.pages.trial_checks import health_lines, verdict_needs
from harvest.evidence.difference import DifferenceStep
from harvest.evidence.explanation import ExplainedUnit

#: What becomes of a trial when a question is answered.
_THEN = {"worse": "rolled back", "not_worse": "graduated"}


#: Settled jobs, and evidence, below which nobody can say how many are to go; and how many are too many.
LEAST_SETTLED, LEAST_EVIDENCE, MOST_TO_GO = 10, 1.5, 2_000

#: The unit of which both arms have each one.
PAIR = "pair"

#: Changes of the share in their table, the newest.
MOST_SHARES = 50

#: To what a number of jobs to go is rounded, below how many.
_STEPS = ((50, 5), (200, 10), (MOST_TO_GO + 1, 50))


@dataclass(frozen=True, kw_only=True, slots=True)
class Gauge:
    """How far a number has come to its threshold."""

    name: str
    said: str  # in words
    value: str
    threshold: str
    progress: int  # 0 to 100; for evidence on a logarithmic scale, as it is a product
    then: str = ""  # what happens at the threshold
    to_go: str = ""  # about how many jobs or pairs that takes, if it goes on as so far; "" while unknown


def trial_line(status: TrialStatus) -> dict[str, Any]:
    """A trial in a line of a table."""
    settled = _settled(status)
    return {
        "id": status.trial.id,
        "canary": status.trial.canary_id,
        "champion": status.trial.champion_id,
        "share": f"{status.trial.share:g}",
        "settled": settled,
        "difference": difference_cell(status.difference),
        "questions": _gauges(status)[:2],
    }


def trial_page(
    status: TrialStatus, lines: Sequence[ExplainedUnit], groups: Groups = NO_GROUPS,
    course: Sequence[DifferenceStep] = (), *, most: int, plan: str = "",
) -> dict[str, Any]:  # fmt: skip
    """What the page of a trial shows; its ledger has the last `most` jobs; `plan`: what it will take."""
    trial, asked = status.trial, questions(status.evidence.policy)
    shown = explanation_document(status, lines[-most:] if most else [])["jobs"]
    prices = {arm.value: each for arm, each in status.prices.items()}
    return {
        "now": status.at,
        "trial": trial,
        "sentence": sentence(status),
        "errors": error_words(status.evidence.policy, trial.place),
        "plan": plan,
        "reasons": status.reasons,
        "is_held": status.is_held,
        "unread": status.unread if trial.is_open else 0,
        "plot": evidence_plot(lines, status.decision.thresholds, asked),
        "difference_plot": difference_plot(course, lines, status.evidence.policy.delta),
        "course": [(each.unit, step_words(each)) for each in course],
        "share_plot": share_plot(lines, trial.share),
        "shares": share_steps(lines, trial.share)[-MOST_SHARES:],
        "needs": verdict_needs(status),
        "health": health_lines(status),
        "questions": _gauges(status),
        "guardrails": guardrail_tiles(
            guardrail_spending(status, lines), progress, unit=status.evidence.unit_name
        ),
        "limits": _limits(status),
        "arms": _arms(status),
        "unit": status.evidence.unit_name,
        "difference": difference_words(status.difference),
        "groups": {
            kind: [(each, group_cell(each), signed(each.shrunk)) for each in found]
            for kind, found in groups.items()
        },
        "many_looks": groups_meaning(each for found in groups.values() for each in found),
        **prices_shown(prices, judged=bool(pairs_document(status.evidence))),
        "pairs": pairs_document(status.evidence),
        "outlook": status.outlook.words(status.at),
        "about": _about(status),
        "lines": shown,
        "earlier": len(lines) - len(shown),
    }


def sentence(status: TrialStatus) -> str:
    """The trial in one sentence: how it ended, or which question is nearer to its answer."""
    trial = status.trial
    pair = f"{trial.canary_id} against {trial.champion_id}"
    if not trial.is_open:
        return f"{pair}: {state_words(trial.state)} after {duration(status.age_seconds, units=1)}."
    nearest = max(_gauges(status)[:2], key=lambda gauge: gauge.progress)
    if not nearest.progress:
        return f"{pair}: nothing speaks for a decision yet."
    to_go = f", {nearest.to_go} if it goes on as so far" if nearest.to_go else ""
    return (
        f"{pair}: the evidence that the canary is {nearest.said} is {nearest.value}; "
        f"it is {nearest.then} at {nearest.threshold}{to_go}."
    )


def _gauges(status: TrialStatus) -> list[Gauge]:
    """The two questions, worse first, then guardrails."""
    asked = dict(questions(status.evidence.policy))
    unit = status.evidence.unit_name
    settled = status.evidence.canary.settled if unit == PAIR else _settled(status)
    return [
        Gauge(
            name=name,
            said=asked.get(name, name.replace("guardrail:", "spends more: ").replace("_", " ")),
            value=evidence_words(value),
            threshold=f"{threshold:g}",
            progress=progress(value, threshold),
            then=_THEN.get(name, "rolled back"),
            to_go=to_go(value, threshold, settled, unit) if status.trial.is_open else "",
        )
        for name, value in status.decision.evidence.items()
        for threshold in [status.decision.thresholds[name]]
    ]


def to_go(value: float, threshold: float, settled: int, unit: str) -> str:
    """About how many more jobs or pairs an answer takes, in words, if evidence grows as so far.

    Evidence is a product, so its logarithm grows by about the same with each. "" while too little is known to
    say so, for more than MOST_TO_GO, and when there is an answer.
    """
    if settled < LEAST_SETTLED or not LEAST_EVIDENCE <= value < threshold:
        return ""
    left = settled * (math.log(threshold) / math.log(value) - 1)
    if left > MOST_TO_GO:
        return ""
    step = next(step for most, step in _STEPS if left < most)
    return f"about {max(step, round(left / step) * step)} {unit}s to go"


def _settled(status: TrialStatus) -> int:
    return status.evidence.champion.settled + status.evidence.canary.settled


def progress(value: float, threshold: float) -> int:
    """How far evidence has come from 1 to its threshold, in percent, on a logarithmic scale."""
    part = math.log(max(value, 1.0)) / math.log(threshold) if threshold > 1 else 1.0
    return int(100 * min(max(part, 0.0), 1.0))


def _limits(status: TrialStatus) -> list[Gauge]:
    """The limits after which a trial without an answer expires."""
    inputs = status.decision.inputs
    limits = (
        ("canary_jobs", "canary jobs ended", "max_canary_jobs"),
        ("elapsed_days", "days open", "max_days"),
        ("spent_usd", "USD spent", "budget_usd"),
    )
    return [
        Gauge(
            name=name,
            said=said,
            value=spent_words(inputs) if name == "spent_usd" else f"{inputs[name]:.3g}",
            threshold=f"{inputs[most]:g}",
            progress=int(100 * min(inputs[name] / inputs[most], 1.0)) if inputs[most] else 100,
        )
        for name, said, most in limits
        if name in inputs
    ]


def _arms(status: TrialStatus) -> list[dict[str, Any]]:
    trial, evidence = status.trial, status.evidence
    both = (("champion", trial.champion_id, evidence.champion), ("canary", trial.canary_id, evidence.canary))
    return [
        {"name": name, "version": version, "counts": counts, "cost": status.cost(name)}
        for name, version, counts in both
    ]


def _about(status: TrialStatus) -> list[tuple[str, str]]:
    trial, policy = status.trial, status.evidence.policy
    found = [
        ("step", trial.place.whole),
        ("share of new jobs", f"{trial.share:g}{', follows the evidence' if policy.ramp else ''}"),
        ("opened", when(trial.opened_at)),
        ("closed", when(trial.closed_at)),
        ("reason", trial.reason),
        ("errors", f"at most {policy.alpha:g} to roll back wrongly, {policy.beta:g} to graduate wrongly"),
        ("margins", f"worse by more than {number(policy.margin)}; not worse by {policy.delta:g}"),
        ("let go on", ", ".join(trial.released)),
    ]
    return [(label, value) for label, value in found if value]
