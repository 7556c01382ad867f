"""What a backtest came to, for people and scripts: who solved what, its cost, where the canary lost."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from harvest.backtests.case_pair import CasePair
from harvest.evidence.difference import Difference, difference_of
from harvest.evidence.explanation import ExplainedUnit, explain
from harvest.evidence.ledger_line import parsed_lines
from harvest.evidence.policy import TrialPolicy
from harvest.evidence.trial_test import replay
from harvest.pairs.pair_counts import SOLVED
from harvest.pairs.pair_evidence import PairEvidence
from harvest.pairs.pair_ledger import PairSettlement
from routing.store.backtests.backtest_store import Backtest, BacktestStore
from routing.store.jobs.log_store import LogStore
from routing.templates.trial import Trial
from tasks.backtests.running import evidence_of

#: Lost cases of which the judge's last lines are read.
MOST_LOST = 20

#: What a job's agent could reach of the network when nothing kept it from it.
_MACHINE, _MODELS = "machine", "models "


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmCost:
    """What one version's jobs of settled pairs have cost, kept results not counted."""

    jobs: int = 0
    usd: float = 0.0  # as far as it is known
    unknown: int = 0  # jobs whose dollars are not known
    seconds: float = 0.0

    def add(self, spent: dict[str, float]) -> "ArmCost":
        """One more job."""
        return ArmCost(
            jobs=self.jobs + 1,
            usd=self.usd + spent.get("cost_usd", 0.0),
            unknown=self.unknown + ("cost_usd" not in spent),
            seconds=self.seconds + spent.get("duration_seconds", 0.0),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class LostCase:
    """A case that the champion solved and the canary did not."""

    name: str
    champion_job: str
    canary_job: str
    reason: str
    judge: tuple[str, ...]  # the last lines that it printed about the canary's work


@dataclass(frozen=True, kw_only=True, slots=True)
class LaterTrial:
    """A trial of the same version since, which says how well the backtest had predicted it."""

    trial: Trial
    difference: Difference | None  # that it found, with its interval; None: it ended without evidence


@dataclass(frozen=True, kw_only=True, slots=True)
class BacktestReport:
    """One backtest as it is now."""

    run: Backtest
    evidence: PairEvidence
    pairs: Sequence[CasePair]
    champion: ArmCost
    canary: ArmCost
    kept: int  # pairs in which a kept result stood for the champion
    difference: Difference  # of all pairs that have ended, with its interval
    lost: Sequence[LostCase]
    unconfined: int  # jobs whose agent could reach the whole network, and so perhaps the answer
    looked: int = 0  # jobs of which that is known
    beyond: Sequence[str] = ()  # hosts beside the APIs of models that jobs in a sandbox could reach
    lines: Sequence[PairSettlement] = ()  # what became of the pairs, in the order of arrival
    later: Sequence[LaterTrial] = ()

    @property
    def kept_and_left_out(self) -> int:
        """Pairs that were left out in which a kept result stood for the champion: it could not be why."""
        return sum(line.kind == "excluded" and self.pairs[line.index].kept is not None for line in self.lines)

    def name_of(self, index: int) -> str:
        """The name of a pair's case."""
        return self.pairs[index].name


def read_report(
    store: BacktestStore, logs: LogStore, run: Backtest, trials: Sequence[Trial] = (), *,
    difference: Callable[[Trial], Difference | None] = lambda _trial: None,
) -> BacktestReport:  # fmt: skip
    """Read a backtest with its pairs. Costs O(pairs). CorruptRecordError names a line that is damaged.

    `trials` are those of its template, and `difference` says what one of them has found.
    """
    pairs = parsed_lines(CasePair, store.pairs(run.id), of=f"the pairs of backtest {run.id}")
    lines = parsed_lines(
        PairSettlement, store.settlements(run.id), of=f"the settlements of backtest {run.id}"
    )
    by_index = {pair.index: pair for pair in pairs}
    champion = canary = ArmCost()
    lost: list[LostCase] = []
    for line in lines:
        if not line.final:
            continue
        pair = by_index[line.index]
        canary = canary.add(line.canary_spent)
        champion = champion if pair.kept else champion.add(line.champion_spent)
        if line.champion is not None and line.canary is not None and line.canary < SOLVED <= line.champion:
            lost.append(_lost(logs, pair, line, reads=len(lost) < MOST_LOST))
    reaches = store.reaches(run.id)
    evidence = evidence_of(run)
    ledger = [*(pair.dispatched for pair in pairs), *lines]
    return BacktestReport(
        run=run, evidence=evidence, difference=difference_of(PairEvidence, evidence.policy, ledger),
        pairs=pairs, champion=champion, canary=canary,
        kept=sum(pair.kept is not None for pair in pairs), lost=lost,
        unconfined=sum(reach == _MACHINE for reach in reaches.values()), looked=len(reaches),
        lines=[line for line in lines if line.final], beyond=_beyond(reaches.values()),
        later=[
            LaterTrial(trial=one, difference=difference(one))
            for one in trials
            if one.canary == run.canary and one.opened_at > run.opened_at
        ],
    )  # fmt: skip


def explained(report: BacktestReport) -> list[ExplainedUnit]:
    """Each pair with its factors and the evidence so far, recomputed from the ledger. Costs O(pairs)."""
    ledger = [*(pair.dispatched for pair in report.pairs), *report.lines]
    return explain(PairEvidence, report.evidence.policy, ledger)


def replayed(store: BacktestStore, run: Backtest, stored: PairEvidence | None) -> PairEvidence:
    """The state that the ledger of a backtest gives, as far as `stored` counts; None: of all of it.

    Both must be the same to the last digit. What came since the record was read is left out;
    of a backtest that has ended every settlement counts. CorruptRecordError for a ledger that cannot be read.
    """
    pairs = parsed_lines(CasePair, store.pairs(run.id), of=f"the pairs of backtest {run.id}")
    lines = parsed_lines(
        PairSettlement, store.settlements(run.id), of=f"the settlements of backtest {run.id}"
    )
    if stored is not None:
        pairs = pairs[: stored.dispatched]
        lines = list(_counted(lines, stored)) if run.is_running else lines
    policy = TrialPolicy.from_json(run.policy)
    state = replay(PairEvidence, policy, [*(pair.dispatched for pair in pairs), *lines]).state
    return replace(state, health=stored.health) if stored is not None and stored.lacks_health else state


def _counted(lines: Sequence[PairSettlement], stored: PairEvidence) -> Iterator[PairSettlement]:
    """The first lines, as far as a state counts them: what is aged and open stands in its health."""
    left = stored.counts.settled + stored.counts.excluded
    for line in lines:
        if left == 0 and (line.final or line.index not in stored.health.late):
            return
        left -= line.final
        yield line


def _beyond(reaches: Iterable[str]) -> list[str]:
    """The hosts beyond models, of what was noted of each job."""
    noted = (reach.removeprefix(_MODELS) for reach in reaches if reach.startswith(_MODELS))
    return sorted({host for hosts in noted for host in hosts.split()})


def _lost(logs: LogStore, pair: CasePair, line: PairSettlement, *, reads: bool) -> LostCase:
    job = pair.dispatched.canary_job
    said = [entry.text for entry in logs.read(job) if entry.kind == "judge"] if reads else []
    return LostCase(
        name=pair.name, champion_job=pair.dispatched.champion_job, canary_job=job, reason=line.reason,
        judge=tuple(said),
    )  # fmt: skip
