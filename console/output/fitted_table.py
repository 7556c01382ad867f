"""A table that fits its terminal: ids that people copy are not broken, and less important columns go.

rich alone would shrink all columns of a narrow terminal, and fold an id over two lines. Here columns that
may go are left out one by one, from the right, until the rest fits; then those that may be cut end with
whole words, and only then is anything folded: between words, as far as the words have room.
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

#: The longest word for which a folded column is kept wide enough: paths and addresses may be longer.
LONGEST_WORD = 24


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One column of a table. Its title is the name, after marks that say how it behaves.

    Marks may stand in any order: `?` yields, `!` is whole, `~` is cut, `>` is aligned to the right.
    """

    name: str
    yields: bool  # `?`: left out of a narrow terminal, the last such column first
    whole: bool  # `!`: folded only when nothing else helps
    cut: bool  # `~`: on one line, which ends with a whole word and an ellipsis where there is no room
    right: bool  # `>`: aligned to the right

    @classmethod
    def of(cls, title: str) -> "Column":
        """Read a title: `?!>score` is a column `score` with all three marks."""
        name = title.lstrip("?!~>")
        marks = title.removesuffix(name)
        return cls(name=name, yields="?" in marks, whole="!" in marks, cut="~" in marks, right=">" in marks)


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
        words = [self._longest_word(place) for place in range(len(self.columns))]
        shown = list(range(len(self.columns)))
        least = [self._least(place, widths, words) for place in shown]
        for place in [place for place in reversed(shown) if self.columns[place].yields]:
            if _needed(shown, least) > width:
                shown.remove(place)
        if _needed(shown, least) > width:  # short columns are folded, too, between their words
            least = [least[at] if column.whole else words[at] for at, column in enumerate(self.columns)]
        fits = _needed(shown, least) <= width
        made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, GAP - 1, 0, 0))
        room = _room(shown, widths, least, width)
        for place in shown:
            column = self.columns[place]
            made.add_column(
                column.name,
                justify="right" if column.right else "left",
                overflow="fold",
                no_wrap=fits and (column.whole or column.cut),
                width=room[place] if fits else None,
            )
        for row in self.rows:
            cells = (
                cut(row[place], room[place]) if fits and self.columns[place].cut else row[place]
                for place in shown
            )
            made.add_row(*cells)
        return made

    def _lines(self, place: int) -> Iterator[str]:
        """Every line of a column, its name first: the longest one is how wide the column would like to be."""
        yield self.columns[place].name
        for row in self.rows:
            yield from row[place].plain.splitlines()

    def _longest_word(self, place: int) -> int:
        words = (word for line in self._lines(place) for word in line.split())
        return min(max(map(cell_len, words), default=0), LONGEST_WORD)

    def _least(self, place: int, widths: Sequence[int], words: Sequence[int]) -> int:
        """The least width at which a column reads well."""
        column, width = self.columns[place], widths[place]
        if column.whole:
            return width
        return min(width, LEAST if column.cut else max(LEAST, words[place]))


def _needed(shown: Sequence[int], least: Sequence[int]) -> int:
    """The least width in which the columns `shown` can be read, with the gaps between them."""
    return sum(least[place] for place in shown) + GAP * (len(shown) - 1)


def _room(shown: Sequence[int], widths: Sequence[int], least: Sequence[int], width: int) -> dict[int, int]:
    """How wide each column may be: the least, and an equal part of what is left while it wants more."""
    room = {place: least[place] for place in shown}
    left = width - _needed(shown, least)
    while left > 0 and (wanting := [place for place in shown if room[place] < widths[place]]):
        for place in wanting[:left]:
            room[place] += 1
        left -= len(wanting[:left])
    return room


def cut(value: Text, width: int) -> Text:
    """A text of one line in so many characters, ended with a whole word where one is near its end."""
    if value.cell_len <= width:
        return value
    kept = value.copy()
    kept.truncate(max(width - 1, 0))
    before, space, _ = kept.plain.rpartition(" ")
    if space and len(before) * 2 >= len(kept.plain):
        kept.truncate(len(before.rstrip()))
    return kept.append("…")
