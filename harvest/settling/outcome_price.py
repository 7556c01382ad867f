"""What a change costs that was merged and not reverted: a ratio, with an interval that holds at every look.

The price is what all settled jobs of a version have spent, those that failed with them, over the changes that
stayed. Jobs that are open, or left out because the fault was not the agent's, are in neither.

Each end of the interval is a test by betting, as in `evidence` (Waudby-Smith & Ramdas 2024). Against "the
price is at most r" one bets on each job with the factor 1 + κ·(c/r - s), where c is what it has spent and s
is 1 for a change that stayed; against "at least r" with 1 - κ·(c - r·s)/most, where no job may cost more than
`most`. Both have an expectation of at most 1 if the claim is true. Jobs count in the order of their creation,
an open one at its worst, and the end is the last r that is rejected. The betting begins with the first job:
once earlier jobs are missing, each look would begin at another one, and no interval holds at every look.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from routing.cost import Cost
from routing.jobs.job import Job
from routing.jobs.signal import Signal, SignalKind

#: The chance with which either end is wrong, at all looks together.
LEVEL = 0.05

#: What a job may cost at most where its limits do not say: the upper ends hold for jobs up to that.
MOST_USD, MOST_TOKENS, MOST_MINUTES = 25.0, 20_000_000.0, 240.0

#: What is staked, with the same weight for each.
STAKES = (0.9, 0.4, 0.15, 0.05)
_FARTHEST, _HALVINGS = 1e4, 24


class ChangeEnding(StrEnum):
    """What became of a job, for the price of its version's changes."""

    KEPT = "kept"  # merged and not reverted
    FAILED = "failed"  # settled, and nothing of it stayed
    OPEN = "open"  # its score is not settled
    EXCLUDED = "excluded"  # the fault was not the agent's
    OTHER = "other"  # its result is not a change: it had no repository to push to


def ending_of(job: Job, signals: Sequence[Signal]) -> ChangeEnding:
    """By the job's settlement, and by the facts known since: a later revert takes a change away."""
    kinds = [fact.kind for fact in signals]
    if job.excluded:
        return ChangeEnding.EXCLUDED
    if job.settled_at is None:
        return ChangeEnding.OPEN
    if kinds.count(SignalKind.REVERTED) > kinds.count(SignalKind.REAPPLIED):
        return ChangeEnding.FAILED
    if SignalKind.MERGED in kinds or SignalKind.PUSHED_TO_MAIN in kinds:
        return ChangeEnding.KEPT
    return ChangeEnding.OTHER if SignalKind.FINISHED in kinds else ChangeEnding.FAILED


@dataclass(frozen=True, kw_only=True, slots=True)
class PricedJob:
    """A job with its ending; in the order of creation."""

    ending: ChangeEnding
    cost: Cost  # of all of its turns


@dataclass(frozen=True, kw_only=True, slots=True)
class SpendMeasure:
    """One way to count what is spent."""

    name: str
    amount: Callable[[Cost], float | None]  # of a job, as far as it is known; None: nothing is
    is_whole: Callable[[Cost], bool]  # whether all of it is known
    most: float  # that one job may cost, for the upper end


def measures(
    *, most_usd: float = MOST_USD, most_tokens: float = MOST_TOKENS, most_minutes: float = MOST_MINUTES
) -> tuple[SpendMeasure, ...]:
    """Dollars, tokens and minutes of agents. What a job may cost at most comes from its limits."""
    return (
        SpendMeasure(
            name="usd",
            amount=lambda cost: cost.known_usd if cost.turns else 0.0,
            is_whole=lambda cost: cost.is_whole,
            most=most_usd,
        ),
        SpendMeasure(
            name="tokens",
            amount=lambda cost: _tokens(cost) or (None if cost.turns else 0.0),
            is_whole=lambda cost: bool(_tokens(cost)) or not cost.turns,
            most=most_tokens,
        ),
        SpendMeasure(
            name="minutes",
            amount=lambda cost: cost.seconds / 60,
            is_whole=lambda _cost: True,
            most=most_minutes,
        ),
    )


def _tokens(cost: Cost) -> float:
    return float(cost.input_tokens + cost.output_tokens)


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    """What was spent in one measure, a change that stayed, and on failures. None is unknown, never 0."""

    spent: float | None  # by settled jobs, as far as it is known
    whole: bool  # whether all of it is known; else `spent`, `each` and `on_failures` are of the known part
    each: float | None  # spent for each change that stayed; None before the first
    lower: float | None  # the price is at least this; None, too, where earlier jobs are missing
    upper: float | None  # and at most this; None while it has no bound, and where not all is known
    on_failures: float | None  # the part of what was spent that went to failures, 0 to 1


@dataclass(frozen=True, kw_only=True, slots=True)
class MeanScore:
    """What a version's jobs are worth on average, in [0,1]."""

    value: float
    jobs: int  # that are settled and count
    lower: float | None  # the mean is at least this; None, too, where earlier jobs are missing
    upper: float | None  # and at most this

    def document(self) -> dict[str, Any]:
        """For scripts; what is unknown is null."""
        return {"mean": self.value, "jobs": self.jobs, "lower": self.lower, "upper": self.upper}


@dataclass(frozen=True, kw_only=True, slots=True)
class OutcomePrice:
    """The price of a version's, or an arm's, changes."""

    jobs: dict[ChangeEnding, int]  # how many ended how
    prices: dict[str, Price]  # by the name of the measure
    is_cut: bool = False  # whether earlier jobs are not in it; then no price has an interval
    score: MeanScore | None = None  # of the same jobs; None before the first, and where it was not asked for

    @property
    def settled(self) -> int:
        """Jobs that the prices are of."""
        return self.jobs[ChangeEnding.KEPT] + self.jobs[ChangeEnding.FAILED]

    def document(self) -> dict[str, Any]:
        """For scripts; what is unknown is null."""
        return {
            "changes": self.jobs[ChangeEnding.KEPT],
            "settled": self.settled,
            "open": self.jobs[ChangeEnding.OPEN],
            "excluded": self.jobs[ChangeEnding.EXCLUDED],
            "other": self.jobs[ChangeEnding.OTHER],
            "is_cut": self.is_cut,
            "score": None if self.score is None else self.score.document(),
            **{
                name: {
                    "spent": price.spent,
                    "whole": price.whole,
                    "per_change": price.each,
                    "lower": price.lower,
                    "upper": price.upper,
                    "on_failures": price.on_failures,
                }
                for name, price in self.prices.items()
            },
        }


def outcome_price(
    jobs: Sequence[PricedJob], measured: Sequence[SpendMeasure], *, is_cut: bool = False
) -> OutcomePrice:
    """The price of the changes of these jobs, which are in the order of their creation.

    `is_cut`: they are not all from the first on, so there are no intervals.
    """
    counts = {ending: sum(job.ending is ending for job in jobs) for ending in ChangeEnding}
    prices = {each.name: _price(jobs, each, bets=not is_cut) for each in measured}
    return OutcomePrice(jobs=counts, prices=prices, is_cut=is_cut)


def mean_score(scores: Sequence[float | None], *, is_cut: bool = False) -> MeanScore | None:
    """The mean of settled scores, in the order of their jobs' creation; None in it is a job that is open.

    Its ends are tests by betting as those of prices are, and an open job counts at its worst. None before the
    first settled one.
    """
    settled = [score for score in scores if score is not None]
    if not settled:
        return None
    mean = sum(settled) / len(settled)

    def is_above(floor: float) -> bool:
        return _reaches((score or 0.0) / floor - 1.0 for score in scores)

    def is_below(ceiling: float) -> bool:
        return _reaches(ceiling - (1.0 if score is None else score) for score in scores)

    near = max(mean, 0.01)
    lower = None if is_cut else _last(is_above, near / _FARTHEST, 1.0)
    upper = None if is_cut or not is_below(1.0) else _last(is_below, 1.0, near / _FARTHEST)
    return MeanScore(value=mean, jobs=len(settled), lower=lower, upper=upper)


def _price(jobs: Sequence[PricedJob], measure: SpendMeasure, *, bets: bool) -> Price:
    settled = [job for job in jobs if job.ending in {ChangeEnding.KEPT, ChangeEnding.FAILED}]
    amounts = [(job, measure.amount(job.cost)) for job in settled]
    known = [(job, amount) for job, amount in amounts if amount is not None]
    whole = all(measure.is_whole(job.cost) for job in settled)
    if not known:
        return Price(spent=None, whole=False, each=None, lower=None, upper=None, on_failures=None)
    spent = sum(amount for _, amount in known)
    kept = sum(job.ending is ChangeEnding.KEPT for job in settled)
    failed = sum(amount for job, amount in known if job.ending is ChangeEnding.FAILED)
    placed = [
        _Bet(
            cost=measure.amount(job.cost) or 0.0,
            kept=None if job.ending is ChangeEnding.OPEN else float(job.ending is ChangeEnding.KEPT),
        )
        for job in jobs
        if job.ending in {ChangeEnding.KEPT, ChangeEnding.FAILED, ChangeEnding.OPEN}
    ]
    fits = whole and all(bet.cost <= measure.most for bet in placed)
    return Price(
        spent=spent,
        whole=whole,
        each=spent / kept if kept else None,
        lower=_lower(placed, spent / max(kept, 1)) if bets else None,
        upper=_upper(placed, spent / kept, measure.most) if bets and kept and fits else None,
        on_failures=failed / spent if spent else None,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Bet:
    cost: float  # as far as it is known: a floor
    kept: float | None  # 1 for a change that stayed, else 0; None while the job is open


def _lower(bets: Sequence[_Bet], near: float) -> float | None:
    """The largest price of which "at most that" is rejected; an open job costs no more, and stays."""
    if near <= 0:
        return None

    def is_rejected(price: float) -> bool:
        return _reaches(bet.cost / price - (1.0 if bet.kept is None else bet.kept) for bet in bets)

    return _last(is_rejected, near / _FARTHEST, near * _FARTHEST)


def _upper(bets: Sequence[_Bet], near: float, most: float) -> float | None:
    """The smallest price of which "at least that" is rejected; an open job costs the most, for nothing."""
    if near <= 0:
        return None

    def is_rejected(price: float) -> bool:
        return _reaches(-1.0 if bet.kept is None else (price * bet.kept - bet.cost) / most for bet in bets)

    return _last(is_rejected, near * _FARTHEST, near / _FARTHEST)


def _last(is_rejected: Callable[[float], bool], sure: float, other: float) -> float | None:
    """The last price that is rejected on the way from the surest one; None if that is not."""
    if not is_rejected(sure):
        return None
    low, high = math.log(sure), math.log(other)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if is_rejected(math.exp(middle)) else (low, middle)
    return math.exp(low)


def _reaches(gains: Iterable[float]) -> bool:
    """Whether the mean wealth of all stakes ever reaches 1/LEVEL; a stake multiplies by 1 + stake * gain."""
    wealth = [1.0] * len(STAKES)
    enough = len(STAKES) / LEVEL
    for gain in gains:
        wealth = [each * (1.0 + stake * gain) for each, stake in zip(wealth, STAKES, strict=True)]
        if sum(wealth) >= enough:
            return True
    return False
