"""Coverage of the interval of a price: how often either end ever passes the truth, at any look.

The price of a law is the mean of what a job costs over the chance that its change stays. An end passes it at
some look when the bets against that very price ever reach 1/level, whether it is looked at or not; so that is
what is counted. With late outcomes it is looked at every twenty-fifth job, with the open ones at their worst.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.results import Row, row
from benchmarks.simulation import Bools, Floats
from harvest.settling.outcome_price import (
    LEVEL,
    MOST_USD,
    STAKES,
    ChangeEnding,
    PricedJob,
    measures,
    outcome_price,
)
from routing.cost import Cost

NAME = "prices"

_JOBS = 1_000
_LATE_JOBS, _LOOK_EVERY = 300, 25
_SLOW, _FAST = 80.0, 10.0  # mean delays in jobs: of changes that stay, of the others
_REVERTED = 0.1  # of the changes that had counted
_SEED = 1714
_BATCH = 250
_STAKES = np.array(STAKES)
_USD = measures()[:1]


@dataclass(frozen=True, kw_only=True, slots=True)
class PriceLaw:
    """How jobs come out, and what they cost, in USD."""

    kept: float  # chance that the change stays
    mean_kept: float  # cost of those, on average
    mean_failed: float  # and of the others
    shape: str  # of the costs: constant, exponential up to the limit, or rarely the limit itself

    def sample(self, generator: np.random.Generator, shape: tuple[int, ...]) -> tuple[Bools, Floats]:
        """Jobs: whether each stays, and its cost."""
        kept = generator.random(shape) < self.kept
        mean = np.where(kept, self.mean_kept, self.mean_failed)
        if self.shape == "constant":
            return kept, mean
        if self.shape == "exponential":
            return kept, np.minimum(generator.standard_exponential(shape) * mean, MOST_USD)
        return kept, np.where(generator.random(shape) < mean / MOST_USD, MOST_USD, 0.0)

    @property
    def price(self) -> float:
        """Exactly."""
        return (self.kept * self._mean(self.mean_kept) + (1 - self.kept) * self._mean(self.mean_failed)) / (
            self.kept
        )

    def _mean(self, mean: float) -> float:
        return mean * (1 - math.exp(-MOST_USD / mean)) if self.shape == "exponential" else mean

    def gains(self, kept: Bools | Floats, cost: Floats) -> Floats:
        """What the bets on the last axis win, for the lower and the upper end, with the true price."""
        return np.stack([cost / self.price - kept, (self.price * kept - cost) / MOST_USD], axis=-1)


_LAWS = tuple(
    PriceLaw(kept=kept, mean_kept=mean_kept, mean_failed=mean_failed, shape=shape)
    for kept in (0.1, 0.5, 0.9)
    for mean_kept, mean_failed in ((0.5, 0.5), (0.5, 4.0), (4.0, 0.5))
    for shape in ("constant", "exponential", "all or nothing")
)


def rows(*, quick: bool) -> list[Row]:
    """Measure the ends with prompt and with late outcomes."""
    runs = 500 if quick else 5_000
    prompt = [_prompt(law, np.random.default_rng(_SEED + place), runs) for place, law in enumerate(_LAWS)]
    late = [_late(law, np.random.default_rng(_SEED + 99 + place), runs) for place, law in enumerate(_LAWS)]
    return [
        *_rows("", prompt, runs),
        *_rows(", outcomes late by outcome", late, runs),
        _revert_row(np.random.default_rng(_SEED + 200), runs),
        _identity_row(runs=5 if quick else 20),
    ]


def _rows(condition: str, passed: Sequence[tuple[float, float]], runs: int) -> list[Row]:
    """The worst law of each end, against the level and three standard errors of the count."""
    target = LEVEL + 3 * math.sqrt(LEVEL * (1 - LEVEL) / runs)
    return [
        row(
            f"price: {end} of the interval ever passes the truth{condition}, worst of {len(passed)} laws",
            max(each[place] for each in passed),
            unit="of versions",
            target=target,
            baseline=LEVEL,
        )
        for place, end in enumerate(("lower end", "upper end"))
    ]


def _prompt(law: PriceLaw, generator: np.random.Generator, runs: int) -> tuple[float, float]:
    """The part of the runs whose lower, or upper, end ever passes the price."""
    wealth, reached = np.ones((runs, 2, len(_STAKES))), np.zeros((runs, 2), dtype=bool)
    for _ in range(_JOBS):
        wealth *= 1.0 + law.gains(*law.sample(generator, (runs,)))[..., None] * _STAKES
        reached |= wealth.mean(axis=-1) >= 1 / LEVEL
    return _parts(reached)


def _late(law: PriceLaw, generator: np.random.Generator, runs: int) -> tuple[float, float]:
    """The same where changes that stay are known late; an open job has spent a part of its cost."""
    parts = []
    for start in range(0, runs, _BATCH):
        batch = min(_BATCH, runs - start)
        kept, cost = law.sample(generator, (batch, _LATE_JOBS))
        delay = generator.standard_exponential(kept.shape) * np.where(kept, _SLOW, _FAST)
        reached = np.zeros((batch, 2), dtype=bool)
        for known, spent in _looks(kept, cost, delay):
            gains = law.gains(np.where(known, kept[:, : known.shape[1]], 1.0), spent)
            gains[..., 1][~known] = -1.0
            wealth = (1.0 + gains[..., None] * _STAKES).cumprod(axis=1).mean(axis=-1)
            reached |= (wealth >= 1 / LEVEL).any(axis=1)
        parts.append(reached)
    return _parts(np.concatenate(parts))


def _revert_row(generator: np.random.Generator, runs: int) -> Row:
    """Why strict trials wait for the revert window: one change in ten is reverted after it had counted."""
    law, shape = PriceLaw(kept=0.5, mean_kept=10.0, mean_failed=10.0, shape="constant"), (runs, _LATE_JOBS)
    merged, cost = law.sample(generator, shape)
    kept = merged & (generator.random(shape) >= _REVERTED)
    reverted_after = generator.standard_exponential(shape) * _SLOW
    price = law.price / (1 - _REVERTED)
    passed = np.zeros(runs, dtype=bool)
    for look in range(_LOOK_EVERY, _LATE_JOBS + 1, _LOOK_EVERY):
        age = look - np.arange(look)
        counted = np.where(age < reverted_after[:, :look], merged[:, :look], kept[:, :look])
        gain = (price * counted - cost[:, :look]) / MOST_USD
        wealth = (1.0 + gain[..., None] * _STAKES).cumprod(axis=1).mean(axis=-1)
        passed |= (wealth >= 1 / LEVEL).any(axis=1)
    return row(
        "price: upper end ever passes the truth where one change in ten is reverted after it had counted",
        float(passed.mean()),
        unit="of versions",
        baseline=LEVEL,
    )


def _looks(kept: Bools, cost: Floats, delay: Floats) -> Iterator[tuple[Bools, Floats]]:
    """At each look, of the jobs that have begun: whether the outcome is known, and what is spent."""
    for look in range(_LOOK_EVERY, kept.shape[1] + 1, _LOOK_EVERY):
        age = look - np.arange(look)
        yield age >= delay[:, :look], cost[:, :look] * np.minimum(age / delay[:, :look], 1.0)


def _parts(reached: Bools) -> tuple[float, float]:
    lower, upper = reached.mean(axis=0)
    return float(lower), float(upper)


def _identity_row(*, runs: int) -> Row:
    """The module's ends pass the price just when the bets against it reach what they must."""
    wrong = 0
    laws = [law for law in _LAWS if law.kept == 0.5]
    for run in range(runs):
        law = random.Random(_SEED + run).choice(laws)
        generator = np.random.default_rng(_SEED + run)
        kept, cost = law.sample(generator, (1, 100))
        delay = generator.standard_exponential(kept.shape) * np.where(kept, _SLOW, _FAST)
        for known, spent in _looks(kept, cost, delay):
            gains = law.gains(np.where(known, kept[:, : known.shape[1]], 1.0), spent)
            gains[..., 1][~known] = -1.0
            wealth = (1.0 + gains[..., None] * _STAKES).cumprod(axis=1).mean(axis=-1)
            lower, upper = (wealth >= 1 / LEVEL).any(axis=1)[0]
            price = outcome_price(_priced(kept[0], known[0], spent[0]), _USD).prices["usd"]
            if price.each is not None:
                wrong += (price.lower is not None and price.lower > law.price) != lower
                wrong += (price.upper is not None and price.upper < law.price) != upper
    return row(f"price: looks of {runs} versions in which simulation and module disagree", wrong,
               unit="looks", target=0.0)  # fmt: skip


def _priced(kept: Bools, known: Bools, spent: Floats) -> list[PricedJob]:
    """The jobs as the module reads them."""
    endings = {True: ChangeEnding.KEPT, False: ChangeEnding.FAILED}
    return [
        PricedJob(
            ending=endings[bool(kept[place])] if known[place] else ChangeEnding.OPEN,
            cost=Cost(turns=1, usd=float(spent[place])),
        )
        for place in range(len(known))
    ]
