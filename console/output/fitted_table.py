"""A table that fits its terminal: ids that people copy are not broken, and less important columns go.

rich alone would shrink all columns of a narrow terminal, and fold an id over two lines. Here columns that
may go are left out one by one, from the right, until the rest fits; only then is anything folded.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

#: Spaces between two columns, and the least width at which a folded column can be read; in characters.
GAP, LEAST = 2, 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One column of a table. Its title is the name, after marks that say how it behaves.

    Marks may stand in any order: `?` yields, `!` is whole, `>` is aligned to the right.
    """

    name: str
    yields: bool  # `?`: left out of a narrow terminal, the last such column first
    whole: bool  # `!`: folded only when nothing else helps
    right: bool  # `>`: aligned to the right

    @classmethod
    def of(cls, title: str) -> "Column":
        """Read a title: `?!>score` is a column `score` with all three marks."""
        name = title.lstrip("?!>")
        marks = title.removesuffix(name)
        return cls(name=name, yields="?" in marks, whole="!" in marks, right=">" in marks)


@dataclass(frozen=True, slots=True)
class FittedTable:
    """A table that is laid out when rich prints it, because only then is the width known.

    Every row has one cell for each column, in the same order; cells are printable already.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[Text]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lay the table out for the width that there is."""
        yield self._laid_out(options.max_width)

    def _laid_out(self, width: int) -> Table:
        """The table for `width` characters.

        Columns yield from the right until the rest fits. When even that is not enough, whole columns are
        folded like the others, since cutting an id off would lose it.
        """
        widths = [max(map(cell_len, self._lines(place))) for place in range(len(self.columns))]
        shown = list(range(len(self.columns)))
        for place in [place for place in reversed(shown) if self.columns[place].yields]:
            if self._needed(shown, widths) > width:
                shown.remove(place)
        fits = self._needed(shown, widths) <= width
        made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, GAP - 1, 0, 0))
        for column in (self.columns[place] for place in shown):
            made.add_column(
                column.name,
                justify="right" if column.right else "left",
                overflow="fold",
                no_wrap=fits and column.whole,
            )
        for row in self.rows:
            made.add_row(*(row[place] for place in shown))
        return made

    def _lines(self, place: int) -> Iterator[str]:
        """Every line of a column, its name first: the longest one is how wide the column would like to be."""
        yield self.columns[place].name
        for row in self.rows:
            yield from row[place].plain.splitlines()

    def _needed(self, shown: Sequence[int], widths: Sequence[int]) -> int:
        """The least width in which the columns `shown` can be read, with the gaps between them."""
        least = (widths[each] if self.columns[each].whole else min(widths[each], LEAST) for each in shown)
        return sum(least) + GAP * (len(shown) - 1)
