"""What the command line prints of trials: their arms, their evidence and their verdicts.

Verdicts come from `harvest`; here they are put into words. `status` shows what the evidence says now, and
an open trial is decided by the next harvest, not by looking at it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from console.output.cost_views import cost_cell, cost_document
from console.output.rendering import (
    Prose,
    bar,
    duration,
    evidence,
    facts,
    heading,
    iso,
    number,
    table,
    text,
    when,
    word,
)
from console.output.trials.difference_words import difference_cell, difference_words
from console.output.trials.pair_picture import MODES, pairs_document, pairs_view
from console.output.trials.price_words import prices_view
from console.output.trials.trial_outlook import NOTHING_OPEN, TrialOutlook
from console.output.trials.trial_words import error_words, questions, state_words
from harvest.evidence.arm_counts import ArmCounts
from harvest.evidence.difference import Difference
from harvest.evidence.health import released_checks
from harvest.evidence.policy import TrialPolicy
from harvest.evidence.trial_test import AnyTest
from harvest.evidence.verdict import Decision
from harvest.settling.outcome_price import OutcomePrice
from routing.cost import NO_COST, Cost
from routing.templates.trial import Arm, Mode, Trial

#: Counts of an arm, in the order of the columns; the names are keys of `--json`.
_COUNTS = ("dispatched", "settled", "open", "excluded", "rerouted")
_SECONDS_A_DAY = 86_400.0


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialStatus:
    """A trial with its evidence, read at the same time.

    For a closed trial the evidence is what is stored now, while `verdict` and `reasons` are those that it
    ended with.
    """

    trial: Trial
    evidence: AnyTest
    decision: Decision  # from the evidence now; for a closed trial, `trial.review` has the one that counted
    costs: Mapping[str, Cost]  # of its jobs, by arm; none for an arm without a turn
    outlook: TrialOutlook  # what becomes of its open jobs
    prices: Mapping[Arm, OutcomePrice]  # of changes that stayed; empty where it was not asked for
    difference: Difference | None  # of the evidence now; None where it was not asked for
    at: float  # when it was read, seconds since the epoch
    age_seconds: float  # from its opening to its end, or to now

    @property
    def verdict(self) -> str:
        """The verdict now, or how the trial ended."""
        return self.decision.verdict.value if self.trial.is_open else self.trial.state.value

    @property
    def reasons(self) -> list[str]:
        """The reasons of that verdict, in sentences."""
        if self.trial.is_open:
            return list(self.decision.reasons)
        review = json.loads(self.trial.review) if self.trial.review else {}
        return [str(reason) for reason in review.get("reasons", ())] or [self.trial.reason]

    @property
    def is_held(self) -> bool:
        """Whether checks of its health, or a person, keep its verdict from being carried out."""
        fired = self.evidence.health.alarms(released=released_checks(self.trial))
        return self.trial.is_open and (bool(fired) or self.trial.hold is not None)

    @property
    def unread(self) -> int:
        """How many jobs were drawn since the last harvest, which the evidence does not have yet.

        Not 0 for long means that no worker harvests, or that the harvest fails.
        """
        drawn = self.trial.dispatched
        if self.trial.mode is Mode.SHADOW:  # a pair is one job of each arm
            return drawn[Arm.CANARY] - self.evidence.dispatched
        return sum(drawn.values()) - self.evidence.dispatched

    def cost(self, arm: str) -> Cost:
        """What the turns of an arm's jobs have cost."""
        return self.costs.get(arm, NO_COST)

    def document(self) -> dict[str, Any]:
        """A status for scripts; `next_share` is null once the trial is closed."""
        return trial_document(self.trial) | {
            "verdict": self.verdict,
            "reasons": self.reasons,
            "evidence": dict(self.decision.evidence),
            "thresholds": dict(self.decision.thresholds),
            "inputs": dict(self.decision.inputs),
            "arms": {
                "canary": _arm(self.evidence.canary, self.cost("canary"), self.prices.get(Arm.CANARY)),
                "champion": _arm(
                    self.evidence.champion, self.cost("champion"), self.prices.get(Arm.CHAMPION)
                ),
            },
            "outlook": self.outlook.document(),
            "difference": None if self.difference is None else self.difference.document(),
            "pairs": pairs_document(self.evidence),
            "next_share": self.trial.share if self.trial.is_open else None,
            "age_seconds": round(self.age_seconds, 3),
            "drawn_since_last_harvest": self.unread,
        }


def trial_document(trial: Trial) -> dict[str, Any]:
    """A trial for scripts, without its evidence. `reason` is "" while it is open."""
    return {
        "id": trial.id,
        "template": trial.template,
        "champion": trial.champion_id,
        "canary": trial.canary_id,
        "state": trial.state.value,
        "mode": trial.mode.value,
        "step": trial.place.document(),
        "share": trial.share,
        "opened_at": iso(trial.opened_at),
        "closed_at": iso(trial.closed_at),
        "reason": trial.reason,
        "held_by": list(trial.alarms),
        "hold": None
        if trial.hold is None
        else {"by": trial.hold.by, "reason": trial.hold.reason, "at": iso(trial.hold.at)},
        "released": list(trial.released),
        "contradicted": trial.contradicted,
        "policy": TrialPolicy.from_json(trial.policy).model_dump(mode="json"),
    }


def status_of(
    trial: Trial, found: AnyTest, now: float, costs: Mapping[str, Cost] = MappingProxyType({}),
    outlook: TrialOutlook = NOTHING_OPEN, *, difference: Difference | None = None,
    prices: Mapping[Arm, OutcomePrice] = MappingProxyType({}),
) -> TrialStatus:  # fmt: skip
    """The status of a trial at `now`, in seconds since the epoch by the server's clock.

    The verdict is computed here from the evidence and the trial's age, without storing it.
    """
    age = (trial.closed_at or now) - trial.opened_at
    return TrialStatus(
        trial=trial,
        evidence=found,
        costs=costs,
        outlook=outlook,
        difference=difference,
        prices=prices,
        at=now,
        decision=found.decide(
            elapsed_days=age / _SECONDS_A_DAY,
            spent=sum(costs.values(), NO_COST),
            released=released_checks(trial),
            hold=trial.hold if trial.is_open else None,
        ),
        age_seconds=age,
    )


def budget_words(inputs: Mapping[str, float]) -> str:
    """`3.20 of 5 USD spent`; `≥` where some dollars are unknown, `?` where all are; "" without a budget."""
    if "budget_usd" not in inputs:
        return ""
    return f"{spent_words(inputs)} of {inputs['budget_usd']:g} USD spent"


def spent_words(inputs: Mapping[str, float]) -> str:
    """What was spent of a budget, as far as it is known."""
    turns, unpriced = inputs.get("turns", 0), inputs.get("unpriced_turns", 0)
    return cost_cell(Cost(turns=int(max(turns, unpriced, 1)), usd=inputs["spent_usd"], unknown=int(unpriced)))


def status_view(statuses: Sequence[TrialStatus]) -> Iterator[RenderableType]:
    """Statuses for people, one after the other, or what to do when there is none."""
    if not statuses:
        yield "No trial is open; open one with `coalmine trial open NAME@vN`, or see `coalmine trial list`."
    for place, status in enumerate(statuses):
        if place:
            yield ""
        yield from trial_view(status)


def trial_view(status: TrialStatus) -> Iterator[RenderableType]:
    """One status for people: the trial, its arms, the evidence with its thresholds, and the verdict."""
    trial, policy = status.trial, status.evidence.policy
    follows = policy.ramp and trial.mode is Mode.DRAW
    yield facts(
        [
            ("trial", heading(trial.id)),
            ("state", word(trial.state, state_words(trial.state))),
            ("canary", f"{trial.canary_id} against {trial.champion_id}"),
            ("mode", MODES[trial.mode]),
            ("step", trial.place.whole),
            ("errors", error_words(policy, trial.place)),
            ("share", f"{trial.share:g}{', follows the evidence' if follows else ''}"),
            ("opened", f"{when(trial.opened_at)} ({duration(status.age_seconds)})"),
            ("closed", when(trial.closed_at)),
            ("budget", budget_words(status.decision.inputs)),
            (
                "scores",
                policy.scoring
                if policy.strict
                else "provisional: the error rates are not guaranteed when reverts hit one arm more",
            ),
        ]
    )
    yield ""
    yield _arms(status)
    yield from pairs_view(status.evidence)
    if words := difference_words(status.difference):
        yield ""
        yield Prose(words)
    if any(price.settled for price in status.prices.values()):
        yield ""
        yield from prices_view("arm", {arm.value: each for arm, each in status.prices.items()}, none="")
    if open_words := status.outlook.words(status.at):
        yield Prose(f"Open: {open_words}.")
    yield ""
    yield _evidence(status)
    yield ""
    yield text(f"verdict: {status.verdict.replace('_', ' ')}", "bold")
    for reason in status.reasons:
        yield Prose(f"  {reason}")
    if status.is_held:
        yield text(f"  Go on with `coalmine trial resume {trial.id}`, or end it with `trial stop`.", "yellow")
    if trial.released:
        yield text(f"  A person let it go on although this was found: {', '.join(trial.released)}.", "dim")
    if trial.contradicted:
        yield text("  Signals after the verdict no longer support it.", "red")
    if status.unread > 0:
        yield text(
            f"  {status.unread} more {status.evidence.unit_name}s were drawn since the last harvest.", "dim"
        )


def trials_view(
    trials: Sequence[Trial], differences: Mapping[str, Difference | None] = MappingProxyType({})
) -> RenderableType:
    """Trials for people, one a line; `differences` by the trial's id, as far as they are known."""
    if not trials:
        return "There are no trials yet; open one with `coalmine trial open NAME@vN`."
    return table(
        (
            "!trial",
            "!canary",
            "!champion",
            "!state",
            "?!step",
            ">share",
            "?!difference",
            "?!opened",
            "?!closed",
        ),
        (
            (
                trial.id,
                trial.canary_id,
                trial.champion_id,
                word(trial.state, state_words(trial.state)),
                f"{trial.place.number} of {trial.place.total}",
                f"{trial.share:g}",
                difference_cell(differences.get(trial.id)),
                when(trial.opened_at),
                when(trial.closed_at) or "-",
            )
            for trial in trials
        ),
    )


def _arms(status: TrialStatus) -> RenderableType:
    """How many jobs each arm has in each state, and what they cost. The mean is over settled jobs."""
    state = status.evidence
    rows: list[list[str | Text]] = [
        [
            word(name),
            *(str(getattr(arm, count)) for count in _COUNTS),
            number(arm.mean, 3),
            cost_cell(status.cost(name)),
        ]
        for name, arm in (("champion", state.champion), ("canary", state.canary))
    ]
    columns = ("arm", *(f">{name}" for name in _COUNTS), ">mean score", "?>USD")
    return table(columns, rows)


def _evidence(status: TrialStatus) -> RenderableType:
    """Each question of the test with its evidence; a threshold that is reached decides."""
    decision, asked = status.decision, dict(questions(status.evidence.policy))
    rows = [
        (
            asked.get(name, name.replace("guardrail:", "spends more: ")),
            bar(value, decision.thresholds[name]),
            evidence(value),
            f"{decision.thresholds[name]:g}",
        )
        for name, value in decision.evidence.items()
    ]
    return table(("evidence that it is", "?on the way to the threshold", ">now", ">threshold"), rows)


def _arm(counts: ArmCounts, cost: Cost, price: OutcomePrice | None) -> dict[str, Any]:
    """The counts of an arm for JSON, its cost and price; `mean` is null before its first score."""
    return {name: getattr(counts, name) for name in (*_COUNTS, "mean")} | {
        "cost": cost_document(cost),
        "price": None if price is None else price.document(),
    }
