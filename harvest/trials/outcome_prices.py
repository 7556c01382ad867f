"""The prices of versions' and arms' changes, read from the records of their jobs.

A record expires some time after its job has ended, and a version may have had any number of jobs; so a
version's price is of the newest jobs of the fleet, and says of how many.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

from harvest.settling.outcome_price import (
    ChangeEnding,
    OutcomePrice,
    PricedJob,
    SpendMeasure,
    ending_of,
    outcome_price,
)
from routing.jobs.job import Job
from routing.store.jobs.job_page import listed
from routing.store.jobs.job_store import JobStore
from routing.store.signals.signal_store import SignalStore
from routing.templates.trial import Arm, Mode, Trial

#: Jobs of a fleet, or of a trial, that are looked at for a price: the newest.
LOOKED_AT = 2_000

#: A score from which on the judge of pairs calls an issue solved.
_SOLVED = 0.5

#: How many trials' prices a process keeps.
_MOST = 200


class OutcomePrices:
    """Prices of changes. `of_arms` is kept until the trial moves; `of_versions` is read each time."""

    def __init__(
        self, *, jobs: JobStore, signals: SignalStore, measured: Sequence[SpendMeasure],
        ledger: Callable[[Trial], Sequence[Any]],
    ) -> None:  # fmt: skip
        self._jobs = jobs
        self._signals = signals
        self._measured = measured
        self._ledger = ledger  # of a trial, as far as its stored state has counted it
        self._kept: OrderedDict[str, tuple[int, Mapping[Arm, OutcomePrice]]] = OrderedDict()

    def of_arms(self, trial: Trial) -> Mapping[Arm, OutcomePrice]:
        """By arm of a trial, of its newest jobs as far as their records are kept.

        By draw a change is one that was merged and not reverted. The canary of pairs is never merged, so
        there it is one that the judge calls solved, for both arms.
        """
        kept = self._kept.get(trial.id)
        if kept is not None and kept[0] == trial.revision:
            return kept[1]
        ids = [job for line in self._ledger(trial) for job in _jobs_of(line)][-LOOKED_AT:]
        jobs = [job for job in self._jobs.read_many(ids) if job is not None and job.arm is not None]
        found = {
            arm: self._price([job for job in jobs if job.arm is arm], judged=trial.mode is not Mode.DRAW)
            for arm in Arm
        }
        self._kept[trial.id] = trial.revision, found
        while len(self._kept) > _MOST:
            with suppress(KeyError):  # another thread took it
                self._kept.popitem(last=False)
        return found

    def of_versions(self, template: str) -> Mapping[str, OutcomePrice]:
        """By version (`implementer@v3`) of a template, of the newest jobs of the fleet, without shadows."""
        by_version: dict[str, list[Job]] = {}
        newest_first = list(islice(listed(self._jobs, 0), LOOKED_AT))
        for _, job in reversed(newest_first):  # of those of one moment, too, the earlier one first
            if job is not None and job.template == template and not job.shadow:
                by_version.setdefault(job.version_id, []).append(job)
        return {name: self._price(by_version[name], judged=False) for name in sorted(by_version)}

    def _price(self, jobs: Sequence[Job], *, judged: bool) -> OutcomePrice:
        in_order = sorted(jobs, key=lambda job: job.created_at)
        endings = map(_judged, in_order) if judged else self._endings(in_order)
        priced = [
            PricedJob(ending=ending, cost=job.cost) for job, ending in zip(in_order, endings, strict=True)
        ]
        return outcome_price(priced, self._measured)

    def _endings(self, jobs: Sequence[Job]) -> Iterable[ChangeEnding]:
        facts = self._signals.read_many([job.id for job in jobs])
        return (  # a job of which a fact cannot be read counts like an open one: at its worst
            ChangeEnding.OPEN if found is None else ending_of(job, found)
            for job, found in zip(jobs, facts, strict=True)
        )


def _jobs_of(line: Any) -> Sequence[str]:
    """The ids of the jobs that a line of a ledger dispatches: one, or a pair's two."""
    if hasattr(line, "champion_job"):
        return line.champion_job, line.canary_job
    return (line.job_id,) if hasattr(line, "job_id") else ()


def _judged(job: Job) -> ChangeEnding:
    """By the judge's score alone."""
    if job.excluded:
        return ChangeEnding.EXCLUDED
    if job.score is None:
        return ChangeEnding.OPEN
    return ChangeEnding.KEPT if job.score >= _SOLVED else ChangeEnding.FAILED
