"""The order of a table, as an address asks for it: `?sort=opened`, `?sort=-opened` for latest first.

Pure. A table names its columns, each with what a row is ordered by there. What is not known comes last in
either order, rows that are alike stay as they were, and text is ordered as people do: case does not count,
and `v9` comes before `v10`.

The tables that a person can have in another order are at the end. They are read whole, so that an order is
that of all rows. A table of which a page shows a part, as of jobs or issues, has the order of its store, and
filters.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

from console.details.account_lines import AccountLine
from console.details.fleet_lines import ProcessLine
from harvest.evidence.difference import Difference
from routing.accounts.closed_account import ClosedAccount
from routing.cost import Cost
from routing.errors import InvalidInputError
from routing.templates.trial import Trial
from routing.templates.version import Version

#: The parameter of an address that names a column of its page's first table.
SORT = "sort"

Row = TypeVar("Row")

#: What rows are ordered by in each column: a number, a text, or None where nothing is known.
Columns = Mapping[str, Callable[[Row], float | str | None]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sorting:
    """The columns that a table can be ordered by, and the one that was asked for."""

    columns: Sequence[str]
    column: str = ""  # "": the order of the page
    descends: bool = False
    query: Sequence[tuple[str, str]] = ()  # of the page's address, without `sort`

    def direction(self, column: str) -> str:
        """`ascending` or `descending` for the column that the table is ordered by, "" for any other."""
        if column != self.column:
            return ""
        return "descending" if self.descends else "ascending"

    @property
    def wish(self) -> str:
        """What the address asks for, as the end of another address; "" for the order of the page."""
        asked = f"-{self.column}" if self.descends else self.column
        return "?" + urlencode([(SORT, asked)]) if self.column else ""

    def address(self, column: str) -> str:
        """Where the page is ordered by a column; by the one that it is ordered by, the other way round."""
        asked = f"-{column}" if self.direction(column) == "ascending" else column
        return "?" + urlencode([*self.query, (SORT, asked)])


def sorted_rows(
    rows: Iterable[Row], columns: Columns[Row], query: Sequence[tuple[str, str]]
) -> tuple[list[Row], Sorting]:
    """Rows in the order that an address asks for, and what the headings of their table need to know.

    `query` has the pairs of the address. InvalidInputError for a column that the table has not.
    """
    asked = next((value for name, value in query if name == SORT), "")
    column, descends = asked.removeprefix("-"), asked.startswith("-")
    if asked and column not in columns:
        known = ", ".join(columns)
        message = f"the table has no column {column[:60]!r} to sort by; `{SORT}` can be one of: {known}"
        raise InvalidInputError(message)
    sorting = Sorting(
        columns=tuple(columns), column=column, descends=descends,
        query=[pair for pair in query if pair[0] != SORT],
    )  # fmt: skip
    if not asked:
        return list(rows), sorting
    keyed = [(_ordered(columns[column](row)), row) for row in rows]
    known_first = [pair for pair in keyed if pair[0] is not None]
    known_first.sort(key=lambda pair: pair[0], reverse=descends)  # stable in either order
    return [row for _, row in known_first] + [row for key, row in keyed if key is None], sorting


def _ordered(value: float | str | None) -> Any:
    if isinstance(value, str):
        parts = re.split(r"([0-9]+)", value.casefold())  # text and digits in turns, text first
        return [int(part) if place % 2 else part for place, part in enumerate(parts)] if value else None
    return value


#: Of trials. A step by how much of the canary's way it is, a difference by its value and not by its interval.
TRIALS: Columns[tuple[Trial, Difference | None]] = {
    "trial": lambda row: row[0].id,
    "state": lambda row: row[0].state.value,
    "step": lambda row: row[0].place.number / row[0].place.total,
    "canary": lambda row: row[0].canary_id,
    "champion": lambda row: row[0].champion_id,
    "share": lambda row: row[0].share,
    "difference": lambda row: row[1].value if row[1] is not None else None,
    "opened": lambda row: row[0].opened_at,
    "closed": lambda row: row[0].closed_at,
    "reason": lambda row: row[0].reason,
}

#: Of templates, as `template_documents` has them.
TEMPLATES: Columns[Mapping[str, Any]] = {
    "template": lambda row: row["template"],
    "champion": lambda row: row["champion"],
    "latest": lambda row: row["latest"],
    "proposals": lambda row: row["policy"],
    "trial": lambda row: row["trial"],
}

#: Of the versions of one template.
VERSIONS: Columns[tuple[Version, Cost]] = {
    "version": lambda row: row[0].number,
    "state": lambda row: row[0].state.value,
    "parent": lambda row: row[0].parent,
    "created": lambda row: row[0].created_at,
    "USD": lambda row: row[1].known_usd,
    "turns": lambda row: row[1].turns,
    "note": lambda row: row[0].note,
}

#: Of accounts; an open one is tried again before all others, one that waits for a person after them.
ACCOUNTS: Columns[tuple[AccountLine, ClosedAccount | None]] = {
    "account": lambda row: row[0].account,
    "model": lambda row: row[0].breaker.model,
    "state": lambda row: row[0].breaker.state.value,
    "why, and until when": lambda row: row[1].seconds_left if row[1] is not None else -1.0,
    "words": lambda row: row[0].breaker.words,
    "used": lambda row: row[0].breaker.used_at,
}

#: Of workers and beat.
PROCESSES: Columns[ProcessLine] = {
    "process": lambda row: row.name,
    "Coalmine": lambda row: row.report.version if row.report else None,
    "queues": lambda row: ", ".join(row.report.queues) if row.report else None,
    "clock ahead, s": lambda row: row.report.ahead_seconds if row.report else None,
    "works on": lambda row: len(row.jobs),
}
