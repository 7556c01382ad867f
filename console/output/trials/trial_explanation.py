"""The jobs, or pairs, that a verdict rests on, with their factors, for people and for scripts.

The numbers are recomputed from the ledger of a trial, or of a backtest, by `harvest.evidence.explanation`;
nothing is decided here. With them a person can check a verdict by hand: the product of a column of factors is
the wealth of that question.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from rich.console import RenderableType

from console.output.rendering import evidence, heading, number, one_line, table, text, word
from console.output.trials.difference_words import groups_view
from console.output.trials.trial_status import TrialStatus, trial_view
from harvest.evidence.explanation import ExplainedUnit
from harvest.evidence.group_differences import GroupDifference
from harvest.pairs.pair_ledger import PairDispatched

#: Differences by kind of group, such as by repository.
Groups = Mapping[str, Sequence[GroupDifference]]
NO_GROUPS: Groups = MappingProxyType({})

#: How many jobs of a long trial are shown without `--all`: the last ones.
SHOWN = 40

#: The largest logarithm whose exponential is still a float (math.log(sys.float_info.max) is 709.8).
_LARGEST_LN = 700.0
#: The first columns, by the unit of the test.
_OF_JOBS = ("!>#", "!job", "!arm", ">share", "?>draw", "?>baseline")
_OF_PAIRS = ("!>#", "!champion's job", "!canary's job", "?first", "?judged first", "?>discordance")
#: The two questions that every trial asks; all other readings are guardrails.
_MAIN = ("worse", "not_worse")


def explanation_document(
    status: TrialStatus, lines: Sequence[ExplainedUnit], groups: Groups = NO_GROUPS
) -> dict[str, Any]:
    """An explanation for scripts: always with every job."""
    return {
        "trial": status.document(),
        "groups": {kind: [each.document() for each in found] for kind, found in groups.items()},
        "jobs": [unit_document(line) for line in lines],
    }


def unit_document(line: ExplainedUnit) -> dict[str, Any]:
    """One job. `score` is null while the job is open or when it was excluded; `status` says which.

    `factors` has a number for each alternative of the test, `factor` the one that the mixed wealth is
    multiplied by, and `evidence` the largest mixed wealth up to this job.
    """
    return _unit(line) | {
        "status": line.status,
        "score": line.score,
        "reason": line.settlement.reason if line.settlement else "",
        "readings": {
            name: {
                "factors": list(reading.factors),
                "factor": reading.factor,
                "evidence": math.exp(min(reading.ln_evidence, _LARGEST_LN)),
            }
            for name, reading in line.readings.items()
        },
    }


def _unit(line: ExplainedUnit) -> dict[str, Any]:
    """What was dispatched, with its frozen bet: a pair, or a job."""
    found = line.dispatched
    if isinstance(found, PairDispatched):
        return found.model_dump(mode="json", exclude={"v"}) | {
            "champion_score": line.settlement.champion if line.settlement else None,
            "canary_score": line.settlement.canary if line.settlement else None,
            "judged_first": line.settlement.judged_first if line.settlement else None,
        }
    return {
        "index": found.index,
        "job": found.job_id,
        "arm": found.arm.value,
        "share": found.share,
        "draw": found.draw,
        "baseline": found.baseline,
        "stratum": found.stratum,
    }


def explanation_view(
    status: TrialStatus, lines: Sequence[ExplainedUnit], groups: Groups = NO_GROUPS, *, every: bool = False
) -> Iterator[RenderableType]:
    """An explanation for people: the trial's state, then its jobs, as `units_view` has them."""
    yield from trial_view(status)
    for kind, found in groups.items():
        yield from groups_view(kind, found)
    yield ""
    if not lines:
        yield "No job has been drawn yet."
        return
    yield from units_view(lines, unit=status.evidence.unit_name, every=every)


def units_view(
    lines: Sequence[ExplainedUnit], *, unit: str, every: bool, cases: Sequence[str] = ()
) -> Iterator[RenderableType]:
    """The table of at least one job, or pair; `cases` are names of pairs, in their order.

    At most SHOWN are shown unless `every` is; the evidence in each line counts the earlier ones as well.
    """
    guardrails = [name for name in lines[0].readings if name not in _MAIN]
    first = 0 if every else max(0, len(lines) - SHOWN)
    yield heading(f"{unit.capitalize()}s in the order of dispatch")
    columns = _OF_PAIRS if isinstance(lines[0].dispatched, PairDispatched) else _OF_JOBS
    yield table(
        (
            columns[0],
            *(("!case",) if cases else ()),
            *columns[1:],
            ">score",
            ">factor",
            ">worse",
            ">factor",
            ">not worse",
            *(f">{name.removeprefix('guardrail:')}" for name in guardrails),
        ),
        (
            [number_of, *(one_line(name) for name in cases[place : place + 1]), *others]
            for place, line in enumerate(lines[first:], start=first)
            for number_of, *others in [_row(line, guardrails)]
        ),
    )
    yield text(
        "A factor is what the line multiplies the wealth by; evidence is the largest wealth so far.", "dim"
    )
    if first:
        yield text(f"{first} earlier {unit}s are not shown; see them with --all.", "dim")


def _row(line: ExplainedUnit, guardrails: Sequence[str]) -> list[Any]:
    """One line of the table, in the order of its columns; guardrails have their evidence alone."""
    score = number(line.score) if line.settlement is None or line.score is not None else line.status
    worse, not_worse = (line.readings[name] for name in _MAIN)
    return [
        *_cells(line),
        "open" if line.settlement is None else score,
        f"{worse.factor:.3f}",
        _shown(worse.ln_evidence),
        f"{not_worse.factor:.3f}",
        _shown(not_worse.ln_evidence),
        *(_shown(line.readings[name].ln_evidence) for name in guardrails),
    ]


def _cells(line: ExplainedUnit) -> list[Any]:
    """The first columns of a line: what was dispatched, and what its bet was computed from."""
    found = line.dispatched
    if isinstance(found, PairDispatched):
        jobs = (found.champion_job, found.canary_job)
        judged = (line.settlement.judged_first if line.settlement else None) or "-"
        return [str(found.index), *jobs, word(found.first), word(judged), number(found.discordance)]
    return [
        str(found.index),
        found.job_id,
        word(found.arm),
        f"{found.share:g}",
        f"{found.draw:.4f}",
        number(found.baseline),
    ]


def _shown(ln_evidence: float) -> str:
    """Evidence from its logarithm, cut where a float would overflow."""
    return evidence(math.exp(min(ln_evidence, _LARGEST_LN)))
