"""Standard output of a command: rich for people, JSON for scripts.

What must hold: with `--json` nothing but JSON reaches standard output, as one indented object, or as one
object on each line for a stream. Remarks go to standard error in both forms. Errors are not printed here;
they are raised and end in `console.boundary`.
"""

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.text import Text

from console.output.rendering import Prose

#: Width of tables when the output is a file or a pipe, in characters.
WIDTH_OF_FILES = 160


class Terminal:
    """Prints an answer in one of its two forms. Rich's markup is off, so text from outside stays text.

    A command calls `answer` once, or `line` for each entry of a stream; `note` goes to standard error.
    Without a terminal tables have WIDTH_OF_FILES characters, unless COLUMNS says otherwise: a log or a test
    must not depend on the size of a window.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        plain = not sys.stdout.isatty() and "COLUMNS" not in os.environ
        self.console = Console(
            markup=False, highlight=False, emoji=False, width=WIDTH_OF_FILES if plain else None
        )

    def answer(self, document: Mapping[str, Any], *parts: RenderableType) -> None:
        """Print the document for scripts, or the parts for people, one after the other.

        Strings among the parts are made printable. The document must hold only what JSON has; infinity and
        NaN raise ValueError, because most parsers refuse them.
        """
        if self.as_json:
            sys.stdout.write(json.dumps(document, indent=2, allow_nan=False) + "\n")
            return
        for part in parts:
            self._print(part)

    def line(self, document: Mapping[str, Any], part: RenderableType) -> None:
        """Print one entry of a stream and flush, so that a reader of the pipe sees it at once."""
        if self.as_json:
            sys.stdout.write(json.dumps(document, allow_nan=False) + "\n")
        else:
            self._print(part)
        sys.stdout.flush()

    def note(self, message: str) -> None:
        """Print a remark on standard error, after what was printed before; also with `--json`.

        Folded between words where a terminal shows it.
        """
        sys.stdout.flush()
        errors = Console(stderr=True, markup=False, highlight=False, emoji=False)
        errors.print(Prose(message), crop=errors.is_terminal)

    def _print(self, part: RenderableType) -> None:
        if isinstance(part, str):
            part = Prose(part)
        # Single lines are not folded, so that they can be copied; tables and groups are fitted to the width.
        # In a file or a pipe nothing is cut off either.
        single = isinstance(part, Text) and not isinstance(part, Group)
        self.console.print(part, soft_wrap=single, crop=self.console.is_terminal)
