"""Cases and backtests in words and as JSON."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from console.output.rendering import one_line, table
from harvest.backtests.case import Case
from harvest.backtests.case_proof import Dropped
from tasks.backtests.collecting import Collected


def collected_document(done: Collected, folder: Path) -> dict[str, Any]:
    """What became of the changes that were looked at."""
    return {
        "folder": str(folder),
        "looked_at": done.looked,
        "known": done.known,
        "cases": [case.id for case in done.cases],
        "dropped": {why.value: done.dropped[why] for why in Dropped},
    }


def collected_view(done: Collected, folder: Path) -> Iterator[RenderableType]:
    """The same for people: how many of each."""
    rows = [("kept", str(len(done.cases)), "its tests fail before its change and pass after it, twice")]
    if done.known:
        rows.append(("known", str(done.known), "its case was there"))
    rows += [(why.value, str(done.dropped[why]), why.words) for why in Dropped if done.dropped[why]]
    yield table(("change", ">number", "why"), rows)
    yield f"{len(done.cases)} new cases are in {folder}, of {done.looked} changes"


def cases_view(cases: Sequence[Case]) -> RenderableType:
    """Cases, one a line."""
    return table(
        ("case", "repository", "base", ">hidden files", "title"),
        [
            (case.id, case.repository, case.base[:12], str(len(case.hidden)), one_line(case.title))
            for case in cases
        ],
    )
