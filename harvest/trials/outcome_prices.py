"""The prices of versions' and arms' changes, from the records of their jobs, and of pairs from their ledger.

A record expires some time after its job has ended, and a version may have had any number of jobs; so a
version's price is of the newest jobs of the fleet, and says of how many. Once the first ones are missing it
has no interval: see `outcome_price`.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import Any

from harvest.draws.draw_ledger import Dispatched
from harvest.pairs.pair_counts import SOLVED
from harvest.pairs.pair_ledger import PairDispatched, PairSettlement
from harvest.settling.outcome_price import (
    ChangeEnding,
    OutcomePrice,
    PricedJob,
    SpendMeasure,
    ending_of,
    mean_score,
    outcome_price,
)
from routing.cost import Cost
from routing.jobs.job import Job
from routing.store.jobs.cost_store import CostStore
from routing.store.jobs.job_page import JobFilter, listed
from routing.store.jobs.job_store import JobStore
from routing.store.signals.signal_store import SignalStore
from routing.templates.trial import Arm, Mode, Trial

#: Jobs of a fleet, or of a trial, that are looked at for a price: the newest.
LOOKED_AT = 2_000

#: How many trials' prices a process keeps.
_MOST = 200

#: Seconds for which `lately` answers with the same prices: they take a second where there are many jobs.
LATELY_SECONDS = 300.0


class OutcomePrices:
    """Prices of changes. `of_arms` is kept until the trial moves; `of_versions` is read each time.

    `lately` is for pages and scrapes, which ask again and again.
    """

    def __init__(
        self, *, jobs: JobStore, signals: SignalStore, costs: CostStore, measured: Sequence[SpendMeasure],
        ledger: Callable[[Trial], Sequence[Any]],
    ) -> None:  # fmt: skip
        self._jobs = jobs
        self._signals = signals
        self._costs = costs
        self._measured = measured
        self._ledger = ledger  # of a trial, as far as its stored state has counted it
        self._kept: OrderedDict[str, tuple[int, Mapping[Arm, OutcomePrice]]] = OrderedDict()
        self._lately: dict[str, tuple[float, Mapping[str, OutcomePrice]]] = {}  # by template, with when

    def of_arms(self, trial: Trial) -> Mapping[Arm, OutcomePrice]:
        """By arm of a trial, of its newest jobs as far as their records are kept; of all of its pairs.

        By draw a change is one that was merged and not reverted. The canary of pairs is never merged, so
        there it is one that the judge calls solved, and what counts is what each half had spent when its
        work was handed over: both as the ledger has it.
        """
        kept = self._kept.get(trial.id)
        if kept is not None and kept[0] == trial.revision:
            return kept[1]
        ledger = self._ledger(trial)
        found = self._drawn(ledger) if trial.mode is Mode.DRAW else self._paired(ledger)
        self._kept[trial.id] = trial.revision, found
        while len(self._kept) > _MOST:
            with suppress(KeyError):  # another thread took it
                self._kept.popitem(last=False)
        return found

    def _drawn(self, ledger: Sequence[Any]) -> dict[Arm, OutcomePrice]:
        ids = [line.job_id for line in ledger if isinstance(line, Dispatched)]
        read = self._jobs.read_many(ids[-LOOKED_AT:])
        jobs = [job for job in read if job is not None and job.arm is not None]
        is_cut = len(ids) > LOOKED_AT or None in read
        return {arm: self._price([job for job in jobs if job.arm is arm], is_cut=is_cut) for arm in Arm}

    def _paired(self, ledger: Sequence[Any]) -> dict[Arm, OutcomePrice]:
        pairs = [line for line in ledger if isinstance(line, PairDispatched)]
        settled = {line.index: line for line in ledger if isinstance(line, PairSettlement) and line.final}
        return {
            arm: outcome_price([_half(settled.get(pair.index), arm) for pair in pairs], self._measured)
            for arm in Arm
        }

    def of_versions(self, template: str) -> Mapping[str, OutcomePrice]:
        """By version (`implementer@v3`) of a template, of the newest jobs of the fleet, without shadows.

        All that a version's jobs were paid for is in its sums; so the first jobs are missing when those that
        were read have fewer turns. A job without a turn spent nothing, and changes no bet.
        """
        paid = self._costs.of_versions(template)  # first: a turn that ends meanwhile is in the jobs alone
        turns: Counter[str] = Counter()
        by_version: dict[str, list[Job]] = {}
        newest_first = list(islice(listed(self._jobs, 0, JobFilter(template=template)), LOOKED_AT))
        for _, job in reversed(newest_first):  # of those of one moment, too, the earlier one first
            if job is None:
                continue
            turns[job.version_id] += job.cost.turns
            if not job.shadow:
                by_version.setdefault(job.version_id, []).append(job)
        cut = {name for each, cost in paid.items() if turns[name := f"{template}@{each}"] < cost.turns}
        return {name: self._price(by_version[name], is_cut=name in cut) for name in sorted(by_version)}

    def lately(self, template: str) -> Mapping[str, OutcomePrice]:
        """What `of_versions` said, LATELY_SECONDS ago at most."""
        now = self._jobs.now()
        kept = self._lately.get(template)
        if kept is not None and 0 <= now - kept[0] < LATELY_SECONDS:
            return kept[1]
        found = self.of_versions(template)
        self._lately[template] = now, found
        return found

    def _price(self, jobs: Sequence[Job], *, is_cut: bool) -> OutcomePrice:
        in_order = sorted(jobs, key=lambda job: job.created_at)
        endings = self._endings(in_order)
        priced = [
            PricedJob(ending=ending, cost=job.cost) for job, ending in zip(in_order, endings, strict=True)
        ]
        found = outcome_price(priced, self._measured, is_cut=is_cut)
        scores = [job.score for job in in_order if not job.excluded]
        return replace(found, score=mean_score(scores, is_cut=is_cut))

    def _endings(self, jobs: Sequence[Job]) -> Iterable[ChangeEnding]:
        facts = self._signals.read_many([job.id for job in jobs])
        return (  # a job of which a fact cannot be read counts like an open one: at its worst
            ChangeEnding.OPEN if found is None else ending_of(job, found)
            for job, found in zip(jobs, facts, strict=True)
        )


def _half(settled: PairSettlement | None, arm: Arm) -> PricedJob:
    """A half of a pair by its line of the ledger: the judge's score, and what was spent until then."""
    if settled is None:
        return PricedJob(ending=ChangeEnding.OPEN, cost=Cost())
    is_champion = arm is Arm.CHAMPION
    score = settled.champion if is_champion else settled.canary
    if score is None:
        return PricedJob(ending=ChangeEnding.EXCLUDED, cost=Cost())
    spent = settled.champion_spent if is_champion else settled.canary_spent
    ending = ChangeEnding.KEPT if score >= SOLVED else ChangeEnding.FAILED
    return PricedJob(ending=ending, cost=_cost_of(spent, v=settled.v))


def _cost_of(spent: Mapping[str, float], *, v: int) -> Cost:
    """What a line of the form `v` has of a half, as the cost of one turn, or of none where it took no time.

    Dollars that nobody knew are not in it; under form 1 they may also stand as 0.
    """
    usd, seconds = spent.get("cost_usd"), spent.get("duration_seconds", 0.0)
    tokens = int(spent.get("tokens", 0.0))
    turns = int(usd is None or usd > 0 or seconds > 0 or tokens > 0)
    is_unknown = usd is None or (usd == 0 and v == 1)
    return Cost(
        turns=turns, usd=0.0 if usd is None else usd, unknown=int(turns > 0 and is_unknown), seconds=seconds,
        input_tokens=tokens,
    )  # fmt: skip
