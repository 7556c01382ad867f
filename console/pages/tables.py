"""The tables of a page as CSV: one rule for all of them, made from what the page shows. Pure.

A table stands in a region with a name (`<div class="scroll" … aria-label="Jobs"><table>`). Of a time the CSV
has the exact one; a column without a heading is for acts, and is left out. What a spreadsheet would take for
a formula is made text by an apostrophe before it, as OWASP advises; plain numbers stay numbers.
"""

import csv
import html
import io
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from urllib.parse import quote, urlencode

from markupsafe import Markup

#: The parameter of an address that names a table of its page.
CSV = "csv"

_REGION = re.compile(r'<div class="scroll"[^>]* aria-label="([^"]*)">\s*<table>')

#: What begins a formula, also in the wide forms of East Asian keyboards.
_FORMULA = re.compile(r"[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?[0-9][0-9,]*(\.[0-9]+)?%?")

#: What a page shows for nothing.
_NOTHING = "-"


def table_names(page: str) -> list[str]:
    """The names of the tables of a page, in their order."""
    return [html.unescape(name) for name in _REGION.findall(page)]


def with_csv_links(page: str, path: str, query: Sequence[tuple[str, str]]) -> str:
    """The page with a link to each of its tables as CSV, in its footer; the address keeps its filters."""
    names = table_names(page)
    if not names:
        return page
    address = quote(path, safe="/@:")
    links = Markup(", ").join(
        Markup('<a href="{}?{}">{}</a>').format(address, urlencode([*query, (CSV, name)]), name)
        for name in names
    )
    return page.replace("</footer>", f" · As CSV: {links}</footer>", 1)


def csv_of(page: str, name: str) -> str | None:
    """A table of a page as CSV (RFC 4180), its headings first; None for a name that none has."""
    for found in _REGION.finditer(page):
        if html.unescape(found[1]) == name:
            rows = _rows(page[found.end() : page.index("</table>", found.end())])
            break
    else:
        return None
    kept = [place for place, heading in enumerate(rows[0]) if heading] if rows else []
    written = io.StringIO()
    writer = csv.writer(written)
    for row in rows:
        writer.writerow([harmless(row[place]) if place < len(row) else "" for place in kept])
    return written.getvalue()


def harmless(cell: str) -> str:
    """A cell that no spreadsheet calculates."""
    if cell == _NOTHING:
        return ""
    return f"'{cell}" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell


def _rows(table: str) -> list[list[str]]:
    reader = _Cells()
    reader.feed(table)
    reader.close()
    return reader.rows


class _Cells(HTMLParser):
    """The text of each cell, without that of forms; lines are joined by a blank."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._cell: list[str] | None = None  # None: between cells
        self._skips = ""  # the element whose content is passed over

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in {"td", "th"}:
            self._cell = []
        elif self._cell is not None and not self._skips:
            if tag == "time":
                self._cell.append(dict(attrs).get("datetime") or "")
            elif tag == "br":
                self._cell.append(" ")
            if tag in {"time", "details"}:
                self._skips = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self._skips:
            self._skips = ""
        elif tag in {"td", "th"} and self._cell is not None:
            self.rows[-1].append(" ".join("".join(self._cell).split()))
            self._cell = None

    def handle_data(self, data: str) -> None:
        if self._cell is not None and not self._skips:
            self._cell.append(data)
