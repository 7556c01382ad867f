"""`coalmine cost`: what agents have cost, by day, version, trial or job.

A turn counts when it ends, in the day on which it ends (UTC). What runs now is on `coalmine status`.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from console.invocation import AsJson, examples, opened
from console.output.cost_views import cost_document, costs_view
from routing.cost import NO_COST, Cost
from routing.store.jobs.cost_store import DAY_SECONDS
from tasks.composition.composition import Coalmine


class CostBy(StrEnum):
    """What is summed up a line."""

    DAY = "day"
    TEMPLATE = "template"
    VERSION = "version"
    TRIAL = "trial"
    ARM = "arm"
    JOB = "job"


#: What the list is empty for, in words.
_NONE = "No turn of an agent has ended yet; `coalmine status` shows what runs."


cost_app = typer.Typer()


@cost_app.command(epilog=examples("cost", "cost --by version", "cost --by job --limit 50 --json"))
def cost(
    ctx: typer.Context,
    *,
    by: Annotated[CostBy, typer.Option(help="What a line stands for.")] = CostBy.DAY,
    limit: Annotated[
        int, typer.Option(min=1, max=400, metavar="N", help="The newest so many: days, trials or jobs.")
    ] = 14,
    as_json: AsJson = False,
) -> None:
    """Print what agents have cost. Dollars that an agent did not say are unknown, and never counted as 0."""
    coalmine, terminal = opened(ctx, as_json=as_json, reads=True)
    sums = dict(_sums(coalmine, by, limit))
    document = {
        "by": by.value,
        "sums": [{"name": name} | cost_document(found) for name, found in sums.items()],
        "together": cost_document(sum(sums.values(), NO_COST)),
    }
    terminal.answer(document, *costs_view(by.value, sums, none=_NONE))


def _sums(coalmine: Coalmine, by: CostBy, most: int) -> Iterator[tuple[str, Cost]]:
    """A name and a sum a line, those of no turn left out."""
    match by:
        case CostBy.DAY:
            found = _days(coalmine, most)
        case CostBy.TEMPLATE | CostBy.VERSION:
            found = _versions(coalmine, together=by is CostBy.TEMPLATE)
        case CostBy.TRIAL | CostBy.ARM:
            found = _trials(coalmine, most, together=by is CostBy.TRIAL)
        case CostBy.JOB:
            found = ((job.id, job.cost) for job in coalmine.jobs.newest(most=most))
    return ((name, total) for name, total in found if total.turns)


def _days(coalmine: Coalmine, most: int) -> Iterator[tuple[str, Cost]]:
    """The newest first, each with all templates."""
    today = coalmine.costs.today()
    days = range(today, today - most, -1)
    for day, sums in zip(days, coalmine.costs.of_days(days), strict=True):
        yield f"{datetime.fromtimestamp(day * DAY_SECONDS, tz=UTC):%Y-%m-%d}", sum(sums.values(), NO_COST)


def _versions(coalmine: Coalmine, *, together: bool) -> Iterator[tuple[str, Cost]]:
    for template in coalmine.templates.names():
        sums = coalmine.costs.of_versions(template)
        if together:
            yield template, sum(sums.values(), NO_COST)
        else:
            yield from ((f"{template}@{name}", sums[name]) for name in sorted(sums, key=_number))


def _trials(coalmine: Coalmine, most: int, *, together: bool) -> Iterator[tuple[str, Cost]]:
    trials = [
        trial.id for template in coalmine.templates.names() for trial in coalmine.trials.history(template)
    ]
    for trial, sums in zip(trials[:most], coalmine.costs.of_arms(trials[:most]), strict=True):
        if together:
            yield trial, sum(sums.values(), NO_COST)
        else:
            yield from ((f"{trial} {arm}", total) for arm, total in sums.items())


def _number(version: str) -> int:
    """The number of `v3`, to sort by."""
    return int(version.removeprefix("v"))
