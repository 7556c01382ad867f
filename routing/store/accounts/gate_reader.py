"""What must be open before a job may begin: read for each claim, as versions and trials may have changed.

Where jobs of one version follow each other, the last gate is likely the next one's too: the claim is made
with it, and says so where it is not. That saves nearly every job of a busy fleet a round trip.
"""

from dataclasses import replace

from routing.accounts.breaker import field_of, version_breaker
from routing.accounts.budget import DayBudgets
from routing.accounts.pool import AccountGate, Pools
from routing.errors import CorruptRecordError
from routing.store.jobs.reader import JobReader
from routing.store.trials.trial_store import TrialStore
from routing.store.trials.version_store import VersionStore
from routing.templates.trial import Trial
from routing.templates.version import Snapshot, version_id


class GateReader:
    """One a process. The content of a version, and the two sides of a trial, never change: read once.

    A record that cannot be read leaves its part of the gate out: the claim itself says what is wrong with it.
    """

    def __init__(
        self, *, jobs: JobReader, versions: VersionStore, trials: TrialStore, pools: Pools,
        budgets: DayBudgets = DayBudgets(),  # noqa: B008 - frozen
    ) -> None:  # fmt: skip
        self._jobs = jobs
        self._versions = versions
        self._trials = trials
        self._pools = pools
        self._budgets = budgets
        self._contents: dict[tuple[str, int], Snapshot] = {}
        self._sides: dict[str, Trial] = {}
        self._last: tuple[str, int, str] | None = None  # facts of the job that was read last
        self._likely: AccountGate | None = None  # of the next job, if the last two had the same

    def gate(self, job: str, *, anew: bool = False) -> AccountGate | None:
        """The gate of a job, or a likely one; None for one that needs no account, or cannot be read.

        `anew`: read it, as the likely one was not the job's. Threads may share this: each gets a whole gate.
        """
        likely = self._likely
        if likely is not None and not anew:
            return likely
        facts = self._jobs.gate_facts(job)
        gate = self._of(job, facts)
        is_same = facts is not None and facts == self._last and not facts[2]
        is_known = gate is not None and is_same and not self._budgets.are_of_repositories
        self._likely = replace(gate, is_likely=True) if gate is not None and is_known else None
        self._last = facts
        return gate

    def _of(self, job: str, facts: tuple[str, int, str] | None) -> AccountGate | None:
        if facts is None:
            return None
        template, number, trial_id = facts
        content = self._content(template, number)
        if content is None:
            return None
        repository = self._jobs.repository_of(job) if self._budgets.are_of_repositories else ""
        budgets = self._budgets.of(template, repository)
        trial = self._trial(trial_id) if trial_id else None
        sides = (trial.champion, trial.canary) if trial else ()
        if trial is None or number not in sides:
            return AccountGate(
                version=version_id(template, number), own=self._pools.candidates(content), budgets=budgets,
                starts=_starts(template, number),
            )  # fmt: skip
        rival = trial.canary if number == trial.champion else trial.champion
        other = self._content(template, rival)
        return AccountGate(
            version=version_id(template, number),
            own=self._pools.candidates(content),
            trial=trial.id,
            other=self._pools.candidates(other) if other else (),
            is_canary=number == trial.canary,
            starts=_starts(template, number),
            other_starts=_starts(template, rival),
            budgets=budgets,
            keeps_count=bool(other and other.fallback and content.fallback),
        )

    def _content(self, template: str, number: int) -> Snapshot | None:
        kept = self._contents.get((template, number))
        if kept is None:
            try:
                version = self._versions.read(template, number)
            except CorruptRecordError:
                return None
            if version is None:
                return None
            kept = self._contents[template, number] = version.snapshot
        return kept

    def _trial(self, trial_id: str) -> Trial | None:
        kept = self._sides.get(trial_id)
        if kept is None:
            try:
                kept = self._trials.read(trial_id)
            except CorruptRecordError:
                return None
            if kept is not None:
                self._sides[trial_id] = kept
        return kept


def _starts(template: str, number: int) -> str:
    """The breaker of a version."""
    return field_of(version_breaker(version_id(template, number)), "")
