"""Cases and backtests in words and as JSON."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType

from console.output.rendering import Prose, duration, evidence, iso, number, one_line, table, when
from console.output.trials.difference_words import difference_cell, difference_words
from console.output.trials.pair_picture import pairs_document, pairs_view
from console.output.trials.trial_explanation import unit_document, units_view
from harvest.backtests.case import Case
from harvest.backtests.case_health import alarms_of
from harvest.backtests.case_proof import Dropped
from harvest.evidence.explanation import ExplainedUnit
from harvest.evidence.health import HealthCheck
from harvest.pairs.pair_counts import SOLVED
from harvest.pairs.pair_ledger import PairSettlement
from routing.store.backtests.backtest_store import Backtest, BacktestState
from routing.templates.trial import Trial, TrialState

if TYPE_CHECKING:  # lists of versions are shown without what runs backtests
    from tasks.backtests.collecting import Collected
    from tasks.backtests.common_import import LeftOut, SharedLines
    from tasks.backtests.report import ArmCost, BacktestReport, LaterTrial


def collected_document(done: "Collected", folder: Path) -> dict[str, Any]:
    """What became of the changes that were looked at."""
    return {
        "folder": str(folder),
        "looked_at": done.looked,
        "known": done.known,
        "cases": [case.id for case in done.cases],
        "text_may_be_newer": done.newer,
        "dropped": {why.value: done.dropped[why] for why in Dropped},
    }


def collected_view(done: "Collected", folder: Path) -> Iterator[RenderableType]:
    """The same for people: how many of each."""
    rows = [("kept", str(len(done.cases)), "its tests fail before its change and pass after it, twice")]
    if done.newer:
        rows.append(("of them changed", str(done.newer), "its issue was changed after it: read its text"))
    if done.known:
        rows.append(("known", str(done.known), "its case was there"))
    rows += [(why.value, str(done.dropped[why]), why.words) for why in Dropped if done.dropped[why]]
    yield table(("change", ">number", "why"), rows)
    yield f"{len(done.cases)} new cases are in {folder}, of {done.looked} changes"


def imported_document(done: "Collected", shared: "SharedLines", folder: Path) -> dict[str, Any]:
    """What became of the lines of a file."""
    left_out = [{"line": one.line, "case": one.case or None, "reason": one.reason} for one in shared.wrong]
    others = dict(shared.others.most_common())
    return collected_document(done, folder) | {"left_out": left_out, "other_repositories": others}


def imported_view(done: "Collected", shared: "SharedLines", folder: Path) -> Iterator[RenderableType]:
    """The same for people; the lines that were left out have been named one by one."""
    yield from collected_view(done, folder)
    if shared.wrong:
        yield f"left out: {len(shared.wrong)} lines that cannot be read, or do not fit"
    if shared.others:
        names = [f"{one_line(repo)[:80]} ({count})" for repo, count in shared.others.most_common(_NAMED)]
        more = len(shared.others) - len(names)
        rest = f" and {more} more" if more > 0 else ""
        yield f"left out: {shared.others.total()} lines of other repositories: {', '.join(names)}{rest}"


#: Other repositories of an imported file that are named to people; --json has all of them.
_NAMED = 20


def left_out_words(one: "LeftOut") -> str:
    """`line 4 (shop-17) is left out: …`."""
    name = f" ({one.case[:80]})" if one.case else ""
    return f"line {one.line}{name} is left out: {one.reason}"


def cases_view(cases: Sequence[Case]) -> RenderableType:
    """Cases, one a line."""
    return table(
        ("case", "repository", "base", ">hidden files", "text", "title"),
        [
            (
                case.id,
                case.repository,
                case.base[:12],
                str(len(case.hidden)),
                case.origin.text,
                one_line(case.title),
            )
            for case in cases
        ],
    )


#: How a backtest ended, in words.
VERDICTS = {
    BacktestState.RUNNING: "it is running",
    BacktestState.NOT_WORSE: "the version is not worse",
    BacktestState.WORSE: "the version is worse",
    BacktestState.UNDECIDED: "undecided",
    BacktestState.STOPPED: "stopped",
}

#: How the state of a backtest is shown: a class of the style sheet.
TONES = {
    BacktestState.RUNNING: "running",
    BacktestState.NOT_WORSE: "ok",
    BacktestState.WORSE: "problem",
    BacktestState.UNDECIDED: "warning",
    BacktestState.STOPPED: "stopped",
}


def backtest_document(run: Backtest) -> dict[str, Any]:
    """A backtest for scripts, without its pairs."""
    return {
        "id": run.id,
        "template": run.template,
        "version": run.canary_id,
        "champion": run.champion_id,
        "state": run.state.value,
        "reason": run.reason,
        "cases": len(run.cases),
        "budget_usd": run.budget_usd,
        "fresh": run.fresh,
        "refuse": run.refuse,
        "held_by": list(run.alarms),
        "released": list(run.released),
        "step": run.place.document(),
        "by": run.by,
        "opened_at": iso(run.opened_at),
        "closed_at": iso(run.closed_at),
    }


def backtests_view(runs: Sequence[Backtest]) -> RenderableType:
    """Backtests, one a line."""
    return table(
        ("backtest", "version", "against", "state", ">cases", "begun"),
        [
            (
                run.id,
                run.canary_id,
                run.champion_id,
                f"{run.state.value}{', held' if run.is_in_doubt else ''}",
                str(len(run.cases)),
                when(run.opened_at),
            )
            for run in runs
        ],
    )


def report_document(report: "BacktestReport") -> dict[str, Any]:
    """The report for scripts."""
    decision = report.evidence.decide(elapsed_days=0.0)
    return {
        "backtest": backtest_document(report.run),
        "evidence": dict(decision.evidence),
        "thresholds": dict(decision.thresholds),
        "pairs": pairs_document(report.evidence),
        "difference": report.difference.document(),
        "kept_results": report.kept,
        "cost": {"champion": _cost(report.champion), "canary": _cost(report.canary)},
        "lost": [
            {
                "case": one.name, "champion_job": one.champion_job, "canary_job": one.canary_job,
                "reason": one.reason, "judge": list(one.judge),
            }
            for one in report.lost
        ],
        "left_out": [
            {"case": report.name_of(line.index), "reason": line.reason}
            for line in report.lines
            if line.kind == "excluded"
        ],
        "network_open": report.unconfined,
        "network_known": report.looked,
        "network_beyond_models": list(report.beyond),
        "later_trials": [
            {
                "trial": one.trial.id, "mode": one.trial.mode.value, "state": one.trial.state.value,
                "foretold": foretold(report.run, one.trial),
                "difference": one.difference.document() if one.difference else None,
            }
            for one in report.later
        ],
    }  # fmt: skip


def report_view(report: "BacktestReport") -> Iterator[RenderableType]:
    """The report for people."""
    run, decision = report.run, report.evidence.decide(elapsed_days=0.0)
    because = f" ({run.reason})" if run.reason else ""
    yield f"{run.id}: {run.canary_id} against {run.champion_id}: {VERDICTS[run.state]}{because}"
    yield from pairs_view(report.evidence)
    if said := difference_words(report.difference):
        yield Prose(said)
    rows = [
        (name.replace("_", " "), evidence(value), evidence(decision.thresholds[name]))
        for name, value in decision.evidence.items()
    ]
    yield ""
    yield table(("evidence for", ">is", ">needs"), rows)
    yield ""
    costs = (("champion", run.champion_id, report.champion), ("canary", run.canary_id, report.canary))
    yield table(
        ("arm", "version", ">jobs", ">USD", ">unknown", ">time"),
        [
            (arm, version, str(cost.jobs), _usd(cost), str(cost.unknown), duration(cost.seconds))
            for arm, version, cost in costs
        ],
    )
    yield from map(Prose, remarks(report))
    yield from (Prose(later_words(report, one)) for one in report.later)
    for one in report.lost:
        yield ""
        yield f"lost: {one.name} (coalmine job logs {one.canary_job}; coalmine job logs {one.champion_job})"
        yield from (f"    {line}" for line in one.judge)


def explained_document(report: "BacktestReport", lines: Sequence[ExplainedUnit]) -> dict[str, Any]:
    """What its verdict rests on, for scripts: each pair with its case, as `trial explain` has it."""
    return {
        "backtest": report_document(report),
        "pairs": [
            unit_document(line) | {"case": report.name_of(line.dispatched.index)} for line in lines
        ],
    }  # fmt: skip


def explained_view(
    report: "BacktestReport", lines: Sequence[ExplainedUnit], *, every: bool
) -> Iterator[RenderableType]:
    """The same for people: the report's first lines, then the pairs."""
    run = report.run
    yield f"{run.id}: {run.canary_id} against {run.champion_id}: {VERDICTS[run.state]}"
    yield from map(Prose, held_words(report))
    yield ""
    if not lines:
        yield "No case has been given out yet."
        return
    names = [report.name_of(line.dispatched.index) for line in lines]
    yield from units_view(lines, unit=report.evidence.unit_name, every=every, cases=names)


def remarks(report: "BacktestReport") -> Iterator[str]:
    """What a reader must know of how it was made."""
    left_out = [line for line in report.lines if line.kind == "excluded"]
    yield from held_words(report)
    if report.kept:
        words = "of the champion were kept from before, and are not new samples; --fresh makes them anew"
        yield f"{report.kept} results {words}."
    if report.unconfined:
        yield (
            f"{report.unconfined} of {report.looked} jobs ran without a sandbox: their agents could reach "
            "the network and this machine, and perhaps the answer."
        )
    if report.beyond:
        hosts = ", ".join(report.beyond)
        yield f"Jobs in a sandbox could reach these hosts beside the APIs of models: {hosts}."
    for line in left_out:
        yield f"{report.name_of(line.index)} was left out: {line.reason.removeprefix('left out: ')}"


def held_words(report: "BacktestReport") -> Iterator[str]:
    """Which checks of its health have fired, and what people can do, or did, about it."""
    run = report.run
    alarms = alarms_of(run, report.evidence)
    yield from (alarm.sentence for alarm in alarms)
    if any(alarm.check is HealthCheck.EXCLUSIONS for alarm in alarms) and report.kept_and_left_out:
        yield (
            f"Of the pairs left out {report.kept_and_left_out} had a kept result of the champion's, so that "
            f"{run.canary_id} alone could leave them out: look at their reasons, or run it with --fresh."
        )
    if run.is_in_doubt:
        yield (
            f"Until a person decides, no verdict is carried out: `coalmine backtest resume {run.id}` or "
            f"`coalmine backtest stop {run.id}`."
        )
    if run.released:
        yield f"A person let it go on although this was found: {', '.join(run.released)}."


def later_words(report: "BacktestReport", later: "LaterTrial") -> str:
    """How a trial since has ended, and how well that was foretold: both verdicts, and both differences."""
    run, trial = report.run, later.trial
    agrees = {None: "", True: ", as foretold", False: ", not as foretold"}[foretold(run, trial)]
    return (
        f"Since then trial {trial.id} ({trial.mode}) is {trial.state}{agrees}; this backtest: "
        f"{VERDICTS[run.state]}. Difference in the trial: {difference_cell(later.difference)}; here: "
        f"{difference_cell(report.difference)}."
    )


def foretold(run: Backtest, trial: Trial) -> bool | None:
    """Whether a later trial of the same version ended as the backtest said; None: one has not decided."""
    said = {BacktestState.NOT_WORSE: True, BacktestState.WORSE: False}.get(run.state)
    was = {TrialState.GRADUATED: True, TrialState.ROLLED_BACK: False}.get(trial.state)
    return None if said is None or was is None else said is was


def pair_words(report: "BacktestReport", line: PairSettlement) -> str:
    """One pair that has ended, in a line."""
    name = report.name_of(line.index)
    if line.champion is None or line.canary is None:
        return f"{name}: {line.reason}"
    solved = [arm for arm, score in (("champion", line.champion), ("canary", line.canary)) if score >= SOLVED]
    return f"{name}: solved by {' and '.join(solved) or 'neither'}"


def _cost(cost: "ArmCost") -> dict[str, Any]:
    known = cost.unknown < cost.jobs
    return {
        "jobs": cost.jobs, "usd": cost.usd if known else None, "unknown": cost.unknown,
        "seconds": cost.seconds,
    }  # fmt: skip


def _usd(cost: "ArmCost") -> str:
    return number(cost.usd if cost.unknown < cost.jobs else None)
