"""Text from outside, made valid and safe to print.

What agents, forges, git and mail say goes through here at its boundary: `valid` where it is stored and
read on, `printable` where a terminal, a log or a page shows it. `printable` text is valid, too.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

#: Terminal sequences (ECMA-48): commands; titles and other strings; all that are shorter. None of them takes
#: a brace: programs print a sequence that is cut short, and a JSON object after it.
_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-z|}~]"
    r"|\][^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)"
    r"|[PX^_][^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)"
    r"|[ -/]*[0-z|}~])"
)
#: C0 and C1 without tab and newline, line separators, and the marks that reorder text on a page.
_CONTROLS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
#: What a file name, a store or another program does not take: lone surrogates, and NUL.
_INVALID = re.compile(r"[\x00\ud800-\udfff]")


def printable(text: str) -> str:
    """Return the text without escape sequences and control characters; tabs and newlines stay."""
    return _CONTROLS.sub("", _ESCAPES.sub("", text.replace("\r\n", "\n")))


def valid(text: str) -> str:
    """Return the text with a question mark for each character that cannot be encoded, and each NUL."""
    return _INVALID.sub("?", text)


def in_texts(value: Any, change: Callable[[str], str]) -> Any:
    """Return the same JSON value with each of its texts changed, names of fields among them.

    RecursionError for one that is nested by the thousand: callers parse it within the same guard.
    """
    match value:
        case str():
            return change(value)
        case Mapping():
            return {change(name): in_texts(item, change) for name, item in value.items()}
        case list():
            return [in_texts(item, change) for item in value]
        case _:
            return value
