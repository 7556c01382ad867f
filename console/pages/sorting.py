"""The order of a page's table, as its address asks for it: `?sort=opened`, `?sort=-opened` for latest first.

Pure. A page names the columns of its table, each with what a row is ordered by there. What is not known comes
last in either order, rows that are alike stay as they were, and text is ordered as people do: case does not
count, and `v9` comes before `v10`.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

from routing.errors import InvalidInputError

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
