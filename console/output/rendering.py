"""How numbers, times, states and tables look, the same in every command.

This is where text from outside becomes safe to print: `text`, `one_line`, `word` and the cells of `table`
and `facts` lose escape sequences and control characters, and none is read as rich's markup. A view must not
make a rich Text of such text by itself. Times are UTC everywhere, so that two people read the same one.
"""

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from console.output.fitted_table import Column, FittedTable, cut
from routing.printable import printable

#: Days within which the name of a weekday says which day is meant.
_WEEK = 7

#: Colours of states, arms and findings. The words are distinct over all of these, so one table is enough.
_STYLES = {
    "champion": "green",
    "succeeded": "green",
    "graduated": "green",
    "ok": "green",
    "merged": "green",
    "canary": "yellow",
    "open": "yellow",
    "running": "cyan",
    "waiting": "cyan",
    "warning": "yellow",
    "rejected": "red",
    "failed": "red",
    "rolled_back": "red",
    "problem": "red",
    "escalated": "magenta",
    "blocked": "magenta",
    "limited": "yellow",
    "probing": "cyan",
    "broken": "red",
    "closed": "magenta",
    "expired": "magenta",
    "superseded": "dim",
    "cancelled": "dim",
    "stopped": "dim",
}


def text(value: str, style: str = "") -> Text:
    """Text from anywhere: control characters are taken out, and nothing in it is markup.

    Tabs and newlines stay. `style` is one of rich's, and comes from our code only.
    """
    return Text(printable(value), style=style)


class Prose:
    """Words of ours that a terminal shows in lines of whole words; a file or a pipe has them on one line."""

    def __init__(self, value: str, style: str = "") -> None:
        self._text = text(value, style)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Fold them for a terminal."""
        if not console.is_terminal:
            self._text.no_wrap, self._text.overflow = True, "ignore"
        yield self._text


def one_line(value: str, most: int = 100) -> Text:
    """The first words of a text, at most `most` characters on one line; runs of spaces become one space."""
    # Cut first, so that a task of a megabyte costs no more than a short one. Four times as many characters
    # are kept, because runs of spaces shrink.
    joined = " ".join(printable(value[: 4 * most]).split())
    return cut(Text(joined), most)


def word(value: str, said: str = "") -> Text:
    """A state or an arm, in the colour that it has everywhere; one without a colour is plain.

    `said` is how people say it, where that is not the value with spaces.
    """
    return Text(printable(said or value.replace("_", " ")), style=_STYLES.get(value, ""))


def heading(value: str) -> Text:
    """The title of a part of the answer."""
    return text(value, "bold")


def table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> FittedTable:
    """A table; titles may begin with the marks of `fitted_table.Column`.

    `rows` is read at once. Cells that are str are made printable; those that are Text are printed as they
    are.
    """
    cells = [[cell if isinstance(cell, Text) else text(cell) for cell in row] for row in rows]
    return FittedTable([Column.of(title) for title in columns], cells)


def facts(pairs: Iterable[tuple[str, str | Text]]) -> Table:
    """Names and values, one pair a line; pairs with an empty value are left out.

    Names are ours and never folded; values are made printable, unless they are Text, and folded.
    """
    made = Table(box=None, show_header=False, pad_edge=False)
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in pairs:
        shown = value if isinstance(value, Text) else text(value)
        if shown.plain:
            made.add_row(name, shown)
    return made


def number(value: float | None, digits: int = 2) -> str:
    """A number with so many digits after the point; a dash for None."""
    return "-" if value is None else f"{value:.{digits}f}"


def evidence(value: float) -> str:
    """Evidence with two digits, as a power of ten from 1000 on; it grows without bound."""
    return f"{value:.2f}" if value < 1000 else f"{value:.2e}"  # noqa: PLR2004 - more digits would not help


def iso(at: float | None) -> str | None:
    """Seconds since the epoch as ISO 8601 in UTC with milliseconds, for scripts; None stays None."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def when(at: float | None) -> str:
    """Seconds since the epoch as people read it, in UTC; "" for None."""
    return "" if at is None else f"{datetime.fromtimestamp(at, tz=UTC):%Y-%m-%d %H:%M:%S}Z"


def when_near(at: float | None, now: float) -> str:
    """A time of these days as people say it, in UTC: `08:49Z` today, `Tuesday 08:49Z`, else with the date."""
    if at is None:
        return ""
    moment, today = (datetime.fromtimestamp(seconds, tz=UTC) for seconds in (at, now))
    days = (moment.date() - today.date()).days
    if days == 0:
        return f"{moment:%H:%M}Z"
    near = -_WEEK < days < _WEEK
    return f"{moment:%A %H:%M}Z" if near else f"{moment:%Y-%m-%d %H:%M}Z"


def duration(seconds: float, *, units: int = 2) -> str:
    """A length of time in its largest `units`, such as `2 h 5 min`; below a minute, `12.3 s`."""
    if seconds < 60:  # noqa: PLR2004 - seconds in a minute
        return f"{seconds:.1f} s" if units > 1 else f"{seconds:.0f} s"
    sizes = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
    rest, parts = int(seconds), []
    for name, size in sizes:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:units])


def bar(value: float, threshold: float, *, width: int = 24) -> Text:
    """A bar: how far evidence has come from 1 to its threshold, on a logarithmic scale.

    Evidence is a product of one factor for each job, so its logarithm grows evenly. `threshold` is above 1;
    the bar is green when the threshold is reached. `width` is in characters.
    """
    progress = math.log(max(value, 1.0)) / math.log(threshold)
    full = round(width * min(max(progress, 0.0), 1.0))
    style = "bold green" if progress >= 1 else "cyan"
    return Text("█" * full, style=style) + Text("·" * (width - full), style="dim")
