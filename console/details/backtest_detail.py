"""A backtest with its report, each of its pairs in words, and how it foretold the trials since."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from console.output.trials.backtest_views import foretold, report_document
from console.output.trials.difference_words import difference_cell
from harvest.backtests.case_pair import CasePair
from harvest.pairs.pair_counts import SOLVED
from harvest.pairs.pair_ledger import PairSettlement
from routing.store.backtests.backtest_store import Backtest
from routing.templates.trial import Trial
from tasks.backtests.report import BacktestReport, read_report
from tasks.composition.composition import Coalmine


class PairFate(StrEnum):
    """What became of a case that both versions were given. The values are classes of the style sheet."""

    BOTH = "both"
    CHAMPION = "champion-only"
    CANARY = "canary-only"
    NEITHER = "neither"
    EXCLUDED = "excluded"
    OPEN = "open"

    @property
    def words(self) -> str:
        """As a page says it."""
        return _WORDS[self]


_WORDS = {
    PairFate.BOTH: "solved by both",
    PairFate.CHAMPION: "solved by the champion alone",
    PairFate.CANARY: "solved by the canary alone",
    PairFate.NEITHER: "solved by neither",
    PairFate.EXCLUDED: "left out",
    PairFate.OPEN: "not ended",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class PairLine:
    """One pair for people."""

    index: int
    name: str  # of its case
    fate: PairFate
    champion_job: str  # of an earlier backtest where its result was kept
    canary_job: str
    is_kept: bool
    reason: str

    @property
    def words(self) -> str:
        """In a line: `shop-3: solved by both`."""
        return f"{self.name}: {self.fate.words}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ForetoldTrial:
    """A trial of the same version since, beside what the backtest said."""

    trial: Trial
    difference: str  # with its interval
    agrees: bool | None  # None: one of the two has not decided


@dataclass(frozen=True, kw_only=True, slots=True)
class BacktestDetail:
    """One backtest. Its parts are read one after the other, so they may be of slightly different moments."""

    report: BacktestReport
    pairs: Sequence[PairLine]  # in the order in which they were given out
    later: Sequence[ForetoldTrial]

    @property
    def fates(self) -> Mapping[PairFate, int]:
        """How many pairs came to what; those that came to nothing are in it."""
        return {fate: sum(each.fate is fate for each in self.pairs) for fate in PairFate}

    def document(self) -> dict[str, Any]:
        """For scripts, as `coalmine backtest show --json` prints it."""
        return report_document(self.report)


def report_of(parts: Coalmine, reference: str) -> BacktestReport:
    """The report by a backtest's id, or of the last one of a template. NotFoundError. O(pairs)."""
    run = parts.backtest_opening.find(reference)
    return read_report(
        parts.backtest_store, parts.log_store, run, parts.trials.history(run.template),
        difference=parts.differences.in_list,
    )  # fmt: skip


def read_backtest(parts: Coalmine, reference: str) -> BacktestDetail:
    """The same with its pairs and the trials since in words."""
    report = report_of(parts, reference)
    lines = {line.index: line for line in report.lines}
    return BacktestDetail(
        report=report,
        pairs=[_line(pair, lines.get(pair.index)) for pair in report.pairs],
        later=[
            ForetoldTrial(
                trial=one.trial, difference=difference_cell(one.difference),
                agrees=foretold(report.run, one.trial),
            )
            for one in report.later
        ],
    )  # fmt: skip


def list_backtests(parts: Coalmine, template: str = "") -> list[Backtest]:
    """All backtests, or a template's, oldest first. UnknownTemplateError for a name that no template has."""
    names = [parts.templates.champion(template).template] if template else parts.templates.names()
    return [one for name in names for one in parts.backtest_opening.of_template(name)]


def _line(pair: CasePair, line: PairSettlement | None) -> PairLine:
    return PairLine(
        index=pair.index, name=pair.name, fate=fate_of(line), champion_job=pair.dispatched.champion_job,
        canary_job=pair.dispatched.canary_job, is_kept=pair.kept is not None,
        reason=line.reason if line else "",
    )  # fmt: skip


def fate_of(line: PairSettlement | None) -> PairFate:
    """What a pair's settlement says; None: it has none yet."""
    if line is None:
        return PairFate.OPEN
    if line.champion is None or line.canary is None:
        return PairFate.EXCLUDED
    solved = (line.champion >= SOLVED, line.canary >= SOLVED)
    return {
        (True, True): PairFate.BOTH, (True, False): PairFate.CHAMPION, (False, True): PairFate.CANARY,
    }.get(solved, PairFate.NEITHER)  # fmt: skip
