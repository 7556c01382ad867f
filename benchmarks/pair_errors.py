"""Error rates of the paired test in every cell: verdicts and guardrails, prompt and late outcomes.

Late outcomes are late by the canary's own outcome, in either direction: those that look good come later than
those that look bad, or the other way round.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from benchmarks.delays import FAST, SLOW, moments_of_verdict
from benchmarks.pairs import (
    CELLS,
    OPEN,
    RULE,
    PairCell,
    PairsEnding,
    factor_table,
    frozen_hundredths,
    prompt_ending,
    sampled,
)
from benchmarks.results import Row, row
from benchmarks.simulation import GRADUATE, HOLD, MAX_JOBS, POLICY, ROLL_BACK, Bools, Floats, Ints
from harvest.evidence.policy import Guardrail, TrialPolicy
from harvest.evidence.trial_test import advance
from harvest.pairs.pair_evidence import PairEvidence
from harvest.pairs.pair_ledger import PairDispatched, PairSettlement
from harvest.pairs.pair_wager import pair_wager
from routing.templates.trial import Arm, Mode

NAME = "pair-errors"

_MOST_LATE_PAIRS = 1_500
_HORIZONS = (250, 600, _MOST_LATE_PAIRS)  # most runs are decided early
_MOST_GUARDED_PAIRS = 500  # the limit of pairs that is set by default
_SEED = 1945
_BATCH = 100

#: By which of its outcomes a canary's half is slow: None for no difference.
_SLOW = {"": None, ", good ones late": True, ", bad ones late": False}

_GUARDRAIL = Guardrail(name="cost_usd", cap=1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Amounts:
    """What both halves of an issue spend, in parts of a guardrail's cap."""

    words: str
    spread: float = 1.0  # of the logarithm
    agreement: float = 0.0  # correlation of the logarithms of both
    more: float = 1.0  # what the canary spends in times of the champion
    rare: Arm | None = None  # who spends nothing but, in one issue of twenty, the cap; the other the mean

    def sample(self, generator: np.random.Generator, shape: tuple[int, int]) -> tuple[Floats, Floats]:
        """Champion and canary, each in [0,1]."""
        if self.rare is not None:
            rare, always = (generator.random(shape) < 0.05).astype(np.float64), np.full(shape, 0.05)
            return (rare, always) if self.rare is Arm.CHAMPION else (always, rare)
        issue = generator.standard_normal(shape) * math.sqrt(self.agreement)
        champion, canary = (
            0.15
            * np.exp(self.spread * (issue + generator.standard_normal(shape) * math.sqrt(1 - self.agreement)))
            for _ in Arm
        )
        return np.minimum(champion, 1.0), np.minimum(canary * self.more, 1.0)


#: Canaries that spend as much as their champions, on average.
_ALIKE = (
    *(
        Amounts(words=f"spread {spread:g}, agreement {agreement:g}", spread=spread, agreement=agreement)
        for spread in (0.5, 1.0)
        for agreement in (0.0, 0.5, 0.9)
    ),
    Amounts(words="the champion's all or nothing", rare=Arm.CHAMPION),
    Amounts(words="the canary's all or nothing", rare=Arm.CANARY),
)


def rows(*, quick: bool) -> list[Row]:
    """Measure all of it."""
    runs = 500 if quick else 5_000
    edges = [(place, cell) for place, cell in enumerate(CELLS) if cell.difference in {0.0, -POLICY.delta}]
    found = []
    for number, (condition, slow) in enumerate(_SLOW.items()):
        endings = {
            cell: prompt_ending(cell, runs, _SEED + place)
            if slow is None
            else _late(cell, runs, _SEED + 100 * number + place, slow=slow)
            for place, cell in edges
        }
        found += _error_rows(condition, endings, runs)
        found += _guardrail_rows(condition, runs, slow=slow, seed=_SEED + 1_000 + 100 * number)
    return [*found, _noticed_row(runs), _identity_row(runs=2 if quick else 10)]


def _target(runs: int) -> float:
    """The level and three standard errors of the count."""
    return POLICY.alpha + 3 * math.sqrt(POLICY.alpha * (1 - POLICY.alpha) / runs)


def _error_rows(condition: str, endings: dict[PairCell, PairsEnding], runs: int) -> list[Row]:
    """Both kinds of error: the worst cell, and each."""
    found = []
    for name, verdict, difference in (
        ("wrong rollback at D = 0", ROLL_BACK, 0.0),
        ("wrong graduation at D = -delta", GRADUATE, -POLICY.delta),
    ):
        parts = {
            cell.words: ending.part(verdict)
            for cell, ending in endings.items()
            if cell.difference == difference
        }
        found += _rows_of(f"pairs: {name}{condition}", parts, runs)
    return found


def _rows_of(label: str, parts: dict[str, float], runs: int) -> list[Row]:
    target, level = _target(runs), POLICY.alpha
    worst = f"{label}, worst of {len(parts)} cells"
    return [
        row(worst, max(parts.values()), unit="of trials", target=target, baseline=level),
        *(
            row(f"{label}: {words}", part, unit="of trials", target=target, baseline=level)
            for words, part in parts.items()
        ),
    ]


def _late(cell: PairCell, runs: int, seed: int, *, slow: bool) -> PairsEnding:
    """A pair settles with its slower half; slow is a canary's half that solves its issue, or does not."""
    law = cell.law
    canary = min(max(cell.champion + cell.difference, 0.0), 1.0)
    both = (canary - law.canary_only) / max(1.0 - law.canary_only - law.champion_only, 1e-9)
    parts = []
    for generator, shape in _batches(runs, _MOST_LATE_PAIRS, seed):
        outcome = sampled(law, generator.random(shape))
        solved = (outcome == 1) | ((outcome == 0) & (generator.random(shape) < both))
        parts.append(late_ending(outcome, _arrival(generator, solved == slow)))
    return PairsEnding(
        verdict=np.concatenate([part.verdict for part in parts]),
        pairs=np.concatenate([part.pairs for part in parts]),
    )


def _batches(runs: int, pairs: int, seed: int) -> Iterator[tuple[np.random.Generator, tuple[int, int]]]:
    """Runs that are laid out together, and their generator: more runs leave the first as they are."""
    for start in range(0, runs, _BATCH):
        yield np.random.default_rng((seed, start)), (min(_BATCH, runs - start), pairs)


def _arrival(generator: np.random.Generator, is_slow: Bools) -> Ints:
    """By [run, pair]: how many pairs are dispatched when it settles, at least itself."""
    of_canary = generator.standard_exponential(is_slow.shape) * np.where(is_slow, SLOW, FAST)
    delay = np.maximum(of_canary, generator.standard_exponential(is_slow.shape) * FAST)
    arrival: Ints = np.arange(1, is_slow.shape[1] + 1) + delay.astype(np.int64)
    return arrival


def _arrived(arrival: Ints, amounts: Floats | Ints) -> Floats:
    """By [run, pair]: the sum of the amounts that had arrived when this pair was dispatched."""
    runs, pairs = arrival.shape
    run, pair = np.nonzero(arrival < pairs)
    found = np.bincount(run * pairs + arrival[run, pair], amounts[run, pair], minlength=runs * pairs)
    arrived: Floats = found.reshape(runs, pairs).cumsum(axis=1)
    return arrived


def late_ending(outcome: Ints, arrival: Ints, horizons: Sequence[int] = _HORIZONS) -> PairsEnding:
    """How runs end, by [run, pair]: outcomes -1, 0 or 1, and the pairs dispatched when each is known.

    What counts at a moment is known of the pairs before it alone. So longer and longer beginnings are looked
    at, each of the runs that no shorter one decided; the last of `horizons` is the whole.
    """
    moments, table = np.full((2, len(outcome)), MAX_JOBS + 1), factor_table(RULE)
    for horizon in horizons:
        undecided = np.flatnonzero(moments.min(axis=0) > MAX_JOBS)
        came, arrived = outcome[undecided, :horizon], arrival[undecided, :horizon]
        squares, settled = _arrived(arrived, came * came), _arrived(arrived, np.ones(came.shape))
        rows = frozen_hundredths(RULE.belief, squares, settled)
        for null, (bets, half) in enumerate(((RULE.worse, slice(0, 3)), (RULE.better, slice(3, 6)))):
            final, worst = table[rows, came + 1, half], table[rows, OPEN, half]
            moments[null, undecided] = moments_of_verdict(final, worst, arrived, np.array(bets.weights))
    most, first = outcome.shape[1], moments.min(axis=0)
    verdict = np.where(first <= most, np.where(moments[0] <= moments[1], ROLL_BACK, GRADUATE), HOLD)
    return PairsEnding(verdict=verdict, pairs=np.minimum(first, most))


@cache
def _guardrail_stakes() -> tuple[Floats, Floats]:
    """Slopes, and ln factors of an open pair, by [hundredths of the discordance, alternative]."""
    null = RULE.not_worse(margin=_GUARDRAIL.margin, delta=POLICY.delta)
    staked = [pair_wager(null, max(hundredths, 1) / 100) for hundredths in range(101)]
    slopes = np.array([[stake.slope for stake in each.stakes] for each in staked])
    return slopes, np.array([each.lowest for each in staked])


def _reached(amounts: Amounts, runs: int, seed: int, *, slow: bool | None) -> Ints:
    """By run: the pairs after which the canary is said to spend more; MAX_JOBS + 1 for never."""
    (slopes, lowest), parts = _guardrail_stakes(), []
    for generator, shape in _batches(runs, _MOST_GUARDED_PAIRS, seed):
        champion, canary = amounts.sample(generator, shape)
        saved = champion - canary  # the canary's mapped amount less the champion's
        arrival = np.broadcast_to(np.arange(1, shape[1] + 1), shape)
        if slow is not None:
            arrival = _arrival(generator, (saved >= 0) == slow)
        squares, settled = _arrived(arrival, saved * saved), _arrived(arrival, np.ones(shape))
        hundredths = frozen_hundredths(RULE.guardrail_belief, squares, settled)
        final = np.log1p(slopes[hundredths] * (saved + _GUARDRAIL.margin)[:, :, None])
        parts.append(moments_of_verdict(final, lowest[hundredths], arrival, np.array(RULE.worse.weights)))
    return np.concatenate(parts)


def _guardrail_rows(condition: str, runs: int, *, slow: bool | None, seed: int) -> list[Row]:
    """How often a canary that spends as much is rolled back by its one guardrail, in so many pairs."""
    parts = {
        amounts.words: float((_reached(amounts, runs, seed + place, slow=slow) <= _MOST_GUARDED_PAIRS).mean())
        for place, amounts in enumerate(_ALIKE)
    }
    label = f"pairs: wrong rollback by a guardrail{condition}, {_MOST_GUARDED_PAIRS} pairs"
    return _rows_of(label, parts, runs)


def _noticed_row(runs: int) -> Row:
    """The other side: how many pairs it takes to see a canary that spends half as much again."""
    amounts = Amounts(words="half as much again", agreement=0.5, more=1.5)
    taken = np.minimum(_reached(amounts, runs, _SEED, slow=None), _MOST_GUARDED_PAIRS)
    label = f"pairs: until a guardrail notices a canary that spends {amounts.words}, agreement 0.5"
    return row(label, float(taken.mean()), unit="pairs")


def _identity_row(*, runs: int) -> Row:
    """The simulation must notice at the very pair at which the real module does."""
    policy = TrialPolicy(mode=Mode.SHADOW, guardrails=(_GUARDRAIL,))
    amounts, shape = Amounts(words="twice", agreement=0.5, more=2.0), (runs, _MOST_GUARDED_PAIRS)
    champion, canary = amounts.sample(np.random.default_rng((_SEED, 0)), shape)
    simulated = _reached(amounts, runs, _SEED, slow=None)
    wrong = sum(int(simulated[run]) != _module(policy, champion[run], canary[run]) for run in range(runs))
    label = f"pairs: runs of {runs} in which simulation and module disagree about a guardrail"
    return row(label, wrong, unit="runs", target=0.0)


def _module(policy: TrialPolicy, champion: Floats, canary: Floats) -> int:
    """The pairs after which the real module says that the canary spends more."""
    state, name = PairEvidence.begin(policy), _GUARDRAIL.name
    for index, (one, other) in enumerate(zip(champion.tolist(), canary.tolist(), strict=True)):
        bet = state.bet
        pair = PairDispatched(
            index=index, champion_job="a", canary_job="b", first=Arm.CHAMPION if index % 2 else Arm.CANARY,
            discordance=bet.discordance, guardrail_discordances=dict(bet.guardrail_discordances),
        )  # fmt: skip
        settled = PairSettlement(
            index=index, kind="settled", champion=1.0, canary=1.0, champion_spent={name: one},
            canary_spent={name: other},
        )  # fmt: skip
        state = advance(state, [pair], [settled]).state
        if state.guardrails[name].ln_value >= math.log(1 / policy.alpha):
            return index + 1
    return 0
