"""Guardrails of a trial as tiles: what each watches, its state in words, both arms, and its limit. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from console.output.cost_views import usd
from console.output.rendering import duration
from console.output.rendering import evidence as evidence_words
from console.output.trials.guardrail_spending import GuardrailSpending, Spent
from routing.templates.trial import Arm

#: Progress to the threshold, in percent, from which a tile warns.
WARNS_AT = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmTile:
    """What one arm spends."""

    arm: str
    mean: str  # a job; "-" while nothing is known
    counted: str  # the sum, and of how many jobs


@dataclass(frozen=True, kw_only=True, slots=True)
class GuardrailTile:
    """One guardrail as it is shown."""

    name: str  # what is watched, in words
    state: str  # `ok`, `warning`, `problem`, or `pending` while nothing is known
    said: str  # that state in words
    arms: tuple[ArmTile, ...]
    limit: str
    evidence: str
    threshold: str
    progress: int  # 0 to 100


@dataclass(frozen=True, kw_only=True, slots=True)
class _Amount:
    """How an amount is written."""

    name: str
    words: Callable[[float], str]


_AMOUNTS: Mapping[str, _Amount] = {
    "cost_usd": _Amount(name="Dollars a job", words=lambda value: f"{usd(value)} USD"),
    "tokens": _Amount(name="Tokens a job", words=lambda value: f"{value:,.0f}"),
    "duration_seconds": _Amount(name="Time a job", words=lambda value: duration(value, units=2)),
    "fix_forwards": _Amount(name="Fix-forwards a job", words=lambda value: f"{value:.3g}"),
}

_SAID = {
    "pending": "nothing is known yet",
    "ok": "not shown to spend more",
    "warning": "evidence grows that it spends more",
    "problem": "the canary spends more",
}


def guardrail_tiles(
    found: Sequence[GuardrailSpending], progress: Callable[[float, float], int], *, unit: str
) -> list[GuardrailTile]:
    """One tile each. `progress` says how far evidence has come to its threshold; `unit`: job or pair."""
    return [_tile(each, progress(each.evidence, each.threshold), unit) for each in found]


def _tile(found: GuardrailSpending, progress: int, unit: str) -> GuardrailTile:
    amount = _AMOUNTS[found.guardrail.name]
    state = _state(found, progress)
    return GuardrailTile(
        name=amount.name,
        state=state,
        said=_SAID[state],
        arms=tuple(_arm(arm, found.spent[arm], amount, unit) for arm in (Arm.CHAMPION, Arm.CANARY)),
        limit=_limit(found, amount),
        evidence=evidence_words(found.evidence),
        threshold=f"{found.threshold:g}",
        progress=progress,
    )


def _state(found: GuardrailSpending, progress: int) -> str:
    if found.has_fired:
        return "problem"
    if not found.is_known:
        return "pending"
    return "warning" if progress >= WARNS_AT else "ok"


def _arm(arm: Arm, spent: Spent, amount: _Amount, unit: str) -> ArmTile:
    counted = f"{amount.words(spent.total)} in {spent.jobs} {unit}{'' if spent.jobs == 1 else 's'}"
    return ArmTile(
        arm=arm.value,
        mean="-" if spent.mean is None else amount.words(spent.mean),
        counted=counted if spent.jobs else f"no {unit} with a known amount",
    )


def _limit(found: GuardrailSpending, amount: _Amount) -> str:
    """What the test holds the canary to: amounts count up to the cap, and differ by the margin at most."""
    cap = amount.words(found.guardrail.cap)
    more = found.guardrail.margin * found.guardrail.cap
    may = f"may spend {amount.words(more)} more a job" if more else "may not spend more than the champion"
    return f"The canary {may}; what a job spends counts up to {cap}."
