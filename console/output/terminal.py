"""What commands print: for people by rich, for scripts as JSON."""

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.text import Text

from console.output.rendering import text

#: Columns of tables when the output is a file or a pipe.
WIDTH_OF_FILES = 160


class Terminal:
    """Standard output in one of its two forms. Rich reads no markup: text from outside is only ever text."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        plain = not sys.stdout.isatty() and "COLUMNS" not in os.environ
        self._out = Console(
            markup=False, highlight=False, emoji=False, width=WIDTH_OF_FILES if plain else None
        )

    def answer(self, document: Mapping[str, Any], *parts: RenderableType) -> None:
        """Print the document for scripts, or the parts for people."""
        if self.as_json:
            sys.stdout.write(json.dumps(document, indent=2, allow_nan=False) + "\n")
            return
        for part in parts:
            self._print(part)

    def line(self, document: Mapping[str, Any], part: RenderableType) -> None:
        """Print one entry of a stream, at once."""
        if self.as_json:
            sys.stdout.write(json.dumps(document, allow_nan=False) + "\n")
        else:
            self._print(part)
        sys.stdout.flush()

    def note(self, message: str) -> None:
        """Say something beside the answer, on standard error."""
        sys.stdout.flush()
        sys.stderr.write(f"{text(message).plain}\n")

    def _print(self, part: RenderableType) -> None:
        if isinstance(part, str):
            part = text(part)
        # Lines are not folded, so that they can be copied; tables and groups are laid out.
        self._out.print(part, soft_wrap=isinstance(part, Text) and not isinstance(part, Group))
