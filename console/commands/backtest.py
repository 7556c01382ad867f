"""`coalmine backtest …`: cases from a repository's own past, and trying versions on them.

A case is a file of JSON in the folder of the settings, unless `--cases` names another. Making cases reads the
repository and its issues, and runs the judge; nothing is written outside the folder.
"""

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from console.boundary import ExitCode
from console.completion import complete_version
from console.details.backtest_detail import list_backtests, report_of
from console.invocation import AsJson, Reason, examples, noted, opened, started
from console.output.terminal import Terminal
from console.output.trials.backtest_views import (
    backtest_document,
    backtests_view,
    cases_view,
    collected_document,
    collected_view,
    explained_document,
    explained_view,
    held_words,
    imported_document,
    imported_view,
    left_out_words,
    pair_words,
    report_document,
    report_view,
)
from console.output.trials.trial_replay import replayed_backtest
from harvest.backtests.case_proof import Dropped
from routing.errors import CorruptRecordError, InvalidInputError
from routing.store.backtests.backtest_store import Backtest, BacktestState
from tasks.backtests.case_folder import CaseFolder
from tasks.backtests.collecting import Collected
from tasks.backtests.common_form import common_lines, common_of, written
from tasks.backtests.common_import import CommonImport, LeftOut, shared_lines
from tasks.backtests.opening import BacktestOrder
from tasks.backtests.report import explained
from tasks.broker import HARVEST
from tasks.composition.backtest_parts import CaseParts
from tasks.composition.composition import Coalmine
from tasks.composition.forge_parts import ForgeParts

backtest_app = typer.Typer(help="Versions on past issues whose answer is known.", no_args_is_help=True)

Folder = Annotated[
    Path | None,
    typer.Option("--cases", metavar="DIR", help="The folder of cases. (default: backtest.cases)"),
]
Repository = Annotated[
    str, typer.Argument(metavar="[REPOSITORY]", help="[FORGE:]REPOSITORY. (default: the only one)")
]
JudgeCommand = Annotated[
    str,
    typer.Option(
        "--judge", metavar="COMMAND", help="A judge in place of the settings', which the cases keep."
    ),
]
Reference = Annotated[
    str, typer.Argument(metavar="BACKTEST", help="A backtest's id, or a template for its last one.")
]
#: Seconds of one wait for news of a backtest that is followed.
WAIT_SECONDS = 2.0

File = Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines.")]


def folder_of(coalmine: Coalmine, given: Path | None) -> CaseFolder:
    """The folder that is named, or that of the settings."""
    return CaseFolder(given or coalmine.settings.backtest.cases)


def case_parts(coalmine: Coalmine, command: str = "", *, keeps_changed: bool = False) -> CaseParts:
    """What makes and proves cases. Nothing is asked of a forge yet."""
    forges = ForgeParts(coalmine=coalmine, run_ci=lambda _commit: None)
    return CaseParts(parts=coalmine, forges=forges, command=command, keeps_changed=keeps_changed)


@backtest_app.command(
    epilog=examples("backtest collect", "backtest collect github:acme/shop --most 50 --judge 'make test'")
)
def collect(
    ctx: typer.Context,
    repository: Repository = "",
    *,
    cases: Folder = None,
    most: Annotated[int, typer.Option(min=1, max=10_000, help="Make at most this many cases.")] = 100,
    looks: Annotated[int, typer.Option(min=1, max=100_000, help="Look at so many changes at most.")] = 1000,
    judge: JudgeCommand = "",
    keep_changed: Annotated[
        bool,
        typer.Option(
            "--keep-changed", help="Also cases whose issue was changed after its change: read their texts."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make cases of a repository's past: changes that closed an issue and brought tests, each proven."""
    coalmine, terminal = opened(ctx, as_json=as_json)
    parts, folder = case_parts(coalmine, judge, keeps_changed=keep_changed), folder_of(coalmine, cases)
    done = Collected()
    with parts.collector(parts.repository(repository)) as collector:
        for one in collector.collect(most=most, looks=looks, known=folder.known()):
            done.add(one)
            if one.case is not None:
                folder.write([one.case])
                terminal.note(f"{one.commit[:12]} is case {one.case.id}")
            elif one.dropped is not None and one.dropped not in {Dropped.NO_TESTS, Dropped.NO_ISSUE}:
                terminal.note(f"{one.commit[:12]} makes no case: {one.note or one.dropped.words}")
    terminal.answer(collected_document(done, folder.path), *collected_view(done, folder.path))


@backtest_app.command("cases", epilog=examples("backtest cases", "backtest cases --cases shop-cases --json"))
def cases_(ctx: typer.Context, *, cases: Folder = None, as_json: AsJson = False) -> None:
    """List the cases of a folder."""
    coalmine, terminal = opened(ctx, as_json=as_json, reads=True)
    found = folder_of(coalmine, cases).read()
    document = {
        "cases": [
            {
                "id": case.id, "repository": case.repository, "base": case.base, "title": case.title,
                "issue": case.origin.issue or None, "hidden": [file.path for file in case.hidden],
                "text": case.origin.text,
            }
            for case in found
        ]
    }  # fmt: skip
    terminal.answer(document, cases_view(found))


@backtest_app.command(
    "import",
    epilog=examples(
        "backtest import cases.jsonl", "backtest import cases.jsonl github:acme/fork --of acme/shop"
    ),
)
def import_(
    ctx: typer.Context,
    file: File,
    repository: Annotated[
        str,
        typer.Argument(
            metavar="[REPOSITORY]",
            help="Import the lines of [FORGE:]REPOSITORY alone. (default: of every one that is served)",
        ),
    ] = "",
    *,
    of: Annotated[
        str,
        typer.Option(
            metavar="REPO", help="The `repo` of its lines, where the file names REPOSITORY otherwise."
        ),
    ] = "",
    cases: Folder = None,
    judge: JudgeCommand = "",
    as_json: AsJson = False,
) -> None:
    """Take cases of the field's common form (JSON lines with patches), each proven as `collect` does it.

    Lines of other repositories are counted, lines that do not fit are named; the exit code is 1 then.
    """
    coalmine, terminal = opened(ctx, as_json=as_json)
    parts, folder, done = case_parts(coalmine, judge), folder_of(coalmine, cases), Collected()
    shared = shared_lines(common_lines(_text(file)), parts.place_of_line(repository, of))
    for one in shared.wrong:
        terminal.note(left_out_words(one))
    for place, lines in shared.served.items():
        with parts.scratch(place) as (git, _):
            importing = CommonImport(git=git, repository=place, judge=parts.judge, command=judge)
            for number, line in lines:
                taken = importing.take(number, line)
                if isinstance(taken, LeftOut):
                    shared.wrong.append(taken)
                    terminal.note(left_out_words(taken))
                    continue
                done.add(taken)
                folder.write([taken.case] if taken.case else [])
                if taken.dropped is not None:
                    terminal.note(f"{line.instance_id} is not taken: {taken.dropped.words}")
    terminal.answer(imported_document(done, shared, folder.path), *imported_view(done, shared, folder.path))
    if shared.wrong or shared.others:
        raise typer.Exit(ExitCode.FAILED)


@backtest_app.command("export", epilog=examples("backtest export cases.jsonl github:acme/shop"))
def export(
    ctx: typer.Context,
    file: File,
    repository: Repository = "",
    *,
    cases: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Write the cases of a repository in the field's common form: JSON lines with patches."""
    coalmine, terminal = opened(ctx, as_json=as_json)
    parts = case_parts(coalmine)
    named = parts.repository(repository)
    found = [case for case in folder_of(coalmine, cases).read() if case.repository == named]
    with parts.scratch(named) as (git, _):
        lines = written([common_of(case, git) for case in found])
    file.write_text(lines, encoding="utf-8")
    terminal.answer({"file": str(file), "cases": len(found)}, f"{len(found)} cases are in {file}")


@backtest_app.command(
    epilog=examples(
        "backtest run implementer@v3",
        "backtest run implementer@v3 --against implementer@v1 --most 60 --budget-usd 50 --refuse",
    )
)
def run(
    ctx: typer.Context,
    version: Annotated[
        str,
        typer.Argument(
            metavar="VERSION",
            autocompletion=complete_version,
            help="The version to try; NAME means its latest.",
        ),
    ],
    *,
    against: Annotated[
        str,
        typer.Option(metavar="VERSION", autocompletion=complete_version, help="(default: the champion)"),
    ] = "",
    cases: Folder = None,
    most: Annotated[
        int | None, typer.Option(min=1, help="Work on at most so many cases. (default: all)")
    ] = None,
    budget_usd: Annotated[
        float | None, typer.Option(min=0.01, help="End undecided when so much is known to be spent.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Have the champion work anew on every case.")
    ] = False,
    refuse: Annotated[bool, typer.Option("--refuse", help="Reject the version if it is worse.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Begin, and do not wait for the end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Have two versions work on past issues until the test answers. The exit code is 1 if it is worse.

    It goes on in the fleet when this command is ended.
    """
    coalmine, terminal = opened(ctx, as_json=as_json)
    canary = coalmine.templates.find(version, default="latest")
    begun = coalmine.backtest_opening.open(
        BacktestOrder(
            canary=canary, champion=coalmine.templates.find(against or canary.template),
            cases=folder_of(coalmine, cases).read(), most=most, budget_usd=budget_usd, fresh=fresh,
            refuse=refuse, by=started(ctx).user,
        )
    )  # fmt: skip
    noted(ctx, begun.id)
    terminal.note(
        f"{begun.id}: {begun.canary_id} against {begun.champion_id} on at most {len(begun.cases)} cases; "
        f"`coalmine backtest stop {begun.id}` ends it"
    )
    _ask_for_harvest(coalmine)
    if not detach:
        _follow(coalmine, begun, terminal)
    report = report_of(coalmine, begun.id)
    terminal.answer(report_document(report), *report_view(report))
    if report.run.state is BacktestState.WORSE:
        raise typer.Exit(ExitCode.FAILED)


@backtest_app.command(epilog=examples("backtest show implementer", "backtest show implementer-b2 --json"))
def show(ctx: typer.Context, backtest: Reference, *, as_json: AsJson = False) -> None:
    """Print the report of a backtest: verdict, who solved what, cost, and the cases that the version lost."""
    coalmine, terminal = opened(ctx, as_json=as_json, reads=True)
    report = report_of(coalmine, backtest)
    terminal.answer(report_document(report), *report_view(report))


@backtest_app.command(epilog=examples("backtest explain implementer", "backtest explain shop-b2 --all"))
def explain(
    ctx: typer.Context,
    backtest: Reference,
    *,
    every: Annotated[bool, typer.Option("--all", help="Print every pair, not only the last ones.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print what the verdict rests on: each pair in the order of dispatch, its factors and the evidence."""
    coalmine, terminal = opened(ctx, as_json=as_json, reads=True)
    report = report_of(coalmine, backtest)
    lines = explained(report)
    terminal.answer(explained_document(report, lines), *explained_view(report, lines, every=every))


@backtest_app.command(epilog=examples("backtest replay implementer"))
def replay(ctx: typer.Context, backtest: Reference, *, as_json: AsJson = False) -> None:
    """Recompute a backtest from its ledger and compare with what is stored; exit code 6 when they differ."""
    coalmine, terminal = opened(ctx, as_json=as_json, reads=True)
    found = coalmine.backtest_opening.find(backtest)
    outcome = replayed_backtest(coalmine, found)
    terminal.answer(outcome.document(), *outcome.view())
    # The answer is printed first, so that --json has both states whatever the exit code says.
    if not outcome.same:
        message = (
            f"the stored state of backtest {found.id} is not what its ledger gives; stop it with "
            f"`coalmine backtest stop {found.id}` and begin another one"
        )
        raise CorruptRecordError(message)


@backtest_app.command("list", epilog=examples("backtest list implementer"))
def list_(
    ctx: typer.Context,
    template: Annotated[str | None, typer.Argument(help="Only backtests of this template.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List all backtests, running and ended."""
    coalmine, terminal = opened(ctx, as_json=as_json, reads=True)
    found = list_backtests(coalmine, template or "")
    terminal.answer({"backtests": [backtest_document(one) for one in found]}, backtests_view(found))


@backtest_app.command(epilog=examples("backtest resume implementer-b2 --reason 'its account was full'"))
def resume(ctx: typer.Context, backtest: Reference, *, reason: Reason = "", as_json: AsJson = False) -> None:
    """Let a backtest decide again that holds itself, because its health is in doubt. It is recorded."""
    coalmine, terminal = opened(ctx, as_json=as_json)
    found = coalmine.backtest_opening.find(backtest)
    resumed, changed = coalmine.backtest_opening.resume(found, by=started(ctx).user, reason=reason)
    if changed:
        noted(ctx, resumed.id, reason=reason)
    done = "decides again" if changed else "is held by no check; nothing was changed"
    terminal.answer({"changed": changed, "backtest": backtest_document(resumed)}, f"{resumed.id} {done}")


@backtest_app.command(epilog=examples("backtest stop implementer-b2 --reason 'wrong cases'"))
def stop(ctx: typer.Context, backtest: Reference, *, reason: Reason = "", as_json: AsJson = False) -> None:
    """End a backtest without a verdict."""
    coalmine, terminal = opened(ctx, as_json=as_json)
    found = coalmine.backtest_opening.find(backtest)
    ended, changed = coalmine.backtest_opening.stop(found, by=started(ctx).user, reason=reason)
    if changed:
        noted(ctx, ended.id, reason=reason)
    done = "is stopped" if changed else f"has ended already ({ended.state}); nothing was changed"
    terminal.answer({"changed": changed, "backtest": backtest_document(ended)}, f"{ended.id} {done}")


def _ask_for_harvest(coalmine: Coalmine) -> None:
    """Have the first case given out now; without that, at the next harvest."""
    with suppress(KombuError, OSError, RedisError):
        coalmine.app.send_task(HARVEST, queue="control", ignore_result=True)


def _follow(coalmine: Coalmine, begun: Backtest, terminal: Terminal) -> None:
    """Say what becomes of each pair, and that it waits for a person, until the backtest has ended."""
    newest = coalmine.events.newest(1)
    alarms: tuple[str, ...] = ()
    seen, last = 0, newest[0].id if newest else "0-0"
    while True:
        ended = not coalmine.backtest_opening.find(begun.id).is_running
        report = report_of(coalmine, begun.id)
        for line in report.lines[seen:]:
            terminal.note(pair_words(report, line))
        seen = len(report.lines)
        if report.run.alarms != alarms:
            alarms = report.run.alarms
            for words in held_words(report):
                terminal.note(words)
        if ended:
            return
        events = coalmine.events.after(last, wait_seconds=WAIT_SECONDS)
        last = events[-1].id if events else last


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        message = f"{file} cannot be read: {error}"
        raise InvalidInputError(message) from error
