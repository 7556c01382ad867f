"""`coalmine backtest …`: cases from a repository's own past, and trying versions on them.

A case is a file of JSON in a folder, `coalmine-cases` unless `--cases` names another. Making cases reads the
repository and its issues, and runs the judge; nothing is written outside the folder.
"""

from pathlib import Path
from typing import Annotated

import typer

from console.invocation import AsJson, examples, opened
from console.output.trials.backtest_views import cases_view, collected_document, collected_view
from harvest.backtests.case_proof import Dropped
from routing.errors import InvalidInputError
from tasks.backtests.case_folder import CaseFolder
from tasks.backtests.collecting import Collected, Looked
from tasks.backtests.common_form import case_of, common_lines, common_of, true_change, written
from tasks.backtests.proving import prove
from tasks.composition.backtest_parts import CaseParts
from tasks.composition.composition import Coalmine
from tasks.composition.forge_parts import ForgeParts

backtest_app = typer.Typer(help="Versions on past issues whose answer is known.", no_args_is_help=True)

CASES = Path("coalmine-cases")

Folder = Annotated[Path, typer.Option("--cases", metavar="DIR", help="The folder of cases.")]
Repository = Annotated[
    str, typer.Argument(metavar="[REPOSITORY]", help="[FORGE:]REPOSITORY. (default: the only one)")
]
JudgeCommand = Annotated[
    str,
    typer.Option(
        "--judge", metavar="COMMAND", help="A judge in place of the settings', which the cases keep."
    ),
]
File = Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines.")]


def case_parts(coalmine: Coalmine, command: str = "") -> CaseParts:
    """What makes and proves cases. Nothing is asked of a forge yet."""
    forges = ForgeParts(coalmine=coalmine, run_ci=lambda _commit: None)
    return CaseParts(parts=coalmine, forges=forges, command=command)


@backtest_app.command(
    epilog=examples("backtest collect", "backtest collect github:acme/shop --most 50 --judge 'make test'")
)
def collect(
    ctx: typer.Context,
    repository: Repository = "",
    *,
    cases: Folder = CASES,
    most: Annotated[int, typer.Option(min=1, max=10_000, help="Make at most this many cases.")] = 100,
    looks: Annotated[int, typer.Option(min=1, max=100_000, help="Look at so many changes at most.")] = 1000,
    judge: JudgeCommand = "",
    as_json: AsJson = False,
) -> None:
    """Make cases of a repository's past: changes that closed an issue and brought tests, each proven."""
    coalmine, terminal = opened(ctx, as_json=as_json)
    parts, folder = case_parts(coalmine, judge), CaseFolder(cases)
    done = Collected()
    with parts.collector(parts.repository(repository)) as collector:
        for one in collector.collect(most=most, looks=looks, known=folder.known()):
            done.add(one)
            if one.case is not None:
                folder.write([one.case])
                terminal.note(f"{one.commit[:12]} is case {one.case.id}")
            elif one.dropped is not None and one.dropped not in {Dropped.NO_TESTS, Dropped.NO_ISSUE}:
                terminal.note(f"{one.commit[:12]} makes no case: {one.note or one.dropped.words}")
    terminal.answer(collected_document(done, cases), *collected_view(done, cases))


@backtest_app.command("list", epilog=examples("backtest list", "backtest list --cases shop-cases --json"))
def list_(ctx: typer.Context, *, cases: Folder = CASES, as_json: AsJson = False) -> None:
    """List the cases of a folder."""
    _, terminal = opened(ctx, as_json=as_json, reads=True)
    found = CaseFolder(cases).read()
    document = {
        "cases": [
            {
                "id": case.id, "repository": case.repository, "base": case.base, "title": case.title,
                "issue": case.origin.issue or None, "hidden": [file.path for file in case.hidden],
            }
            for case in found
        ]
    }  # fmt: skip
    terminal.answer(document, cases_view(found))


@backtest_app.command("import", epilog=examples("backtest import cases.jsonl github:acme/shop"))
def import_(
    ctx: typer.Context,
    file: File,
    repository: Repository = "",
    *,
    cases: Folder = CASES,
    judge: JudgeCommand = "",
    as_json: AsJson = False,
) -> None:
    """Take cases of the field's common form (JSON lines with patches), each proven as `collect` does it."""
    coalmine, terminal = opened(ctx, as_json=as_json)
    lines = list(common_lines(_text(file)))
    parts, folder = case_parts(coalmine, judge), CaseFolder(cases)
    named, done = parts.repository(repository), Collected()
    with parts.scratch(named) as (git, _):
        for line in lines:
            case = case_of(line, git, repository=named).model_copy(update={"judge": judge})
            change = true_change(case, git)
            proof = prove(case, change, parts.judge(case), git, work_dir=git.directory.parent / "judge")
            kept = case if proof.dropped is None else None
            done.add(Looked(commit=case.base, case=kept, dropped=proof.dropped))
            folder.write([kept] if kept else [])
            if proof.dropped is not None:
                terminal.note(f"{case.id} is not taken: {proof.dropped.words}")
    terminal.answer(collected_document(done, cases), *collected_view(done, cases))


@backtest_app.command("export", epilog=examples("backtest export cases.jsonl github:acme/shop"))
def export(
    ctx: typer.Context,
    file: File,
    repository: Repository = "",
    *,
    cases: Folder = CASES,
    as_json: AsJson = False,
) -> None:
    """Write the cases of a repository in the field's common form: JSON lines with patches."""
    coalmine, terminal = opened(ctx, as_json=as_json)
    parts = case_parts(coalmine)
    named = parts.repository(repository)
    found = [case for case in CaseFolder(cases).read() if case.repository == named]
    with parts.scratch(named) as (git, _):
        lines = written([common_of(case, git) for case in found])
    file.write_text(lines, encoding="utf-8")
    terminal.answer({"file": str(file), "cases": len(found)}, f"{len(found)} cases are in {file}")


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        message = f"{file} cannot be read: {error}"
        raise InvalidInputError(message) from error
